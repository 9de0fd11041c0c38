# SPDX-License-Identifier: Apache-2.0
# How a module, a program, a unit test and a fuzz target are declared.
#
#   cv_library(cv_cbor SOURCES reader.c writer.c DEPS cv_common LIBS PkgConfig::JANSSON)
#   cv_unit_test(test_cbor_reader DEPS cv_cbor)        # tests/unit/test_cbor_reader.c
#   cv_fuzz(fuzz_cbor DEPS cv_cbor)                    # tests/fuzz/fuzz_cbor.c
#   cv_program(claviger SOURCES main.c DEPS cv_cli)
#   cv_static_program(claviger-enclave SOURCES main.c DEPS …)

set(CV_FUZZ_SECONDS 1 CACHE STRING "seconds that each fuzz target runs in the test suite")

function(cv_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${A_DEPS} ${A_LIBS})
endfunction()

function(cv_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_DEPS} ${A_LIBS})
  target_link_options(${name} PRIVATE -Wl,-Map=${CMAKE_BINARY_DIR}/bin/${name}.map)
endfunction()

# A program of the enclave: static-pie and stripped, so that it needs nothing
# from the image's file system. Sanitizers cannot link statically: under them
# it is an ordinary program.
function(cv_static_program name)
  cv_program(${name} ${ARGN})
  if(NOT CV_SANITIZE AND NOT CV_TSAN)
    target_link_options(${name} PRIVATE -static-pie -s -Wl,--build-id=none)
    target_link_libraries(${name} PRIVATE cv_no_loader cv_no_resolver)
  endif()
  add_custom_command(TARGET ${name} POST_BUILD
    COMMAND ${CMAKE_COMMAND} -DFILE=$<TARGET_FILE:${name}> -P ${CMAKE_SOURCE_DIR}/cmake/PrintSize.cmake
    VERBATIM)
  if(NOT TARGET enclave-programs)
    add_custom_target(enclave-programs)
  endif()
  add_dependencies(enclave-programs ${name})
endfunction()

function(cv_unit_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;DEPS;LIBS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  set(cost 0)
  if(A_TIMEOUT)
    set(cost ${A_TIMEOUT}) # started first
  else()
    set(A_TIMEOUT 120)
  endif()
  add_executable(${name} ${CMAKE_SOURCE_DIR}/tests/unit/${name}.c ${A_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${A_DEPS} ${A_LIBS} PkgConfig::CMOCKA)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME unit/${name} COMMAND ${name})
  set_tests_properties(unit/${name} PROPERTIES LABELS unit TIMEOUT ${A_TIMEOUT} COST ${cost} SKIP_RETURN_CODE 77
    ENVIRONMENT "CV_VECTORS=${CMAKE_SOURCE_DIR}/tests/vectors;CV_SHARED=${CMAKE_SOURCE_DIR}/../shared")
endfunction()

# With libFuzzer where the preset has it; elsewhere the same function behind a
# small driver that replays the corpus and mutates it for a few seconds.
function(cv_fuzz name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  if(NOT BUILD_TESTING OR NOT (CV_FUZZ OR EXISTS ${CMAKE_SOURCE_DIR}/tests/fuzz/standalone_main.c))
    return()
  endif()
  add_executable(${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}.c ${A_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${A_DEPS} ${A_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  # A fuzz target calls a parser for what it does on the way.
  target_compile_options(${name} PRIVATE -Wno-unused-result)
  if(CV_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/standalone_main.c)
  endif()
  add_test(NAME fuzz/${name} COMMAND ${CMAKE_SOURCE_DIR}/tests/fuzz/run.sh
    $<TARGET_FILE:${name}> ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name} ${CV_FUZZ_SECONDS})
  set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
