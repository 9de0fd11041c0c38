# SPDX-License-Identifier: Apache-2.0
cv_library(cv_local_nsm
  SOURCES pki.c identity.c certificate.c nsm_standin.c nsm_fault.c nsm_request.c nsm_document.c nsm_serve.c nsm_measure.c
  DEPS cv_common cv_cbor LIBS PkgConfig::OPENSSL Threads::Threads)
cv_library(cv_local_vhost SOURCES vring.c vhost_user.c vhost_serve.c DEPS cv_common)
cv_unit_test(test_local_vhost DEPS cv_local_vhost LIBS Threads::Threads)
cv_fuzz(fuzz_local_vhost DEPS cv_local_vhost)
cv_unit_test(test_local_nsm DEPS cv_local_nsm)
cv_unit_test(test_local_pki DEPS cv_local_nsm)
cv_fuzz(fuzz_local_nsm_request DEPS cv_local_nsm)
