/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "crypto/init.h"
#include "proxy/proxy.h"
#include "signer/gate.h"
#include "signer/server.h"
#include "signer/vault.h"

struct daemon {
    const struct cv_daemon_options *o;
    struct cv_loop *loop;
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
};

int cv_daemon_prepare_base_dir(const char *base_dir, struct cv_error *err)
{
    char path[4096];
    struct stat st;
    if (stat(base_dir, &st) != 0) {
        int rc = cv_dir_make(base_dir, 0770, err);
        if (rc != 0) {
            (void)cv_error_wrap(err, "making the base directory");
            return rc;
        }
    }
    if (snprintf(path, sizeof(path), "%s/.write-test-XXXXXX", base_dir) >= (int)sizeof(path)) {
        return cv_error_set(err, CV_ERR_CONFIG, "base_dir is too long");
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "the base directory %.200s cannot be written",
                              base_dir);
    }
    (void)close(fd);
    (void)unlink(path);
    return 0;
}

/* ---- what vaults say ---- */

static void on_state(void *ctx, struct cv_vault *v)
{
    struct daemon *d = ctx;
    size_t active = 0;
    if (d->stopping) {
        return;
    }
    for (size_t i = 0; i < cv_vault_key_count(v); i++) {
        active += cv_vault_key_at(v, i)->active ? 1 : 0;
    }
    cv_instruments_vault(d->instruments, cv_vault_name(v), cv_vault_state(v) == CV_VAULT_UP,
                         cv_vault_key_count(v), active);
    if (cv_vault_state(v) == CV_VAULT_DOWN) {
        cv_instruments_reconnect(d->instruments, cv_vault_name(v));
        struct cv_error why = *cv_vault_why(v);
        (void)cv_error_wrap(&why, "vault %.60s", cv_vault_name(v));
        cv_log_error(CV_LOG_ERROR, "a vault is not connected; trying again", &why);
    } else if (cv_vault_state(v) == CV_VAULT_UP) {
        cv_log(CV_LOG_INFO, "vault ready", "vault", cv_vault_name(v), "keys",
               cv_logf("%zu", cv_vault_key_count(v)), "usable", cv_logf("%zu", active), NULL);
    }
}

static void on_durable(void *ctx)
{
    struct daemon *d = ctx;
    struct cv_wm_stats stats;
    if (d->server != NULL) {
        cv_server_release(d->server);
        cv_gate_stats(d->gate, &stats);
        cv_instruments_flushes(d->instruments, &stats);
    }
}

static void on_key(void *ctx, struct cv_vault *v, struct cv_vault_key *key)
{
    const struct daemon *d = ctx;
    cv_gate_key(d->gate, cv_vault_store(v), &key->pkh, key->is_new);
    key->is_new = false;
    if (!d->o->no_list) {
        cv_log(CV_LOG_INFO, "key", "pkh", key->pkh_text, "public_key", key->public_key_text, "vault",
               cv_vault_name(v), "listed", cv_gate_policy(d->gate, &key->pkh) != NULL ? "yes" : "no",
               NULL);
    }
}

/* ---- start ---- */

static int start_proxy(struct daemon *d, const struct cv_config_vault *v, struct cv_error *err)
{
    char listen[CV_ADDR_TEXT];
    struct cv_proxy_config c = {.listen = v->proxy_local, .port = v->proxy_remote_port};
    (void)snprintf(c.host, sizeof(c.host), "%s", v->proxy_remote_host);
    int rc = cv_proxy_start(&d->proxies[d->proxy_count], &c, err);
    if (rc != 0) {
        (void)cv_error_wrap(err, "starting the proxy of vault %.60s", v->name);
        return rc;
    }
    cv_log(CV_LOG_INFO, "proxy listening", "vault", v->name, "address",
           cv_addr_format(listen, cv_proxy_address(d->proxies[d->proxy_count])), "target",
           cv_logf("%s:%u", v->proxy_remote_host, v->proxy_remote_port), NULL);
    d->proxy_count++;
    return 0;
}

/* A vault that cannot even be made (its key file is unreadable) is fatal: it
 * would not mend itself. One that cannot connect is tried again for ever. */
static int start_vaults(struct daemon *d, struct cv_error *err)
{
    const struct cv_config *c = d->o->config;
    const struct cv_vault_events events = {on_state, on_key, d};
    d->vaults = calloc(c->vault_count + 1, sizeof(*d->vaults));
    d->proxies = calloc(c->vault_count + 1, sizeof(*d->proxies));
    if (d->vaults == NULL || d->proxies == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the vaults");
    }
    for (size_t i = 0; i < c->vault_count; i++) {
        const struct cv_config_vault *v = &c->vaults[i];
        if (v->cid_defaulted) {
            cv_log(CV_LOG_WARN, "no enclave_cid is configured and ENCLAVE_CID is not set: using 16",
                   "vault", v->name, NULL);
        }
        int rc = v->proxy_remote_host != NULL ? start_proxy(d, v, err) : 0;
        if (rc == 0) {
            rc = cv_vault_new(&d->vaults[d->vault_count], d->loop, v, &d->ring, &events, err);
        }
        if (rc != 0) {
            (void)cv_error_wrap(err, "loading vault %.60s", v->name);
            return rc;
        }
        d->vault_count++;
    }
    return 0;
}

static void on_signal(struct cv_loop_source *source, uint32_t events)
{
    struct daemon *d =
        (struct daemon *)(void *)((char *)source - offsetof(struct daemon, signals));
    struct signalfd_siginfo info;
    (void)events;
    while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            cv_log(CV_LOG_WARN, "SIGHUP: reloading is not available in this version", NULL);
        } else {
            d->signal = (int)info.ssi_signo;
        }
    }
}

/* Blocked before any thread is made, so that no thread takes them. */
static int watch_signals(struct daemon *d, struct cv_error *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) {
        return cv_error_set(err, CV_ERR_IO, "blocking signals failed");
    }
    d->signals.ready = on_signal;
    d->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (d->signals.fd < 0 || cv_loop_add(d->loop, &d->signals, EPOLLIN) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "watching for signals");
    }
    return 0;
}

static void raise_limits(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max < 65536 ? r.rlim_max : 65536;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

/* What the configuration asks for and this version does not do. */
static void announce(const struct daemon *d)
{
    const struct cv_config *c = d->o->config;
    cv_gate_announce(d->gate);
    if (c->key_count == 0) {
        cv_log(CV_LOG_WARN, "no key is listed under tezos: every signing request is refused", NULL);
    }
    if (c->vault_count == 0) {
        cv_log(CV_LOG_WARN, "no vault is configured", NULL);
    }
}

/* What must not be served without: asking for it and not getting it would let
 * in whom it should keep out. */
static int check_supported(const struct cv_config *c, struct cv_error *err)
{
    if (c->policy_hook != NULL) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "policy_hook is not called by this version");
    }
    return 0;
}

static int start(struct daemon *d, struct cv_error *err)
{
    char text[CV_ADDR_TEXT], utility[CV_ADDR_TEXT];
    int rc = check_supported(d->o->config, err);
    if (rc == 0) {
        rc = cv_daemon_prepare_base_dir(d->o->config->base_dir, err);
    }
    if (rc == 0) {
        rc = cv_loop_new(&d->loop, err);
    }
    if (rc == 0) {
        rc = watch_signals(d, err);
    }
    if (rc == 0) {
        const struct cv_gate_options go = {d->loop, d->o->config, on_durable, d};
        rc = cv_gate_new(&d->gate, &go, err);
    }
    if (rc == 0) {
        rc = cv_instruments_new(&d->instruments, d->o->config, err);
    }
    if (rc == 0) {
        announce(d);
        rc = start_vaults(d, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct cv_server_options so = {.loop = d->loop,
                                   .config = d->o->config,
                                   .ring = &d->ring,
                                   .vaults = d->vaults,
                                   .vault_count = d->vault_count,
                                   .gate = d->gate,
                                   .instruments = d->instruments};
    rc = cv_server_start(&d->server, &so, err);
    if (rc != 0) {
        return rc;
    }
    cv_log(CV_LOG_INFO, "listening", "address", cv_addr_format(text, cv_server_address(d->server)),
           "utility_address", cv_addr_format(utility, cv_server_utility_address(d->server)), NULL);
    for (size_t i = 0; i < d->vault_count; i++) {
        cv_vault_start(d->vaults[i]);
    }
    return 0;
}

/* ---- end ---- */

/* Lets requests in work end, for a while. */
static int drain(struct daemon *d)
{
    int64_t deadline = cv_deadline(CV_DAEMON_DRAIN_MS);
    d->stopping = true;
    cv_log(CV_LOG_INFO, "stopping", "signal", strsignal(d->signal), "in_work",
           cv_logf("%zu", cv_server_in_work(d->server)), NULL);
    cv_server_drain(d->server);
    while (cv_server_in_work(d->server) > 0 && cv_now_ms() < deadline) {
        if (cv_loop_once(d->loop, deadline) != 0) {
            return CV_ERR_IO;
        }
    }
    return 0;
}

static void stop(struct daemon *d)
{
    d->stopping = true;
    /* The vaults first: that answers whatever still waits. */
    for (size_t i = 0; i < d->vault_count; i++) {
        cv_vault_free(&d->vaults[i]);
    }
    if (d->gate != NULL) {
        cv_gate_sync(d->gate);
    }
    cv_server_stop(&d->server);
    for (size_t i = 0; i < d->proxy_count; i++) {
        cv_proxy_stop(&d->proxies[i]);
    }
    cv_keyring_free(&d->ring);
    cv_gate_free(&d->gate);
    cv_instruments_free(&d->instruments);
    if (d->loop != NULL && d->signals.fd >= 0) {
        int fd = d->signals.fd;
        cv_loop_remove(d->loop, &d->signals);
        (void)close(fd);
    }
    cv_loop_free(&d->loop);
    free(d->vaults);
    free(d->proxies);
}

int cv_daemon_run(const struct cv_daemon_options *options, struct cv_error *err)
{
    struct daemon d = {.o = options, .signals = {.fd = -1}};
    raise_limits();
    int rc = start(&d, err);
    while (rc == 0 && d.signal == 0) {
        if (cv_loop_once(d.loop, CV_NO_DEADLINE) != 0) {
            rc = cv_error_errno(err, CV_ERR_IO, errno, "the event loop failed");
        }
    }
    if (rc == 0) {
        rc = drain(&d);
    }
    stop(&d);
    if (rc == 0) {
        cv_log(CV_LOG_INFO, "stopped", NULL);
    }
    return rc;
}
