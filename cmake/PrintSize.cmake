# SPDX-License-Identifier: Apache-2.0
# Prints the size of an enclave program after its link.
file(SIZE "${FILE}" bytes)
math(EXPR kib "(${bytes} + 1023) / 1024")
get_filename_component(name "${FILE}" NAME)
message(STATUS "${name}: ${kib} KiB")
