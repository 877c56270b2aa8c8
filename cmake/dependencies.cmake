# Debian 12 packages; tools/packages.txt lists them. Nothing is downloaded by the build.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

function(mach_pkg name)  # mach_pkg(NAME PKG): imported target dep::NAME from pkg-config
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${ARGV1})
  add_library(dep::${name} ALIAS PkgConfig::${name})
endfunction()

mach_pkg(pcre2 libpcre2-8)
mach_pkg(utf8proc libutf8proc)
mach_pkg(simdjson simdjson)
mach_pkg(hwy libhwy)
mach_pkg(uring liburing)
mach_pkg(xxhash libxxhash)

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
