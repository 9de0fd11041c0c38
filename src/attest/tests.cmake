# SPDX-License-Identifier: Apache-2.0
# Tests of the verifier; some make their documents with the local stand-in.
set(attest_fixture ${CMAKE_SOURCE_DIR}/tests/unit/attest_fixture.c)
cv_unit_test(test_attest_chain SOURCES ${attest_fixture} DEPS cv_attest cv_local_nsm TIMEOUT 300)
