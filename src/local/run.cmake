# SPDX-License-Identifier: Apache-2.0
cv_library(cv_local_run
  SOURCES run_image.c run_go.c
  DEPS cv_local_children cv_local_kms cv_parent cv_eif_build cv_aws_core cv_json cv_common)
