# SPDX-License-Identifier: Apache-2.0
# Tests of the verifier; some make their documents with the local stand-in.
cv_unit_test(test_attest_chain SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/attest_fixture.c
  DEPS cv_attest cv_local_nsm TIMEOUT 300)
cv_unit_test(test_attest_payload SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/mutate.c DEPS cv_attest)
cv_unit_test(test_attest_documents DEPS cv_attest TIMEOUT 600)
cv_fuzz(fuzz_attest_document DEPS cv_attest)
cv_fuzz(fuzz_attest_chain DEPS cv_attest)
