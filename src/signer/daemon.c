/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/daemon_impl.h"

#include <curl/curl.h>
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
#include "program/program.h"
#include "signer/gate.h"
#include "signer/notify.h"
#include "signer/sandbox.h"
#include "signer/vault.h"

#define HOOK_THREADS 8
#define HOOK_QUEUE 512
#define REQUIRE_MS 120000
#define TABLE_MS 3000 /* for a shared watermark table before listening without it */

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

#define MISSING_TOLD 10

void cv_daemon_tell_missing(struct cv_daemon *d)
{
    size_t missing = 0;
    for (size_t i = 0; i < d->vault_count; i++) {
        if (cv_vault_state(d->vaults[i]) != CV_VAULT_UP) {
            return;
        }
    }
    if (d->told_missing) {
        return;
    }
    d->told_missing = true;
    for (size_t i = 0; i < d->config->key_count; i++) {
        const struct cv_config_key *k = &d->config->keys[i];
        if (cv_keyring_find(&d->ring, &k->pkh) == NULL && ++missing <= MISSING_TOLD) {
            cv_log(CV_LOG_WARN, "a key that the configuration lists is in no vault", "pkh", k->text,
                   "line", cv_logf("%u", k->line), NULL);
        }
    }
    if (missing > MISSING_TOLD) {
        cv_log(CV_LOG_WARN, "more listed keys are in no vault", "keys",
               cv_logf("%zu", missing - MISSING_TOLD), NULL);
    }
}

static void on_state(void *ctx, struct cv_vault *v)
{
    struct cv_daemon *d = ctx;
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
        /* Tried several times a second: not each time is worth a line. */
        cv_log_error(cv_vault_attempts(v) % 120 == 1 ? CV_LOG_ERROR : CV_LOG_DEBUG,
                     "a vault is not connected; trying again", &why);
    } else if (cv_vault_state(v) == CV_VAULT_UP) {
        cv_log(CV_LOG_INFO, "vault ready", "vault", cv_vault_name(v), "keys",
               cv_logf("%zu", cv_vault_key_count(v)), "usable", cv_logf("%zu", active), NULL);
        cv_daemon_tell_missing(d);
    }
}

static void on_durable(void *ctx)
{
    struct cv_daemon *d = ctx;
    struct cv_wm_stats stats;
    if (d->server != NULL) {
        cv_server_release(d->server);
        cv_gate_stats(d->gate, &stats);
        cv_instruments_flushes(d->instruments, &stats);
    }
}

static void on_key(void *ctx, struct cv_vault *v, struct cv_vault_key *key)
{
    const struct cv_daemon *d = ctx;
    cv_gate_key(d->gate, cv_vault_store(v), &key->pkh, key->is_new);
    key->is_new = false;
    if (!d->o->no_list) {
        cv_log(CV_LOG_INFO, "key", "pkh", key->pkh_text, "public_key", key->public_key_text,
               "vault", cv_vault_name(v), "listed",
               cv_gate_policy(d->gate, &key->pkh) != NULL ? "yes" : "no", NULL);
    }
}

static void on_kms(void *ctx, const struct cv_vault *v, const char *request, bool good)
{
    const struct cv_daemon *d = ctx;
    cv_instruments_kms(d->instruments, cv_vault_name(v), request, good);
}

/* ---- start ---- */

static int start_proxy(struct cv_daemon *d, const struct cv_config_vault *v, struct cv_error *err)
{
    char listen[CV_ADDR_TEXT];
    struct cv_proxy_config c = {.listen = v->proxy_local, .port = v->proxy_remote_port};
    (void)snprintf(c.host, sizeof(c.host), "%s", v->proxy_remote_host);
    c.cid_count = cv_config_cids(d->config, c.cids, CV_PROXY_CIDS);
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
static int start_vaults(struct cv_daemon *d, struct cv_error *err)
{
    const struct cv_config *c = d->config;
    const struct cv_vault_events events = {
        .state = on_state, .key = on_key, .ctx = d, .kms = on_kms, .patient = true};
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

static void on_watchdog(struct cv_loop_timer *timer)
{
    cv_notify("WATCHDOG=1");
    cv_loop_timer_set(timer, cv_deadline(cv_notify_watchdog_ms()));
}

static void on_signal(struct cv_loop_source *source, uint32_t events)
{
    struct cv_daemon *d =
        (struct cv_daemon *)(void *)((char *)source - offsetof(struct cv_daemon, signals));
    struct signalfd_siginfo info;
    (void)events;
    while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            cv_daemon_reload(d);
        } else {
            d->signal = (int)info.ssi_signo;
        }
    }
}

/* Blocked before any thread is made, so that no thread takes them. */
static int64_t write_log(struct cv_loop_hook *hook)
{
    (void)hook;
    cv_log_flush();
    return CV_NO_DEADLINE;
}

static int watch_signals(struct cv_daemon *d, struct cv_error *err)
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
static void announce(const struct cv_daemon *d)
{
    const struct cv_config *c = d->config;
    cv_gate_announce(d->gate);
    if (c->key_count == 0) {
        cv_log(CV_LOG_WARN, "no key is listed under tezos: every signing request is refused", NULL);
    }
    if (c->vault_count == 0) {
        cv_log(CV_LOG_WARN, "no vault is configured", NULL);
    }
}

static int start_hook(struct cv_daemon *d, struct cv_error *err)
{
    if (d->config->policy_hook == NULL) {
        return 0;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return cv_error_set(err, CV_ERR_INTERNAL, "libcurl could not be started");
    }
    d->hook.config = d->config;
    int rc = cv_pool_new(&d->pool, d->loop, HOOK_THREADS, HOOK_QUEUE, err);
    d->hook.pool = d->pool;
    return rc;
}

/* Everything is open, and nothing was served: from here on no program is run
 * but by the helper, which knows all of them. */
static int close_sandbox(struct cv_error *err)
{
    struct cv_error why;
    int rc = cv_program_helper_seal(err);
    if (rc != 0) {
        return rc;
    }
    cv_error_clear(&why);
    if (cv_sandbox_enter(&why) != 0) {
        cv_log_error(CV_LOG_WARN, "the daemon runs without its sandbox", &why);
    } else if (!CV_SANDBOX_BUILT) {
        cv_log(CV_LOG_INFO, "no sandbox: this program was built with a sanitizer", NULL);
    }
    return 0;
}

/* With --require-vaults: until each is up, or one is down. */
static int await_vaults(struct cv_daemon *d, struct cv_error *err)
{
    int64_t deadline = cv_deadline(REQUIRE_MS);
    for (size_t i = 0; i < d->vault_count && d->signal == 0;) {
        struct cv_vault *v = d->vaults[i];
        if (cv_vault_state(v) == CV_VAULT_UP) {
            i++;
            continue;
        }
        if (cv_vault_state(v) == CV_VAULT_DOWN) {
            *err = *cv_vault_why(v);
            (void)cv_error_wrap(err, "vault %.60s", cv_vault_name(v));
            return err->code;
        }
        if (cv_now_ms() >= deadline || cv_loop_once(d->loop, deadline) != 0) {
            return cv_error_set(err, CV_ERR_TIMEOUT, "vault %.60s was not ready in time",
                                cv_vault_name(v));
        }
    }
    return 0;
}

static int start(struct cv_daemon *d, struct cv_error *err)
{
    char text[CV_ADDR_TEXT], utility[CV_ADDR_TEXT];
    int rc = cv_daemon_prepare_base_dir(d->config->base_dir, err);
    if (rc == 0) {
        rc = cv_loop_new(&d->loop, err);
    }
    if (rc == 0) {
        /* The first hook runs last: after all that a turn has to say. */
        d->log.before_wait = write_log;
        cv_loop_hook_add(d->loop, &d->log);
        rc = watch_signals(d, err);
    }
    if (rc == 0) {
        const struct cv_gate_options go = {d->loop, d->config, on_durable, d};
        rc = cv_gate_new(&d->gate, &go, err);
    }
    if (rc == 0) {
        cv_gate_await(d->gate, cv_deadline(TABLE_MS));
    }
    if (rc == 0) {
        rc = cv_instruments_new(&d->instruments, d->config, err);
    }
    if (rc == 0) {
        announce(d);
        rc = start_hook(d, err);
    }
    if (rc == 0) {
        rc = start_vaults(d, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct cv_server_options so = {.loop = d->loop,
                                   .config = d->config,
                                   .ring = &d->ring,
                                   .vaults = d->vaults,
                                   .vault_count = d->vault_count,
                                   .gate = d->gate,
                                   .instruments = d->instruments,
                                   .hook = d->pool != NULL ? &d->hook : NULL};
    rc = cv_server_start(&d->server, &so, err);
    if (rc != 0) {
        return rc;
    }
    cv_log(CV_LOG_INFO, "listening", "address", cv_addr_format(text, cv_server_address(d->server)),
           "utility_address", cv_addr_format(utility, cv_server_utility_address(d->server)), NULL);
    rc = close_sandbox(err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < d->vault_count; i++) {
        cv_vault_start(d->vaults[i]);
    }
    cv_daemon_reload_start(d);
    cv_loop_timer_init(d->loop, &d->watchdog, on_watchdog);
    if (cv_notify_watchdog_ms() > 0) {
        cv_loop_timer_set(&d->watchdog, cv_now_ms());
    }
    if (d->o->require_vaults) {
        rc = await_vaults(d, err);
    }
    if (rc == 0) {
        cv_notify("READY=1");
        cv_log_gather(true); /* the lines of requests; those of the start were written each */
    }
    return rc;
}

/* ---- end ---- */

/* Lets requests in work end, for a while. */
static int drain(struct cv_daemon *d)
{
    int64_t deadline = cv_deadline(CV_DAEMON_DRAIN_MS);
    d->stopping = true;
    cv_notify("STOPPING=1");
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

static void stop(struct cv_daemon *d)
{
    d->stopping = true;
    /* Hook and vaults first: that answers whatever still waits. */
    cv_pool_free(&d->pool);
    if (d->gate != NULL) {
        cv_gate_settle_new_keys(d->gate);
    }
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
    if (d->loop != NULL) {
        cv_loop_timer_off(&d->tidy);
        cv_loop_timer_off(&d->watchdog);
    }
    cv_log_gather(false);
    cv_loop_free(&d->loop);
    free(d->vaults);
    free(d->proxies);
    cv_daemon_reload_end(d);
    cv_program_helper_stop();
    if (d->config != d->first) {
        cv_config_free(&d->config);
    }
    cv_config_free(&d->first);
}

int cv_daemon_run(struct cv_daemon_options *options, struct cv_error *err)
{
    struct cv_daemon d = {
        .o = options, .config = options->config, .first = options->config, .signals = {.fd = -1}};
    options->config = NULL;
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
