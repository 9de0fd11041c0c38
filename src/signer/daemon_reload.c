/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP: another configuration, all of it or none. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "signer/daemon_impl.h"
#include "signer/notify.h"

static bool same_addr(const struct cv_addr *a, const struct cv_addr *b)
{
    char x[CV_ADDR_TEXT], y[CV_ADDR_TEXT];
    return strcmp(cv_addr_format(x, a), cv_addr_format(y, b)) == 0;
}

/* What a reload does not touch. */
static bool needs_restart(const struct cv_config *a, const struct cv_config *b)
{
    if (strcmp(a->base_dir, b->base_dir) != 0 || !same_addr(&a->address, &b->address) ||
        !same_addr(&a->utility_address, &b->utility_address) || a->watermark != b->watermark ||
        (a->tls.certificate == NULL) != (b->tls.certificate == NULL) ||
        (a->policy_hook == NULL) != (b->policy_hook == NULL) || a->vault_count != b->vault_count) {
        return true;
    }
    for (size_t i = 0; i < a->vault_count; i++) {
        const struct cv_config_vault *v = &a->vaults[i];
        const struct cv_config_vault *w = &b->vaults[i];
        if (strcmp(v->name, w->name) != 0 || !same_addr(&v->enclave, &w->enclave) ||
            strcmp(v->encryption_key_id, w->encryption_key_id) != 0) {
            return true;
        }
    }
    return false;
}

static void on_tidy(struct cv_loop_timer *timer)
{
    struct cv_daemon *d =
        (struct cv_daemon *)(void *)((char *)timer - offsetof(struct cv_daemon, tidy));
    if (cv_server_in_work(d->server) > 0) {
        cv_loop_timer_set(timer, cv_deadline(1000));
        return;
    }
    cv_daemon_reload_end(d);
}

static int replace_config(struct cv_daemon *d, struct cv_config *next, struct cv_error *err)
{
    struct old_config *o = calloc(1, sizeof(*o));
    if (o == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for another configuration");
    }
    /* The server's certificates first: that may fail, and so may the gate, and
     * then the old configuration stays whole. */
    int rc = cv_gate_reload(d->gate, next, err);
    if (rc == 0) {
        rc = cv_server_reload(d->server, next, err);
        if (rc != 0 && cv_gate_reload(d->gate, d->config, NULL) != 0) {
            cv_log(CV_LOG_ERROR, "the old policy could not be put back", NULL);
        }
    }
    if (rc != 0) {
        free(o);
        return rc;
    }
    d->hook.config = next;
    if (d->config == d->first) {
        free(o); /* freed at the end */
    } else {
        o->config = d->config;
        o->next = d->old;
        d->old = o;
        cv_loop_timer_set(&d->tidy, cv_deadline(1000));
    }
    d->config = next;
    return 0;
}

void cv_daemon_reload(struct cv_daemon *d)
{
    struct cv_error err;
    cv_error_clear(&err);
    cv_notify("RELOADING=1");
    struct cv_config *next = d->o->reload != NULL ? d->o->reload(d->o->ctx) : NULL;
    if (next == NULL) {
        cv_log(CV_LOG_ERROR, "the configuration is not good: the old one stays in force", NULL);
    } else {
        if (needs_restart(d->config, next)) {
            cv_log(CV_LOG_WARN,
                   "changes of addresses, directories, vaults, watermark driver, or TLS and policy "
                   "hook on or off take effect at a restart",
                   NULL);
        }
        if (replace_config(d, next, &err) != 0) {
            cv_log_error(CV_LOG_ERROR,
                         "the configuration could not be taken: the old one stays in force", &err);
            cv_config_free(&next);
        } else {
            cv_log(CV_LOG_INFO, "configuration reloaded", "keys",
                   cv_logf("%zu", d->config->key_count), NULL);
            d->told_missing = false;
            cv_daemon_tell_missing(d);
        }
    }
    cv_notify("READY=1");
}

void cv_daemon_reload_start(struct cv_daemon *d)
{
    cv_loop_timer_init(d->loop, &d->tidy, on_tidy);
}

void cv_daemon_reload_end(struct cv_daemon *d)
{
    while (d->old != NULL) {
        struct old_config *o = d->old;
        d->old = o->next;
        cv_config_free(&o->config);
        free(o);
    }
}
