/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that came while their key was still on its way into the enclave, or
 * just after the enclave was lost. */
#include "signer/vault_impl.h"

bool cv_vault_in_grace(const struct cv_vault *vault)
{
    return vault->grace_until > cv_now_ms();
}

bool cv_vault_wait(struct cv_vault_key *key, struct cv_vault_wait *wait, int64_t deadline)
{
    const struct cv_vault *v = key->vault;
    if (key->active || key->fault[0] != 0 || v->state == CV_VAULT_UP ||
        (v->state == CV_VAULT_DOWN && !cv_vault_in_grace(v))) {
        return false;
    }
    cv_vault_wait_anew(key, wait, deadline);
    return true;
}

void cv_vault_wait_anew(struct cv_vault_key *key, struct cv_vault_wait *wait, int64_t deadline)
{
    struct cv_vault *v = key->vault;
    wait->key = key;
    wait->deadline = deadline;
    wait->prev = NULL;
    wait->next = v->waiting;
    if (v->waiting != NULL) {
        v->waiting->prev = wait;
    }
    v->waiting = wait;
}

static void take_out(struct cv_vault *v, struct cv_vault_wait *w)
{
    if (w->prev != NULL) {
        w->prev->next = w->next;
    } else {
        v->waiting = w->next;
    }
    if (w->next != NULL) {
        w->next->prev = w->prev;
    }
}

void cv_vault_wake(struct cv_vault *v, const struct cv_vault_key *key, bool all)
{
    struct cv_vault_wait *ready = NULL;
    int64_t now = all ? 0 : cv_now_ms();
    /* First taken out, then called: a callback may wait for something anew. */
    for (struct cv_vault_wait *w = v->waiting, *next; w != NULL; w = next) {
        next = w->next;
        if (key != NULL ? w->key == key : (all || w->deadline <= now)) {
            take_out(v, w);
            w->next = ready;
            ready = w;
        }
    }
    while (ready != NULL) {
        struct cv_vault_wait *w = ready;
        ready = w->next;
        w->ready(w);
    }
}
