# SPDX-License-Identifier: Apache-2.0
# blst (BLS12-381): the target is `blst`, its header <blst.h>.
#
# An installed library by pkg-config, or under -DBLST_ROOT; else the sources
# that fetch-blst.sh keeps in .cache, compiled by us: its own build script asks
# the builder's CPU what to compile for, and the enclave's measurement may not
# depend on that. __BLST_PORTABLE__ decides at run time.
set(BLST_ROOT "" CACHE PATH "prefix of an installed blst (include/blst.h, lib/libblst.a)")
set(CV_BLST_VERSION 0.3.12)

if(NOT BLST_ROOT)
  pkg_check_modules(BLST QUIET IMPORTED_TARGET libblst>=${CV_BLST_VERSION})
endif()
if(BLST_ROOT)
  find_library(CV_BLST_LIBRARY NAMES blst PATHS ${BLST_ROOT} PATH_SUFFIXES lib NO_DEFAULT_PATH REQUIRED)
  find_path(CV_BLST_INCLUDE blst.h PATHS ${BLST_ROOT} PATH_SUFFIXES include bindings
    NO_DEFAULT_PATH REQUIRED)
  add_library(blst UNKNOWN IMPORTED)
  set_target_properties(blst PROPERTIES IMPORTED_LOCATION ${CV_BLST_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${CV_BLST_INCLUDE})
  message(STATUS "blst: ${CV_BLST_LIBRARY}")
elseif(BLST_FOUND)
  add_library(blst INTERFACE)
  target_link_libraries(blst INTERFACE PkgConfig::BLST)
  message(STATUS "blst: ${BLST_VERSION}, installed")
else()
  set(CV_BLST_DIR ${CMAKE_SOURCE_DIR}/.cache/blst-${CV_BLST_VERSION})
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/cmake/fetch-blst.sh ${CV_BLST_DIR}
    RESULT_VARIABLE CV_BLST_RC)
  if(NOT CV_BLST_RC EQUAL 0)
    message(FATAL_ERROR "blst is missing (see above)")
  endif()
  add_library(blst STATIC ${CV_BLST_DIR}/src/server.c ${CV_BLST_DIR}/build/assembly.S)
  target_include_directories(blst SYSTEM PUBLIC ${CV_BLST_DIR}/bindings)
  target_compile_definitions(blst PRIVATE __BLST_PORTABLE__)
  # Not our code: no warnings, no sanitizers (its assembly works below what
  # they understand), no coverage; -O2 even in debug builds.
  target_compile_options(blst PRIVATE -w -O2 $<$<COMPILE_LANGUAGE:C>:-fno-sanitize=all>
    -ffile-prefix-map=${CV_BLST_DIR}=blst)
  set_property(TARGET blst PROPERTY EXPORT_COMPILE_COMMANDS OFF)
  message(STATUS "blst: ${CV_BLST_VERSION}, from ${CV_BLST_DIR}")
endif()
