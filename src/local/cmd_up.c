/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local up: options, the folder's lock, then up_prepare.c and up_run.c. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "local/children.h"
#include "local/local.h"
#include "local/up.h"

const char cv_local_up_usage[] =
    "usage: claviger-local up --dir DIR [OPTION]...\n"
    "\n"
    "Starts all that the daemon needs - NSM, KMS, proxy, enclave signer - with their state\n"
    "in DIR, and writes DIR/signatory.yaml for the daemon. Prints 'ready' on standard output\n"
    "once all of it answers; ends with everything it started on SIGTERM or Ctrl-C. Started\n"
    "again on the same DIR it finds the same keys.\n"
    "\n"
    "  --dir DIR            made when absent\n"
    "  --region NAME        of a new DIR (default us-west-2)\n"
    "  --sealed-version N   1 or 2: what signatory.yaml says; with 1 the key policy lets the\n"
    "                       role Encrypt without attestation\n"
    "  --unpinned           an enclave whose settings pin no key\n"
    "  --pcr0 HEX           the enclave measures as this (96 hex digits); the key policy stays\n"
    "                       as it was made for the first measurement\n"
    "  --debug-mode         an enclave in debug mode: its registers are zeros\n"
    "  --accept-image       let the key policy accept this measurement too\n"
    "  --setting KEY=VALUE  one more line of enclave.conf, such as self_check=off (repeatable)\n"
    "  --no-restart         do not start again what dies\n"
    "  --enclave FILE       the signer (default claviger-enclave-dev beside this program)\n"
    "  --json-log           log lines as JSON\n"
    "  --background         return once it is ready; it logs to DIR/up.log\n"
    "  --stop               end what runs on DIR, in the background or not\n"
    "\n"
    "DIR/pids.json names the processes and where they listen; DIR/credentials has profiles\n"
    "for AWS's tools; DIR/kms.fault makes the KMS fail on demand (claviger-local(1)).\n"
    "example: claviger-local up --dir /tmp/claviger --background\n"
    "         claviger -c /tmp/claviger/signatory.yaml serve\n";

enum {
    O_DIR = 256,
    O_REGION,
    O_VERSION,
    O_UNPINNED,
    O_PCR0,
    O_DEBUG,
    O_ACCEPT,
    O_NO_RESTART,
    O_ENCLAVE,
    O_JSON_LOG,
    O_SETTING,
    O_BACKGROUND,
    O_STOP
};

static const struct option long_options[] = {
    {"dir", required_argument, NULL, O_DIR},
    {"region", required_argument, NULL, O_REGION},
    {"sealed-version", required_argument, NULL, O_VERSION},
    {"unpinned", no_argument, NULL, O_UNPINNED},
    {"pcr0", required_argument, NULL, O_PCR0},
    {"debug-mode", no_argument, NULL, O_DEBUG},
    {"accept-image", no_argument, NULL, O_ACCEPT},
    {"no-restart", no_argument, NULL, O_NO_RESTART},
    {"enclave", required_argument, NULL, O_ENCLAVE},
    {"setting", required_argument, NULL, O_SETTING},
    {"json-log", no_argument, NULL, O_JSON_LOG},
    {"background", no_argument, NULL, O_BACKGROUND},
    {"stop", no_argument, NULL, O_STOP},
    {NULL, 0, NULL, 0},
};

static int usage_error(const char *what)
{
    fprintf(stderr, "claviger-local up: %s\n(claviger-local up --help shows the options)\n", what);
    return 2;
}

static bool region_ok(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 40 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static int read_options(struct cv_up_options *o, bool *stop, int argc, char **argv)
{
    int opt;
    size_t n = 0;
    while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (opt) {
        case O_DIR:
            o->dir = optarg;
            break;
        case O_REGION:
            o->region = optarg;
            break;
        case O_UNPINNED:
            o->unpinned = true;
            break;
        case O_DEBUG:
            o->debug_mode = true;
            break;
        case O_ACCEPT:
            o->accept_image = true;
            break;
        case O_NO_RESTART:
            o->no_restart = true;
            break;
        case O_ENCLAVE:
            o->enclave = optarg;
            break;
        case O_JSON_LOG:
            o->json_log = true;
            break;
        case O_BACKGROUND:
            o->background = true;
            break;
        case O_STOP:
            *stop = true;
            break;
        case O_SETTING:
            if (o->setting_count == CV_UP_SETTINGS_MAX || !strchr(optarg, '=') ||
                strchr(optarg, '\n'))
                return usage_error("--setting is KEY=VALUE, at most 8 times");
            o->settings[o->setting_count++] = optarg;
            break;
        case O_VERSION:
            if (strcmp(optarg, "1") && strcmp(optarg, "2"))
                return usage_error("--sealed-version is 1 or 2");
            o->sealed_version = (unsigned)(*optarg - '0');
            break;
        case O_PCR0:
            if (cv_hex_decode(o->pcr0, sizeof o->pcr0, &n, cv_bytes_str(optarg)) ||
                n != sizeof o->pcr0)
                return usage_error("--pcr0 has 96 hex digits");
            o->has_pcr0 = true;
            break;
        default:
            return usage_error("an option is wrong");
        }
    }
    if (optind != argc)
        return usage_error("it takes no arguments, only options");
    if (!o->dir || !*o->dir)
        return usage_error("--dir is needed");
    if (o->region && !region_ok(o->region))
        return usage_error("--region holds lower-case letters, digits and '-'");
    return 0;
}

/* The signer stands beside this program. */
static int find_enclave(char out[PATH_MAX], const char *named, struct cv_error *err)
{
    char self[PATH_MAX], beside[PATH_MAX + 32];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (!named && n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        *slash = '\0';
        snprintf(beside, sizeof beside, "%s/claviger-enclave-dev", self);
        named = beside;
    }
    if (!named || !realpath(named, out) || access(out, X_OK))
        return cv_error_errno(err, CV_ERR_NOT_FOUND, errno, "the enclave signer %s cannot be run",
                              named ? named : "claviger-enclave-dev");
    return 0;
}

/* Every path in the folder's files is absolute. */
static int enter(char dir[PATH_MAX], int *lock, const char *named, struct cv_error *err)
{
    int rc = cv_dir_make(named, 0700, err);
    if (rc)
        return rc;
    if (!realpath(named, dir))
        return cv_error_errno(err, CV_ERR_IO, errno, "finding %s", named);
    return cv_up_lock(lock, dir, err);
}

static int up(const struct cv_up_options *given, struct cv_error *err)
{
    char dir[PATH_MAX], enclave[PATH_MAX];
    struct cv_up_options o = *given;
    struct cv_up_plan plan;
    int lock = -1, signals = cv_local_children_signals();
    int rc = signals < 0 ? cv_error_errno(err, CV_ERR_IO, errno, "preparing for signals")
                         : find_enclave(enclave, o.enclave, err);
    if (!rc)
        rc = enter(dir, &lock, o.dir, err);
    if (!rc) {
        o.dir = dir;
        o.enclave = enclave;
        rc = cv_up_prepare(&plan, &o, err);
    }
    if (!rc)
        rc = cv_up_run(&plan, signals, err);
    if (lock >= 0)
        close(lock);
    if (signals >= 0)
        close(signals);
    return rc;
}

/* 0, or what the program ends with: 1 when it failed, 2 for wrong options. */
int cv_local_cmd_up(int argc, char **argv)
{
    struct cv_up_options o = {.dir = NULL};
    struct cv_error err;
    bool stop = false;
    enum cv_up_side side = CV_UP_SERVES;
    cv_error_clear(&err);
    int rc = read_options(&o, &stop, argc, argv);
    if (rc)
        return rc;
    cv_log_setup(CV_LOG_INFO, o.json_log);
    if (stop)
        rc = cv_up_stop(o.dir, &err);
    else if (o.background)
        side = cv_up_background(o.dir, &err);
    if (!stop && side == CV_UP_SERVES)
        rc = up(&o, &err);
    if (rc == 0 && side != CV_UP_FAILED)
        return 0;
    if (err.count > 0)
        cv_log_error(CV_LOG_ERROR, "claviger-local up ends", &err);
    return 1;
}
