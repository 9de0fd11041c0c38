# SPDX-License-Identifier: Apache-2.0
cv_library(cv_local_kms
  SOURCES kms.c kms_state.c kms_state_file.c kms_blob.c kms_cms.c kms_input.c kms_recipient.c
    kms_authorize.c kms_ops_crypto.c kms_ops_key.c kms_ops_sign.c kms_pair.c kms_sigv4.c kms_fault.c kms_fault_reply.c
    kms_server.c kms_tls.c session.c
  DEPS cv_policy cv_attest cv_aws_core cv_http cv_transport_tls cv_transport cv_json cv_crypto cv_common
  LIBS PkgConfig::OPENSSL PkgConfig::JANSSON Threads::Threads)
cv_unit_test(test_local_kms DEPS cv_local_kms cv_local_nsm cv_cms)
cv_fuzz(fuzz_local_kms_request DEPS cv_local_kms)
