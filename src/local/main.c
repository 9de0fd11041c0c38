/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommand table of claviger-local. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "local/local.h"

#ifndef CV_VERSION
#define CV_VERSION "unknown"
#endif

struct command {
    const char *name;
    const char *summary;
    const char *usage;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#ifdef CV_LOCAL_UP
    {"up", "everything that the daemon needs, in one folder", cv_local_up_usage, cv_local_cmd_up},
#endif
#ifdef CV_LOCAL_RUN
    {"run", "an enclave image, without an enclave", cv_local_run_usage, cv_local_cmd_run},
#endif
#ifdef CV_LOCAL_KMS
    {"kms", "a KMS that verifies attestation and key policy", cv_local_kms_usage, cv_local_cmd_kms},
#endif
#ifdef CV_LOCAL_NSM
    {"nsm", "a Nitro Security Module on a UNIX socket", cv_local_nsm_usage, cv_local_cmd_nsm},
#endif
#ifdef CV_LOCAL_PROXY
    {"proxy", "the enclave's way to the KMS", cv_local_proxy_usage, cv_local_cmd_proxy},
#endif
#ifdef CV_LOCAL_IMDS
    {"imds", "instance metadata with a role's credentials", cv_local_imds_usage, cv_local_cmd_imds},
#endif
#ifdef CV_LOCAL_STS
    {"sts", "who signed, and sessions of roles", cv_local_sts_usage, cv_local_cmd_sts},
#endif
#ifdef CV_LOCAL_S3
    {"s3", "objects for signed requests", cv_local_s3_usage, cv_local_cmd_s3},
#endif
#ifdef CV_LOCAL_VM
    {"vm", "an enclave image in a virtual machine", cv_local_vm_usage, cv_local_cmd_vm},
#endif
    {NULL, NULL, NULL, NULL},
};

static int usage(FILE *to, int status)
{
    fputs("usage: claviger-local COMMAND [OPTION]...\n\n"
          "Stand-ins for a developer's machine. They refuse what AWS would refuse; their\n"
          "keys and documents are worth nothing anywhere else.\n\ncommands:\n",
          to);
    for (const struct command *c = commands; c->name; c++)
        fprintf(to, "  %-8s %s\n", c->name, c->summary);
    fputs("\n'claviger-local COMMAND --help' describes one of them.\n"
          "example: claviger-local up --dir /tmp/claviger\n",
          to);
    return status;
}

static const struct command *find(const char *name)
{
    const struct command *c = commands;
    while (c->name && strcmp(c->name, name))
        c++;
    return c->name ? c : NULL;
}

int main(int argc, char **argv)
{
    /* A peer that leaves is an error of that connection, not of the process. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return usage(stderr, 2);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return usage(stdout, 0);
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V") || !strcmp(argv[1], "version")) {
        puts("claviger-local " CV_VERSION);
        return 0;
    }
    const struct command *c = find(argv[1]);
    if (!c) {
        fprintf(stderr, "claviger-local: there is no command '%s'\n\n", argv[1]);
        return usage(stderr, 2);
    }
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--"))
            break;
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(c->usage, stdout);
            return 0;
        }
    }
    return c->run(argc - 1, argv + 1);
}
