# SPDX-License-Identifier: Apache-2.0
cv_library(cv_local_nsm
  SOURCES pki.c identity.c certificate.c nsm_standin.c nsm_request.c nsm_document.c nsm_serve.c nsm_measure.c
  DEPS cv_common cv_cbor LIBS PkgConfig::OPENSSL Threads::Threads)
