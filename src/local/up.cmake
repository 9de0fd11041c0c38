# SPDX-License-Identifier: Apache-2.0
cv_library(cv_local_children SOURCES children.c DEPS cv_transport)
cv_library(cv_local_up
  SOURCES up_prepare.c up_policy.c up_files.c up_run.c up_background.c
  DEPS cv_local_children cv_local_kms cv_local_nsm cv_transport cv_json cv_common)
