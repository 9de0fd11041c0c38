# SPDX-License-Identifier: Apache-2.0
cv_library(cv_local_vm
  SOURCES vm_image.c vm_find.c vm_spawn.c vm_state.c vm_run.c
  DEPS cv_local_vhost cv_local_nsm cv_eif cv_transport cv_json cv_common LIBS Threads::Threads)
cv_unit_test(test_local_vm DEPS cv_local_vm)
