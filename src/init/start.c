/* SPDX-License-Identifier: Apache-2.0 */
/* Stage "start": from the ramdisks to a machine that an application can run on. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "init/init.h"
#include "init/machine.h"
#include "init/modules.h"
#include "init/mounts.h"

#define ROOTS_MAX (4u << 20)

static int read_pcrs(struct cv_init *i, struct cv_error *err)
{
    static const uint16_t which[CV_BUNDLE_PCRS] = {0, 1, 2, 8};
    static const uint8_t zero[CV_NSM_PCR_MAX];
    for (size_t k = 0; k < CV_BUNDLE_PCRS; k++) {
        struct cv_nsm_pcr pcr;
        int rc = cv_nsm_describe_pcr(i->nsm, which[k], &pcr, err);
        if (rc != 0)
            return rc;
        cv_hex_encode(i->opener.pcr[k], pcr.data, pcr.n);
        if (k == 0)
            i->debug = memcmp(pcr.data, zero, pcr.n) == 0;
    }
    return 0;
}

static int start_nsm(struct cv_init *i, struct cv_error *err)
{
    bool credited;
    int rc = cv_nsm_open(&i->nsm, i->options.nsm, err);
    if (rc == 0)
        rc = cv_nsm_seed_kernel(i->nsm, cv_init_build.machine, &credited, err);
    if (rc == 0)
        rc = read_pcrs(i, err);
    if (rc != 0)
        cv_error_wrap(err, "starting the NSM");
    return rc;
}

static int check_debug(struct cv_init *i, struct cv_error *err)
{
    if (i->debug && !i->settings.allow_debug)
        return cv_error_set(
            err, CV_ERR_DENIED,
            "this enclave runs in debug mode: its measurements are zero and nothing in "
            "it is protected; run it without --debug-mode, or build the image with "
            "allow_debug");
    if (i->debug)
        cv_log(CV_LOG_WARN, "DEBUG MODE: the measurements are zero, nothing here is protected",
               NULL);
    return 0;
}

/* Roots of TLS: those beside the settings, else what the image has for its own
 * programs; all of it is measured. Without sources nobody needs them. */
static int read_roots(struct cv_init *i, struct cv_error *err)
{
    static const char *const usual[] = {
        CV_BOOT_CA_FILE,
        "rootfs/etc/ssl/certs/ca-certificates.crt",
        "rootfs/etc/pki/tls/certs/ca-bundle.crt",
        "rootfs/etc/ssl/ca-bundle.pem",
        "rootfs/etc/ssl/cert.pem",
        "rootfs/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    };
    char path[PATH_MAX];
    if (i->settings.source_count == 0)
        return 0;
    if (i->options.ca_file != NULL)
        return cv_file_read(&i->roots, i->options.ca_file, err);
    for (size_t k = 0; k < sizeof usual / sizeof usual[0]; k++) {
        if (cv_path_join(path, sizeof path, i->options.image, usual[k]) == 0 &&
            cv_file_read(&i->roots, path, NULL) == 0 && i->roots.n != 0)
            return 0;
    }
    return cv_error_set(err, CV_ERR_CONFIG,
                        "the image has no root certificates to know AWS by: put "
                        "/etc/ssl/certs/ca-certificates.crt into it");
}

static int enter_root(struct cv_init *i, struct cv_error *err)
{
    int rc = cv_machine_enter(i->options.image, &i->settings, err);
    if (rc != 0)
        return rc;
    i->root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return i->root < 0 ? cv_error_errno(err, CV_ERR_IO, errno, "opening /") : 0;
}

int cv_start_machine(struct cv_init *i, struct cv_error *err)
{
    int rc = cv_init_build.machine ? cv_mounts_early(err) : 0;
    if (rc == 0 && cv_init_build.machine)
        rc = cv_modules_load(i->options.image, err);
    /* First of all who the parent is: it is to learn of what fails below. */
    if (rc == 0)
        rc = cv_machine_settings(&i->settings, i->options.image, err);
    if (rc == 0)
        i->parent.cid = (uint32_t)i->settings.parent_cid;
    if (rc == 0)
        rc = start_nsm(i, err);
    if (rc == 0)
        rc = read_roots(i, err);
    if (rc == 0)
        rc = enter_root(i, err);
    return rc != 0 ? rc : check_debug(i, err);
}
