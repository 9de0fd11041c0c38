/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A switch: one vsock device for several machines of this host, which reach
 * each other by their CIDs. Its folder: switch.lock (held while it serves), and
 * for each CID CID.sock (QEMU connects to it), CID.vsock and CID.vsock_PORT (the
 * host's side), CID.lock (held by the machine there).
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "local/vm.h"

#define LOCK_MS 500 /* whoever asks whether it runs holds the lock for a moment */

void cv_vm_place(struct cv_vsock_place *p, const char *dir, unsigned cid)
{
    p->cid = cid;
    snprintf(p->vhost, sizeof p->vhost, "%.*s/%u.sock", CV_VM_DIR_MAX, dir, cid);
    snprintf(p->host, sizeof p->host, "%.*s/%u.vsock", CV_VM_DIR_MAX, dir, cid);
}

/* ---- the machine's side ---- */

int cv_vm_switch_running(const char *dir, struct cv_error *err)
{
    char path[CV_VM_PATH];
    int lock;
    if (access(cv_vm_path(path, dir, "switch.lock"), F_OK) == 0) {
        int rc = cv_file_lock(&lock, path, 0, err);
        if (rc == CV_ERR_BUSY) {
            cv_error_clear(err);
            return 0;
        }
        if (rc != 0)
            return rc;
        close(lock);
    }
    return cv_error_set(err, CV_ERR_STATE,
                        "no switch runs in %s: 'claviger-local vm switch' starts one", dir);
}

int cv_vm_switch_enter(int *held, const char *dir, unsigned cid, struct cv_error *err)
{
    char path[CV_VM_PATH];
    struct cv_vsock_place p;
    int rc = cv_vm_switch_running(dir, err);
    if (rc != 0)
        return rc;
    cv_vm_place(&p, dir, cid);
    if (access(p.vhost, F_OK) != 0)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "the switch in %s has no CID %u", dir, cid);
    snprintf(path, sizeof path, "%s/%u.lock", dir, cid);
    rc = cv_file_lock(held, path, cv_deadline(LOCK_MS), err);
    if (rc == CV_ERR_BUSY)
        cv_error_wrap(err, "another machine has CID %u of the switch in %s", cid, dir);
    return rc;
}

/* ---- the switch itself ---- */

static int serve(const struct cv_vm_options *o, int signals, struct cv_error *err)
{
    struct cv_vsock_place places[CV_VM_SWITCH_MAX];
    struct cv_vsock_switch *s = NULL;
    for (size_t i = 0; i < o->cid_count; i++)
        cv_vm_place(&places[i], o->dir, o->cids[i]);
    int rc = cv_vsock_switch_new(&s, places, o->cid_count, err);
    if (rc == 0) {
        puts("ready");
        (void)fflush(stdout);
    }
    while (rc == 0 && !cv_vm_told_to_end(signals))
        rc = cv_vsock_switch_serve(s, signals, err);
    cv_vsock_switch_free(&s);
    return rc;
}

int cv_vm_switch(const struct cv_vm_options *o, struct cv_error *err)
{
    char path[CV_VM_PATH];
    int lock;
    int rc = cv_vm_own_dir(o->dir, err);
    if (rc == 0)
        rc =
            cv_file_lock(&lock, cv_vm_path(path, o->dir, "switch.lock"), cv_deadline(LOCK_MS), err);
    if (rc == CV_ERR_BUSY)
        cv_error_wrap(err, "a switch runs already in %s", o->dir);
    if (rc != 0)
        return rc;
    int signals = cv_local_children_signals();
    if (signals < 0)
        rc = cv_error_errno(err, CV_ERR_IO, errno, "preparing for signals");
    else
        rc = serve(o, signals, err);
    if (signals >= 0)
        close(signals);
    close(lock);
    return rc;
}
