/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claviger-local vm: an enclave image in a virtual machine of this host, with
 * the kernel's own drivers for vsock and /dev/nsm. QEMU is the hypervisor,
 * vhost-user back-ends in this process are the NSM and the vsock device. What
 * the files of it share. docs/vm.md
 *
 * The folder of a machine: vm.json (what runs), vm.lock (held while it runs),
 * nsm.sock, console.log, qemu.log, kernel, initrd; and with a vsock device of
 * its own vm.vsock, vm.vsock_PORT, vhost.sock. Machines that are to
 * reach each other share the device of a switch (vm_switch.c).
 */
#ifndef CV_LOCAL_VM_H
#define CV_LOCAL_VM_H

#include <sys/types.h>

#include "eif/measure.h"
#include "local/children.h"
#include "local/nsm_standin.h"
#include "local/vsock_switch.h"
#include "transport/listen.h"

#define CV_VM_PATH 512   /* bytes of a path in the folder, with its NUL */
#define CV_VM_DIR_MAX 80 /* so that the longest socket fits sun_path */
#define CV_VM_DEFAULT_CID 16u
#define CV_VM_DEFAULT_MEMORY 256u /* MiB */
#define CV_VM_HEARTBEAT_PORT 9000u
#define CV_VM_HEARTBEAT_S 60u
#define CV_VM_SWITCH_MAX 16 /* machines of a switch */

struct cv_vm_options {
    const char *image, *dir, *root, *name, *nsm_dir;
    const char *switch_dir;          /* NULL: a vsock device of its own */
    const char *accel;               /* "kvm", "tcg", NULL = kvm, and tcg when that does not work */
    unsigned memory, cpus, cid;      /* MiB, count, vsock context id */
    unsigned heartbeat_s;            /* how long it is awaited, 0 = not */
    unsigned cids[CV_VM_SWITCH_MAX]; /* of a switch */
    size_t cid_count;
    bool debug_mode, console, attach, no_nsm, json_log;
    struct cv_local_nsm_config nsm;
};

/* Programs to run, found once. With a ROOT (a Debian system in a folder) they
 * are started by its own dynamic loader, so that nothing needs to be mounted. */
struct cv_vm_programs {
    char root[CV_VM_PATH]; /* "" = this system's */
    char loader[CV_VM_PATH], libraries[CV_VM_PATH], firmware[CV_VM_PATH], modules[CV_VM_PATH];
    char qemu[CV_VM_PATH];
    unsigned major, minor; /* of QEMU */
};

/* What was taken out of the image. */
struct cv_vm_image {
    struct cv_eif_pcrs pcrs;
    char cmdline[CV_EIF_MAX_CMDLINE + 128]; /* as the virtual machine gets it */
};

/* DIR/NAME into OUT. Returns OUT. */
const char *cv_vm_path(char out[CV_VM_PATH], const char *dir, const char *name);
/* The folder when none is named: in $XDG_RUNTIME_DIR, else /tmp, by user and CID. */
void cv_vm_default_dir(char out[CV_VM_PATH], unsigned cid);

/* vm_image.c: checks and measures IMAGE as what would run, and writes kernel
 * and initrd (the ramdisks, one after the other) into DIR. */
int cv_vm_unpack(struct cv_vm_image *out, const char *image, const char *dir,
                 struct cv_error *err) CV_NODISCARD;
/* The image's command line as a virtual machine with PCI wants it: without
 * pci=off, and with panic=-1, so that the end of PID 1 ends the machine. */
int cv_vm_cmdline(char *out, size_t size, const char *measured, struct cv_error *err) CV_NODISCARD;

/* vm_find.c: QEMU of at least 10.2; the sentence says what to install. */
int cv_vm_find(struct cv_vm_programs *p, const char *root, struct cv_error *err) CV_NODISCARD;
/* "QEMU emulator version 11.1.3 (…)" */
bool cv_vm_version(unsigned *major, unsigned *minor, const char *text);
/* "kvm" where the processor's virtualisation can be used, else "tcg". */
const char *cv_vm_accelerator(void);

/* Makes C one that runs PROGRAM, by the loader of the root if there is one. */
void cv_vm_add_program(struct cv_local_child *c, const struct cv_vm_programs *p,
                       const char *program);
/* vm_qemu.c: the machine itself; its vsock device is at the socket VHOST. Writes
 * to qemu.log in its folder, anew. */
int cv_vm_start_qemu(struct cv_local_child *c, const struct cv_vm_programs *p,
                     const struct cv_vm_options *o, const struct cv_vm_image *image,
                     const char *vhost, const char *accel, struct cv_error *err) CV_NODISCARD;

/* vm_life.c: makes DIR, or says that it is not ours alone. */
int cv_vm_own_dir(const char *dir, struct cv_error *err) CV_NODISCARD;
/* True when one that is to end us has come. */
bool cv_vm_told_to_end(int signals);
/* False, or what the guest's kernel said when it panicked, if there is a console. */
bool cv_vm_panic(char *out, size_t size, const char *dir);
/* The last line of the file NAME in DIR, quoted: why a program ended. */
void cv_vm_last_words(char *out, size_t size, const char *dir, const char *name);

/* vm_heartbeat.c: the next connection of AT; true when it was a heartbeat,
 * which is answered. */
bool cv_vm_take_heartbeat(struct cv_listener *at);
/* Prints "ready" and answers heartbeats until a signal. */
int cv_vm_heartbeat(const struct cv_addr *at, struct cv_error *err) CV_NODISCARD;

/* vm_switch.c: one vsock device for the machines with the options' CIDs. Prints
 * "ready" and serves until a signal. */
int cv_vm_switch(const struct cv_vm_options *o, struct cv_error *err) CV_NODISCARD;
/* 0 while a switch runs in DIR. */
int cv_vm_switch_running(const char *dir, struct cv_error *err) CV_NODISCARD;
/* Takes CID at the switch in DIR: *HELD keeps it until it is closed. */
int cv_vm_switch_enter(int *held, const char *dir, unsigned cid, struct cv_error *err) CV_NODISCARD;
/* Where machine and host find CID at the switch in DIR. */
void cv_vm_place(struct cv_vsock_place *p, const char *dir, unsigned cid);

/* vm_run.c: the whole life of a machine. */
int cv_vm_run(const struct cv_vm_options *o, struct cv_error *err) CV_NODISCARD;

/* vm_state.c. */
struct cv_vm_state {
    const struct cv_vm_options *o;
    const struct cv_vm_image *image;
    const char *id; /* the NSM's module id */
    const char *accel;
    const char *vsock; /* the host's side of its vsock device */
    pid_t qemu;
};
/* Writes vm.json, with STATE ("STARTING", "RUNNING"). */
int cv_vm_write_state(const struct cv_vm_state *s, const char *state,
                      struct cv_error *err) CV_NODISCARD;
/* Prints what nitro-cli's run-enclave prints. */
int cv_vm_announce(const struct cv_vm_state *s, struct cv_error *err) CV_NODISCARD;
/* 0 while a machine runs in DIR, with its vm.json in TEXT; CV_ERR_NOT_FOUND. */
int cv_vm_running(struct cv_buf *text, const char *dir, struct cv_error *err) CV_NODISCARD;
int cv_vm_terminate(const char *dir, struct cv_error *err) CV_NODISCARD;
/* Writes what was added to console.log since *AT to the descriptor OUT. */
void cv_vm_follow(int out, const char *dir, off_t *at);
/* The same until the machine ends. */
int cv_vm_console(const char *dir, struct cv_error *err) CV_NODISCARD;

#endif
