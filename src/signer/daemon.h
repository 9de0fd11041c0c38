/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: everything that `serve` starts, and its life until a signal. */
#ifndef CV_SIGNER_DAEMON_H
#define CV_SIGNER_DAEMON_H

#include "signer/config.h"

#define CV_DAEMON_DRAIN_MS 10000

struct cv_daemon_options {
    const struct cv_config *config;
    bool no_list; /* do not log the keys once they are there */
};

/* Runs until SIGTERM or SIGINT, which let requests in work end. 0, or why it
 * could not start or go on. */
int cv_daemon_run(const struct cv_daemon_options *options, struct cv_error *err) CV_NODISCARD;

/* Makes base_dir (0770) and proves that it can be written. Commands that keep
 * state call it first. */
int cv_daemon_prepare_base_dir(const char *base_dir, struct cv_error *err) CV_NODISCARD;

#endif
