# SPDX-License-Identifier: Apache-2.0
# Compiler and linker flags, in one place: warnings, hardening, sanitizers.

add_compile_definitions(_GNU_SOURCE)
add_compile_options(
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2
  -fno-common -fno-strict-aliasing
  # No absolute path reaches a binary: the enclave's measurement must not
  # depend on where it was built.
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(CV_WERROR)
  add_compile_options(-Werror)
endif()

if(CV_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(CV_TSAN)
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
else()
  add_compile_options(-fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    add_compile_options(-fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
    add_compile_options(-mbranch-protection=standard)
  endif()
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
  add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code)
endif()
if(CV_FUZZ)
  # Coverage for every object, main() of libFuzzer only for the targets.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "Clang" AND NOT CV_SANITIZE AND NOT CV_TSAN)
  # clang 14 keeps the zero pattern behind this switch.
  add_compile_options(-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
endif()
# Each function in a section of its own, so that the static enclave links
# only what it calls. Link-time only: no effect on what is measured twice.
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)
