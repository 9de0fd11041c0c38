# SPDX-License-Identifier: Apache-2.0
cv_library(cv_local_vsock
  SOURCES vsock_packet.c vsock_switch.c vsock_host.c
  DEPS cv_local_vhost cv_transport cv_common)
cv_library(cv_local_vm
  SOURCES vm_find.c vm_heartbeat.c vm_image.c vm_life.c vm_qemu.c vm_run.c vm_state.c vm_switch.c
  DEPS cv_local_children cv_local_vsock cv_local_vhost cv_local_nsm cv_eif cv_transport cv_json cv_common LIBS Threads::Threads)
cv_unit_test(test_local_vm DEPS cv_local_vm)
cv_unit_test(test_local_vsock DEPS cv_local_vsock LIBS Threads::Threads)
cv_fuzz(fuzz_local_vsock DEPS cv_local_vsock)
