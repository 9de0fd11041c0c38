/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: everything that `serve` starts, and its life until a signal. */
#ifndef CV_SIGNER_DAEMON_H
#define CV_SIGNER_DAEMON_H

#include "signer/config.h"

#define CV_DAEMON_DRAIN_MS 10000

struct cv_daemon_options {
    struct cv_config *config; /* the daemon's from now on: freed when it ends */
    bool no_list;             /* do not log the keys once they are there */
    bool require_vaults;      /* a vault that does not come up at start is fatal */
    /* For SIGHUP: reads the configuration anew. NULL, and all problems told,
     * when it is not good. */
    struct cv_config *(*reload)(void *ctx);
    void *ctx;
};

/* Runs until SIGTERM or SIGINT, which let requests in work end; SIGHUP reloads
 * keys, policies, clients, caps and certificates, all or none. 0, or why it
 * could not start or go on. */
int cv_daemon_run(struct cv_daemon_options *options, struct cv_error *err) CV_NODISCARD;

/* Makes base_dir (0770) and proves that it can be written. Commands that keep
 * state call it first. */
int cv_daemon_prepare_base_dir(const char *base_dir, struct cv_error *err) CV_NODISCARD;

#endif
