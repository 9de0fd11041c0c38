/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of `run`, and the image in it. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "eif/boot_conf.h"
#include "eif/unpack.h"
#include "json/json.h"
#include "local/kms_state.h"
#include "local/run.h"

#define FOLDER_MAX 70 /* bytes of DIR: there are sockets in DIR/run/vsock */

const char *cv_run_path(char out[PATH_MAX], const struct cv_run *r, const char *tail)
{
    snprintf(out, PATH_MAX, "%.*s%s%.200s", PATH_MAX - 256, r->work, *tail ? "/" : "", tail);
    return out;
}

static const char *dir_path(char out[PATH_MAX], const struct cv_run *r, const char *tail)
{
    snprintf(out, PATH_MAX, "%.*s/%.200s", PATH_MAX - 256, r->dir, tail);
    return out;
}

/* ---- removing ---- */

static int open_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)f;
    return flag == FTW_D && !(st->st_mode & S_IWUSR) ? chmod(path, 0700) : 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

/* An image may have folders that nobody may write into; root may. */
static void remove_tree(const char *path)
{
    if (geteuid() != 0)
        (void)nftw(path, open_one, 32, FTW_PHYS);
    if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT)
        cv_log(CV_LOG_WARN, "a folder cannot be removed", "folder", path, "cause", strerror(errno),
               NULL);
}

/* ---- the folder ---- */

static int temporary_dir(struct cv_run *r, struct cv_error *err)
{
    snprintf(r->dir, sizeof r->dir, "/tmp/claviger-run-XXXXXX");
    r->temporary = mkdtemp(r->dir) != NULL;
    return r->temporary ? 0 : cv_error_errno(err, CV_ERR_IO, errno, "making a folder in /tmp");
}

static int given_dir(struct cv_run *r, const char *dir, struct cv_error *err)
{
    int rc = cv_dir_make(dir, 0700, err);
    if (!rc && !realpath(dir, r->dir))
        rc = cv_error_errno(err, CV_ERR_IO, errno, "finding %s", dir);
    return rc;
}

static int make_folders(struct cv_run *r, struct cv_error *err)
{
    char path[PATH_MAX];
    const char *given = r->options->dir;
    int rc = given != NULL ? given_dir(r, given, err) : temporary_dir(r, err);
    if (rc)
        return rc;
    if (strlen(r->dir) > FOLDER_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "the path of %s is too long for the sockets in it",
                            r->dir);
    rc = cv_file_lock(&r->lock, dir_path(path, r, "run.lock"), 0, err);
    if (rc == CV_ERR_BUSY)
        cv_error_wrap(err, "another 'claviger-local run' runs on %s", r->dir);
    if (rc)
        return rc;
    snprintf(r->work, sizeof r->work, "%.*s/run", FOLDER_MAX, r->dir);
    remove_tree(r->work);
    rc = cv_dir_make(r->work, 0700, err);
    if (!rc)
        rc = cv_dir_make(cv_run_path(path, r, "image"), 0755, err);
    if (!rc)
        rc = cv_dir_make(cv_run_path(path, r, "vsock"), 0700, err);
    return rc;
}

/* ---- the image ---- */

/* All ramdisks but the first, which is the init's own: in an enclave the kernel
 * lays them over each other in the same way. */
static int unpack(const struct cv_run *r, const struct cv_eif *eif, struct cv_error *err)
{
    char path[PATH_MAX];
    bool first = true;
    int rc = 0;
    int dir = open(cv_run_path(path, r, "image"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "opening %s", path);
    for (unsigned i = 0; i < eif->count && !rc; i++) {
        struct cv_unpack_count n;
        if (eif->sections[i].type != CV_EIF_RAMDISK)
            continue;
        if (!first)
            rc = cv_eif_unpack(eif, &eif->sections[i], dir, &n, err);
        first = false;
    }
    close(dir);
    if (rc)
        cv_error_wrap(err, "unpacking the image");
    return rc;
}

static int open_image(struct cv_run *r, struct cv_error *err)
{
    const char *image = r->options->image;
    struct cv_eif eif;
    int rc = cv_eif_measure_path(image, &r->pcrs, err);
    if (!rc)
        rc = cv_eif_open(&eif, image, err);
    if (!rc) {
        rc = cv_eif_boot_settings(&eif, &r->settings, err);
        if (!rc)
            rc = unpack(r, &eif, err);
        cv_eif_close(&eif);
    }
    if (rc)
        cv_error_wrap(err, "%s", image);
    return rc;
}

int cv_run_open(struct cv_run *r, const struct cv_run_options *options, struct cv_error *err)
{
    memset(r, 0, sizeof *r);
    r->options = options;
    r->lock = -1;
    cv_boot_init(&r->settings);
    int rc = make_folders(r, err);
    return rc ? rc : open_image(r, err);
}

void cv_run_close(struct cv_run *r)
{
    cv_boot_free(&r->settings);
    cv_aws_provider_free(&r->provider);
    if (r->work[0])
        remove_tree(r->work);
    if (r->temporary)
        remove_tree(r->dir);
    if (r->lock >= 0)
        close(r->lock);
}

/* ---- the stand-ins ---- */

bool cv_run_standins_up(const struct cv_run *r)
{
    char path[PATH_MAX];
    int lock = -1;
    bool busy = cv_file_lock(&lock, dir_path(path, r, "up.lock"), 0, NULL) == CV_ERR_BUSY;
    if (lock >= 0)
        close(lock);
    return busy;
}

static int read_address(char out[CV_ADDR_TEXT], const json_t *doc, const char *name,
                        struct cv_error *err)
{
    const json_t *o;
    const char *address;
    int rc = cv_json_get_object(doc, name, &o, err);
    if (!rc)
        rc = cv_json_get_str(o, "address", &address, err);
    if (!rc && strncmp(address, "tcp:", 4) != 0)
        rc = cv_error_set(err, CV_ERR_INVALID, "%s is not at a TCP address", name);
    if (!rc)
        snprintf(out, CV_ADDR_TEXT, "%.280s", address);
    return rc;
}

static int read_pids(struct cv_run *r, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    CV_JSON_AUTO json_t *doc = NULL;
    char path[PATH_MAX];
    cv_buf_init(&text, 65536);
    int rc = cv_file_read(&text, dir_path(path, r, "pids.json"), err);
    if (!rc)
        rc = cv_json_parse_object(&doc, cv_buf_view(&text), text.n, path, err);
    if (!rc)
        rc = read_address(r->kms, doc, "kms", err);
    if (!rc)
        rc = read_address(r->s3, doc, "s3", err);
    return rc;
}

/* The role that the parent instance has. */
static int take_role(struct cv_run *r, const struct cv_local_kms_state *s, struct cv_error *err)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials c = CV_AWS_CREDENTIALS_INIT;
    snprintf(r->region, sizeof r->region, "%s", s->region);
    for (size_t i = 0; i < s->n_principals; i++) {
        const struct cv_local_principal *p = &s->principals[i];
        if (p->role_arn == NULL || p->session_token == NULL)
            continue;
        snprintf(r->role_arn, sizeof r->role_arn, "%s", p->role_arn);
        int rc = cv_aws_credentials_set(
            &c, cv_bytes_str(p->access_key_id), cv_bytes_str(p->secret_access_key),
            cv_bytes_str(p->session_token), p->expires_ms, "claviger-local up", err);
        return rc ? rc : cv_aws_provider_static(&r->provider, &c, err);
    }
    return cv_error_set(err, CV_ERR_STATE, "the local KMS knows no role");
}

int cv_run_standins(struct cv_run *r, struct cv_error *err)
{
    struct cv_local_kms_state state;
    char path[PATH_MAX];
    int rc = read_pids(r, err);
    if (rc)
        return rc;
    rc = cv_local_kms_state_load(&state, dir_path(path, r, "kms.json"), "", "", err);
    if (rc)
        return rc;
    rc = take_role(r, &state, err);
    cv_local_kms_state_free(&state);
    return rc;
}
