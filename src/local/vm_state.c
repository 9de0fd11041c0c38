/* SPDX-License-Identifier: Apache-2.0 */
/* What runs in a folder: vm.json, and the lock that tells whether it still does. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "json/json.h"
#include "local/vm.h"

#define TERMINATE_MS 15000
#define FOLLOW_MS 100

const char *cv_vm_path(char out[CV_VM_PATH], const char *dir, const char *name)
{
    snprintf(out, CV_VM_PATH, "%s/%s", dir, name);
    return out;
}

void cv_vm_default_dir(char out[CV_VM_PATH], unsigned cid)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    if (base == NULL || *base != '/' || strlen(base) > CV_VM_DIR_MAX - 40)
        base = "/tmp";
    snprintf(out, CV_VM_PATH, "%s/claviger-vm-%u-%u", base, (unsigned)getuid(), cid);
}

static json_t *measurements(const struct cv_vm_image *image)
{
    const struct cv_eif_pcrs *p = &image->pcrs;
    char hex[2 * CV_EIF_PCR_LEN + 1];
    json_t *m = json_pack("{s:s}", "HashAlgorithm", "Sha384 { ... }");
    const uint8_t *const values[] = {p->pcr0, p->pcr1, p->pcr2, p->has_pcr8 ? p->pcr8 : NULL};
    static const char *const names[] = {"PCR0", "PCR1", "PCR2", "PCR8"};
    for (size_t i = 0; i < 4; i++) {
        if (values[i] == NULL)
            continue;
        cv_hex_encode(hex, values[i], CV_EIF_PCR_LEN);
        json_object_set_new(m, names[i], json_string(hex));
    }
    return m;
}

/* The members of nitro-cli's run-enclave, in its order. */
static json_t *basics(const struct cv_vm_state *s)
{
    const struct cv_vm_options *o = s->o;
    json_t *cpus = json_array();
    for (unsigned i = 0; i < o->cpus; i++)
        json_array_append_new(cpus, json_integer(i));
    return json_pack("{s:s, s:s, s:i, s:I, s:i, s:o, s:i}", "EnclaveName", o->name, "EnclaveID",
                     s->id, "ProcessID", (int)getpid(), "EnclaveCID", (json_int_t)o->cid,
                     "NumberOfCPUs", (int)o->cpus, "CPUIDs", cpus, "MemoryMiB", (int)o->memory);
}

static int print(const json_t *doc, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 65536);
    int rc = cv_json_dump_indent(&text, doc, 2);
    if (rc != 0)
        return cv_error_set(err, rc, "describing the virtual machine");
    puts((const char *)text.p);
    (void)fflush(stdout);
    return 0;
}

int cv_vm_write_state(const struct cv_vm_state *s, const char *state, struct cv_error *err)
{
    char path[CV_VM_PATH];
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 65536);
    CV_JSON_AUTO json_t *doc = basics(s);
    if (doc == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory to describe the virtual machine");
    json_object_set_new(doc, "State", json_string(state));
    json_object_set_new(doc, "Flags", json_string(s->o->debug_mode ? "DEBUG_MODE" : "NONE"));
    json_object_set_new(doc, "Measurements", measurements(s->image));
    json_object_set_new(doc, "Image", json_string(s->o->image));
    json_object_set_new(doc, "Folder", json_string(s->o->dir));
    json_object_set_new(doc, "VsockPath", json_string(s->vsock));
    if (s->o->switch_dir != NULL)
        json_object_set_new(doc, "Switch", json_string(s->o->switch_dir));
    json_object_set_new(doc, "Accelerator", json_string(s->accel));
    json_object_set_new(doc, "HypervisorPID", json_integer(s->qemu));
    int rc = cv_json_dump_indent(&text, doc, 2);
    if (rc == 0)
        rc = cv_file_replace(cv_vm_path(path, s->o->dir, "vm.json"), cv_buf_view(&text), 0600, err);
    return rc;
}

int cv_vm_announce(const struct cv_vm_state *s, struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = basics(s);
    return doc != NULL
               ? print(doc, err)
               : cv_error_set(err, CV_ERR_NOMEM, "no memory to describe the virtual machine");
}

int cv_vm_running(struct cv_buf *text, const char *dir, struct cv_error *err)
{
    char path[CV_VM_PATH];
    int lock;
    if (access(cv_vm_path(path, dir, "vm.lock"), F_OK) == 0) {
        int rc = cv_file_lock(&lock, path, 0, err);
        if (rc == CV_ERR_BUSY) {
            cv_error_clear(err);
            return cv_file_read(text, cv_vm_path(path, dir, "vm.json"), err);
        }
        if (rc != 0)
            return rc;
        close(lock);
    }
    return cv_error_set(err, CV_ERR_NOT_FOUND, "no virtual machine runs in %s", dir);
}

int cv_vm_terminate(const char *dir, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    CV_JSON_AUTO json_t *doc = NULL;
    struct cv_error ignored;
    const char *name, *id;
    int64_t pid;
    cv_buf_init(&text, 65536);
    int rc = cv_vm_running(&text, dir, err);
    if (rc != 0)
        return rc;
    if ((rc = cv_json_parse_object(&doc, cv_buf_view(&text), 65536, "vm.json", err)) != 0 ||
        (rc = cv_json_get_int(doc, "ProcessID", 2, INT32_MAX, &pid, err)) != 0 ||
        (rc = cv_json_get_str(doc, "EnclaveName", &name, err)) != 0 ||
        (rc = cv_json_get_str(doc, "EnclaveID", &id, err)) != 0)
        return rc;
    if (kill((pid_t)pid, SIGTERM) != 0 && errno != ESRCH)
        return cv_error_errno(err, CV_ERR_IO, errno, "ending process %d", (int)pid);
    int64_t deadline = cv_deadline(TERMINATE_MS);
    for (;;) {
        cv_buf_reset(&text);
        cv_error_clear(&ignored);
        if (cv_vm_running(&text, dir, &ignored) == CV_ERR_NOT_FOUND)
            break;
        if (cv_now_ms() >= deadline)
            return cv_error_set(err, CV_ERR_TIMEOUT, "the virtual machine in %s does not end", dir);
        cv_sleep_ms(20);
    }
    CV_JSON_AUTO json_t *out =
        json_pack("{s:s, s:s, s:b}", "EnclaveName", name, "EnclaveID", id, "Terminated", 1);
    return print(out, err);
}

void cv_vm_follow(int out, const char *dir, off_t *at)
{
    char path[CV_VM_PATH], chunk[4096];
    ssize_t n;
    int fd = open(cv_vm_path(path, dir, "console.log"), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    while ((n = pread(fd, chunk, sizeof chunk, *at)) > 0) {
        *at += n;
        if (cv_fd_write_all(out, chunk, (size_t)n) != 0)
            break;
    }
    close(fd);
}

int cv_vm_console(const char *dir, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char path[CV_VM_PATH];
    struct cv_error ignored;
    off_t at = 0;
    cv_buf_init(&text, 65536);
    int rc = cv_vm_running(&text, dir, err);
    if (rc != 0)
        return rc;
    if (access(cv_vm_path(path, dir, "console.log"), R_OK) != 0)
        return cv_error_set(err, CV_ERR_DENIED,
                            "this machine has no console: only enclaves started "
                            "with --debug-mode have one");
    do {
        cv_vm_follow(STDOUT_FILENO, dir, &at);
        cv_sleep_ms(FOLLOW_MS);
        cv_buf_reset(&text);
        cv_error_clear(&ignored);
    } while (cv_vm_running(&text, dir, &ignored) == 0);
    cv_vm_follow(STDOUT_FILENO, dir, &at);
    return 0;
}
