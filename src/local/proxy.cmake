# SPDX-License-Identifier: Apache-2.0
add_library(cv_local_proxy INTERFACE)
target_link_libraries(cv_local_proxy INTERFACE cv_proxy)
