# SPDX-License-Identifier: Apache-2.0
# Shared by imds, sts and s3.
cv_library(cv_local_web SOURCES web.c standin.c DEPS cv_local_kms cv_http cv_transport_tls cv_hash)
add_library(cv_local_imds INTERFACE)
target_link_libraries(cv_local_imds INTERFACE cv_local_web)
