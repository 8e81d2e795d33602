# aegis_library(NAME SRCS ... USES ... LIBS ...), aegis_test, aegis_bench, aegis_fuzz: the only ways to
# declare a target, so that flags and layering hold everywhere.
include(${CMAKE_SOURCE_DIR}/cmake/layers.cmake)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(aegis_flags INTERFACE)
target_include_directories(aegis_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/generated)
target_compile_options(aegis_flags INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Wno-sign-conversion
    -fstack-protector-strong -fno-plt)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(aegis_flags INTERFACE -O2 -g1)
  if(NOT AEGIS_SANITIZE)
    target_compile_definitions(aegis_flags INTERFACE _FORTIFY_SOURCE=2)
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(aegis_flags INTERFACE -Wthread-safety)
endif()
target_link_options(aegis_flags INTERFACE -Wl,-z,relro,-z,now)
if(AEGIS_SANITIZE)
  target_compile_options(aegis_flags INTERFACE
      -fsanitize=${AEGIS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(aegis_flags INTERFACE -fsanitize=${AEGIS_SANITIZE})
endif()
if(AEGIS_FUZZ)
  target_compile_options(aegis_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined
      -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(aegis_flags INTERFACE -fsanitize=address,undefined)
endif()

find_package(Threads REQUIRED)
if(AEGIS_TESTS)
  find_package(GTest REQUIRED)
  enable_testing()
endif()

function(aegis_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;USES;LIBS" ${ARGN})
  foreach(used IN LISTS ARG_USES)
    if(NOT used IN_LIST AEGIS_MAY_USE_${name})
      message(FATAL_ERROR "aegis::${name} may not link to aegis::${used}: see cmake/layers.cmake")
    endif()
  endforeach()
  list(TRANSFORM ARG_USES PREPEND aegis::)
  add_library(aegis_${name} STATIC ${ARG_SRCS})
  add_library(aegis::${name} ALIAS aegis_${name})
  target_link_libraries(aegis_${name} PUBLIC aegis_flags ${ARG_USES} ${ARG_LIBS} Threads::Threads)
endfunction()

# aegis_test(LIBRARY SRCS a_test.cc b_test.cc [LIBS extra]): one binary LIBRARY_test, one ctest entry.
function(aegis_test library)
  if(NOT AEGIS_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SRCS;LIBS" ${ARGN})
  add_executable(${library}_test ${ARG_SRCS})
  target_link_libraries(${library}_test PRIVATE aegis::${library} ${ARG_LIBS} GTest::gtest GTest::gmock
                        GTest::gtest_main)
  target_compile_definitions(${library}_test PRIVATE AEGIS_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${library}_test COMMAND ${library}_test)
  set_tests_properties(${library}_test PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

# aegis_fuzz(NAME SRCS target.cc LIBS aegis::json): libFuzzer binary NAME_fuzz, corpus in fuzz/corpus/NAME.
function(aegis_fuzz name)
  cmake_parse_arguments(ARG "" "" "SRCS;LIBS" ${ARGN})
  add_executable(${name}_fuzz ${ARG_SRCS})
  target_link_libraries(${name}_fuzz PRIVATE ${ARG_LIBS})
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
endfunction()
