/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local run: options, then run_image.c and run_go.c. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "local/children.h"
#include "local/local.h"
#include "local/run.h"

const char cv_local_run_usage[] =
    "usage: claviger-local run [OPTION]... IMAGE.eif\n"
    "\n"
    "Runs the application of an enclave image on this machine: its second ramdisk under\n"
    "claviger-init-dev, in namespaces, with the parent's side, an NSM that attests what the\n"
    "image measures, and the stand-ins of AWS of 'claviger-local up --dir DIR', which are\n"
    "started when they do not run. Neither the image's kernel nor its own init is used.\n"
    "Needs root, or user namespaces; then the image's files all belong to root inside.\n"
    "\n"
    "  --dir DIR            state of the stand-ins, kept (default: a temporary one)\n"
    "  --env NAME=VALUE     a variable that the parent gives (repeatable)\n"
    "  --file NAME=PATH     an encrypted configuration that the parent has (repeatable)\n"
    "  --expose [HOST:]PORT:INSIDE   instead of every port of the image at 127.0.0.1\n"
    "  --no-expose          no ports\n"
    "  --pcr0 HEX           attest another PCR0 than the image's, to see a refusal\n"
    "  --debug-mode         attest zeros, as an enclave in debug mode\n"
    "  --stop-timeout N     seconds from the stop signal to the kill (10)\n"
    "  --init FILE          default: claviger-init-dev beside this program\n"
    "  --json               what the enclave says, as lines of JSON\n"
    "\n"
    "Ends with the application's exit status (128 + signal), 1 when the boot fails.\n"
    "example: claviger-local run --dir /tmp/claviger app.eif\n";

enum { O_DIR = 256, O_ENV, O_FILE, O_EXPOSE, O_NO_EXPOSE, O_PCR0, O_DEBUG, O_STOP, O_INIT, O_JSON };

static const struct option long_options[] = {
    {"dir", required_argument, NULL, O_DIR},
    {"env", required_argument, NULL, O_ENV},
    {"file", required_argument, NULL, O_FILE},
    {"expose", required_argument, NULL, O_EXPOSE},
    {"no-expose", no_argument, NULL, O_NO_EXPOSE},
    {"pcr0", required_argument, NULL, O_PCR0},
    {"debug-mode", no_argument, NULL, O_DEBUG},
    {"stop-timeout", required_argument, NULL, O_STOP},
    {"init", required_argument, NULL, O_INIT},
    {"json", no_argument, NULL, O_JSON},
    {NULL, 0, NULL, 0},
};

static int usage_error(const char *what)
{
    fprintf(stderr, "claviger-local run: %s\n(claviger-local run --help shows the options)\n",
            what);
    return 2;
}

static int append(struct cv_run_list *list, const char *item)
{
    if (list->count == CV_RUN_LIST)
        return usage_error("an option is given more than 64 times");
    list->item[list->count++] = item;
    return 0;
}

static int take(struct cv_run_options *o, int opt)
{
    char *end;
    switch (opt) {
    case O_DIR:
        o->dir = optarg;
        return *optarg ? 0 : usage_error("--dir has no name");
    case O_ENV:
        return append(&o->env, optarg);
    case O_FILE:
        return append(&o->file, optarg);
    case O_EXPOSE:
        return append(&o->expose, optarg);
    case O_NO_EXPOSE:
        o->no_expose = true;
        return 0;
    case O_PCR0:
        o->pcr0 = optarg;
        return strlen(optarg) == 96 && strspn(optarg, "0123456789abcdefABCDEF") == 96
                   ? 0
                   : usage_error("--pcr0 has 96 hex digits");
    case O_DEBUG:
        o->debug_mode = true;
        return 0;
    case O_STOP:
        o->stop_seconds = (unsigned)strtoul(optarg, &end, 10);
        return *optarg >= '0' && *optarg <= '9' && !*end && o->stop_seconds >= 1 &&
                       o->stop_seconds <= 3600
                   ? 0
                   : usage_error("--stop-timeout is a number of seconds");
    case O_INIT:
        o->init = optarg;
        return 0;
    case O_JSON:
        o->json = true;
        return 0;
    default:
        return usage_error("an option is wrong");
    }
}

int cv_local_cmd_run(int argc, char **argv)
{
    static struct cv_run r;
    struct cv_run_options o = {.image = NULL};
    struct cv_error err;
    int opt, rc, signals = cv_local_children_signals();
    while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if ((rc = take(&o, opt)))
            return rc;
    if (optind + 1 != argc)
        return usage_error("one image is wanted");
    o.image = argv[optind];
    cv_error_clear(&err);
    cv_log_setup(CV_LOG_INFO, o.json);
    rc = cv_run_open(&r, &o, &err);
    int status = 1;
    if (rc)
        cv_log_error(CV_LOG_ERROR, "claviger-local run ends", &err);
    else if (signals >= 0)
        status = cv_run_go(&r, signals);
    cv_run_close(&r);
    return status;
}
