# Debian 12 packages; tools/packages.txt lists them. Nothing is downloaded by the build.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

function(mach_pkg name)  # mach_pkg(NAME PKG): imported target dep::NAME from pkg-config
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${ARGV1})
  add_library(dep::${name} ALIAS PkgConfig::${name})
endfunction()

mach_pkg(pcre2 libpcre2-8)
mach_pkg(utf8proc libutf8proc)
if(CMAKE_CROSSCOMPILING)
  # Debian's libsimdjson-dev is there for one architecture at a time. Its header is that of all, and
  # the library's own package is there for each.
  find_library(SIMDJSON_LIBRARY libsimdjson.so.14 REQUIRED)
  add_library(dep::simdjson UNKNOWN IMPORTED)
  set_target_properties(dep::simdjson PROPERTIES IMPORTED_LOCATION ${SIMDJSON_LIBRARY})
else()
  mach_pkg(simdjson simdjson)
endif()
mach_pkg(hwy libhwy)
mach_pkg(uring liburing)
mach_pkg(xxhash libxxhash)
mach_pkg(sqlite3 sqlite3)
mach_pkg(crypto libcrypto)

find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Boost 1.81 REQUIRED)
if(MACH_TESTS)
  mach_pkg(lzma liblzma)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(MACH_BENCH)
  find_package(benchmark REQUIRED)
endif()
