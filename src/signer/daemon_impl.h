/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the daemon, shared by daemon*.c alone. */
#ifndef CV_SIGNER_DAEMON_IMPL_H
#define CV_SIGNER_DAEMON_IMPL_H

#include "proxy/proxy.h"
#include "signer/daemon.h"
#include "signer/hook.h"
#include "signer/server.h"

/* A configuration that requests in work may still refer to. */
struct old_config {
    struct cv_config *config;
    struct old_config *next;
};

struct cv_daemon {
    const struct cv_daemon_options *o;
    struct cv_config *config; /* in force */
    struct cv_config *first;  /* the vaults refer to it */
    struct old_config *old;
    struct cv_pool *pool;
    struct cv_hook hook;
    struct cv_loop_timer tidy; /* frees old configurations */
    struct cv_loop_timer watchdog;
    struct cv_loop *loop;
    struct cv_loop_hook log; /* writes the lines of a turn */
    struct cv_keyring ring;
    struct cv_gate *gate;
    struct cv_vault **vaults; /* those that could be made */
    size_t vault_count;
    struct cv_proxy **proxies;
    size_t proxy_count;
    struct cv_server *server;
    struct cv_instruments *instruments;
    struct cv_loop_source signals;
    int signal;
    bool stopping;
    bool told_missing; /* which listed keys are in no vault */
};

/* Once all vaults are up: says which keys the configuration lists in vain. */
void cv_daemon_tell_missing(struct cv_daemon *d);

/* Reads the configuration anew and puts it in force, or leaves all as it is. */
void cv_daemon_reload(struct cv_daemon *d);
void cv_daemon_reload_start(struct cv_daemon *d);
/* Frees what reloads have left behind. */
void cv_daemon_reload_end(struct cv_daemon *d);

#endif
