# SPDX-License-Identifier: Apache-2.0
cv_library(cv_local_s3 SOURCES s3_store.c DEPS cv_local_web)
