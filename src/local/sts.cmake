# SPDX-License-Identifier: Apache-2.0
add_library(cv_local_sts INTERFACE)
target_link_libraries(cv_local_sts INTERFACE cv_local_web)
