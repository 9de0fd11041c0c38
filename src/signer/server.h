/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP servers of the daemon: the signing API, and the utility server.
 *
 * libmicrohttpd runs inside our loop by its epoll descriptor, without a thread
 * of its own. A request that waits for the enclave is suspended, and all that
 * became ready in one turn of the loop are resumed together.
 */
#ifndef CV_SIGNER_SERVER_H
#define CV_SIGNER_SERVER_H

#include "signer/config.h"
#include "signer/gate.h"
#include "signer/hook.h"
#include "signer/instruments.h"
#include "signer/vault.h"

#define CV_SERVER_SIGN_MS 10000 /* for the enclave to answer */
#define CV_SERVER_WAITING 4096  /* requests in work; then 503 */

struct cv_server;

struct cv_server_options {
    struct cv_loop *loop;
    const struct cv_config *config; /* outlives the server */
    struct cv_keyring *ring;
    struct cv_vault **vaults;
    size_t vault_count;
    struct cv_gate *gate;
    struct cv_instruments *instruments;
    const struct cv_hook *hook; /* NULL = none */
};

/* Binds both addresses and serves. CV_ERR_IO names the address. */
int cv_server_start(struct cv_server **out, const struct cv_server_options *options,
                    struct cv_error *err) CV_NODISCARD;
/* The addresses bound, with the ports that the kernel chose for 0. */
const struct cv_addr *cv_server_address(const struct cv_server *server);
const struct cv_addr *cv_server_utility_address(const struct cv_server *server);
/* Takes another configuration for what comes from now on: clients, caps,
 * certificates. The old one must live while requests are in work. */
int cv_server_reload(struct cv_server *server, const struct cv_config *config,
                     struct cv_error *err) CV_NODISCARD;
/* Takes no new connection, answers what is in work, says so to the others. */
void cv_server_drain(struct cv_server *server);
/* To be called when the gate's watermarks became durable, or failed: answers
 * the signatures that waited for that. */
void cv_server_release(struct cv_server *server);
/* Requests that wait for the enclave or the disk. */
size_t cv_server_in_work(const struct cv_server *server);
/* Nothing may be in work. Fits CV_CLEANUP; harmless on NULL. */
void cv_server_stop(struct cv_server **server);

#endif
