# Flags for our own targets only; third-party headers come in as SYSTEM includes.
add_library(mach_flags INTERFACE)
target_include_directories(mach_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(mach_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
  -Wold-style-cast -Woverloaded-virtual -Wcast-align -Wunused -Wnull-dereference
  -Wno-missing-field-initializers  # designated initializers leave the rest at their defaults
  -fsigned-char  # as on x86-64; arm64's are unsigned by default
  -fno-math-errno -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports false positives of these in std::string, std::vector and coroutine frames.
  target_compile_options(mach_flags INTERFACE -Wno-restrict -Wno-null-dereference
    -Wno-alloc-size-larger-than -Wno-mismatched-new-delete)
endif()
if(MACH_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Instrumented std::variant code looks uninitialized to g++; its manual advises against the pair.
  target_compile_options(mach_flags INTERFACE -Wno-maybe-uninitialized)
endif()
if(MACH_WERROR)
  target_compile_options(mach_flags INTERFACE -Werror)
endif()
if(MACH_SANITIZE)
  add_compile_options(-fsanitize=${MACH_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MACH_SANITIZE})
endif()
if(MACH_FUZZ)
  # clang 14 cannot give coroutines the prologue that the last check wants (llvm-project issue
  # 49689).
  add_compile_options(-fsanitize=fuzzer-no-link -fno-sanitize=function)
endif()

# With MACH_FAST_BUILD, sources of a target are compiled several at a time, so that what they
# include is parsed once. Names in their unnamed namespaces have to differ, then; a source still
# includes what it uses, which the dev and lint presets check.
set(MACH_SOURCES_AT_A_TIME 8)
function(mach_fast_build target)
  if(NOT MACH_FAST_BUILD)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON
    UNITY_BUILD_BATCH_SIZE ${MACH_SOURCES_AT_A_TIME})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ takes what a file includes for a header, which ours are not.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
endfunction()

# The modules and what each may include, from the table that tools/check_layers.py checks:
# mach_modules, lowest first, and mach_deps_NAME.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/layers.txt)
file(STRINGS ${CMAKE_SOURCE_DIR}/tools/layers.txt rows REGEX "^[a-z]+ *:")
set(mach_modules "")
foreach(row ${rows})
  string(REGEX MATCH "^([a-z]+) *:(.*)$" row "${row}")
  list(APPEND mach_modules ${CMAKE_MATCH_1})
  separate_arguments(mach_deps_${CMAKE_MATCH_1} UNIX_COMMAND "${CMAKE_MATCH_2}")
endforeach()

# mach_module(NAME [LIBS target...] [HOT|COLD] [SEPARATE])
# Library mach_NAME from src/NAME/*.cc, and the test binary NAME_test from src/NAME/*_test.cc, so
# that a test file on disk is always a test that runs. src/NAME/testing holds what supports tests of
# this and other modules: its sources are the library mach_NAME_testing, which tests alone link
# (NAME_test always). Our modules come from the table (PUBLIC), LIBS are third-party targets
# (PRIVATE). HOT: computes every token, so the release build spends -O3 on it; COLD: waits for people
# and sockets, so it spends -O1. SEPARATE: each source is compiled alone in every build.
function(mach_module name)
  cmake_parse_arguments(M "HOT;COLD;SEPARATE" "" "LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  file(GLOB_RECURSE support CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/testing/*.cc)
  if(support)
    list(REMOVE_ITEM sources ${support})
  endif()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(sources)
    add_library(mach_${name} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(mach_${name} PRIVATE mach_flags ${M_LIBS})
    if(M_HOT)
      target_compile_options(mach_${name} PRIVATE $<$<CONFIG:Release>:-O3>)
    elseif(M_COLD)
      target_compile_options(mach_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
    endif()
    if(NOT M_SEPARATE)
      mach_fast_build(mach_${name})
    endif()
  else()
    add_library(mach_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(mach_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  foreach(dep ${mach_deps_${name}})
    target_link_libraries(mach_${name} ${scope} mach_${dep})
  endforeach()
  if(MACH_TESTS AND support)
    add_library(mach_${name}_testing STATIC ${support})
    target_link_libraries(mach_${name}_testing PUBLIC mach_${name} GTest::gmock PRIVATE mach_flags)
  endif()
  if(MACH_TESTS AND tests)
    set(separate "")
    if(M_SEPARATE)
      set(separate SEPARATE)
    endif()
    mach_test(${name}_test SOURCES ${tests} DEPS ${name} LIBS ${M_LIBS} ${separate})
    if(support)
      target_link_libraries(${name}_test PRIVATE mach_${name}_testing)
    endif()
  endif()
endfunction()

# mach_test(NAME SOURCES file... [DEPS module...] [LIBS target...] [SINGLE] [LONG] [SEPARATE]
#           [TIMEOUT seconds])
# Each test case is a CTest entry; with SINGLE the binary is one entry (costly fixtures), as under an
# emulator (costly starts). With LONG it is one that runs with `ctest -C long` alone: minutes, before
# a release.
function(mach_test name)
  cmake_parse_arguments(T "SINGLE;LONG;SEPARATE" "TIMEOUT" "SOURCES;DEPS;LIBS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE mach_flags GTest::gmock_main ${T_LIBS})
  # What is tested is optimised as in the product; the tests themselves need not be.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(NOT T_SEPARATE)
    mach_fast_build(${name})
  endif()
  target_compile_definitions(${name} PRIVATE MACH_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    MACH_BINARY_DIR="${CMAKE_BINARY_DIR}")
  foreach(dep ${T_DEPS})
    target_link_libraries(${name} PRIVATE mach_${dep})
  endforeach()
  if(T_LONG)
    add_test(NAME ${name} COMMAND ${name} CONFIGURATIONS long)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT})
  elseif(T_SINGLE OR CMAKE_CROSSCOMPILING)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT})
  else()
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
      TEST_PREFIX "${name}." PROPERTIES TIMEOUT ${T_TIMEOUT})
  endif()
endfunction()
