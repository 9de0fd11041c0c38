/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/datakey.h"

#include <stdlib.h>
#include <string.h>

#define KEY_ID_MAX 2048 /* of KMS */

struct cv_datakey {
    struct cv_datakey *next;
    struct cv_key *secret; /* NULL while it is being fetched */
    bool seals;
    uint32_t session;
    unsigned users;  /* jobs that use it now */
    uint32_t sealed; /* blobs made with it */
    uint64_t last_use;
    struct cv_job *waiting, *last_waiting;
    char asked[KEY_ID_MAX + 1]; /* a key that seals: the name it was asked by */
    struct cv_wrapped wrapped;
};

static void append(struct cv_datakey *entry, struct cv_job *job)
{
    job->next = NULL;
    if (entry->waiting == NULL)
        entry->waiting = job;
    else
        entry->last_waiting->next = job;
    entry->last_waiting = job;
}

static void count(struct cv_datakeys *keys, struct cv_datakey *entry, struct cv_job *job)
{
    entry->users++;
    entry->last_use = ++keys->clock;
    job->datakey = entry;
}

static void remove_entry(struct cv_datakeys *keys, struct cv_datakey *entry)
{
    struct cv_datakey **at = &keys->first;
    while (*at != NULL && *at != entry)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = entry->next;
    keys->count--;
    cv_key_free(entry->secret);
    free(entry);
}

/* Room for one more; the one that was not used for the longest time goes. */
static bool make_room(struct cv_datakeys *keys)
{
    struct cv_datakey *oldest = NULL;
    if (keys->count < CV_DATAKEYS_MAX)
        return true;
    for (struct cv_datakey *e = keys->first; e != NULL; e = e->next)
        if (e->users == 0 && e->secret != NULL &&
            (oldest == NULL || e->last_use < oldest->last_use))
            oldest = e;
    if (oldest == NULL)
        return false;
    remove_entry(keys, oldest);
    return true;
}

static enum cv_datakey_state add(struct cv_datakey **out, struct cv_datakeys *keys,
                                 struct cv_job *job, uint32_t session)
{
    if (!make_room(keys))
        return CV_DATAKEY_NO_ROOM;
    struct cv_datakey *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return CV_DATAKEY_NO_ROOM;
    entry->session = session;
    entry->next = keys->first;
    keys->first = entry;
    keys->count++;
    append(entry, job);
    *out = entry;
    return CV_DATAKEY_FETCH;
}

static enum cv_datakey_state use(struct cv_datakey **out, struct cv_datakeys *keys,
                                 struct cv_datakey *entry, struct cv_job *job)
{
    *out = entry;
    if (entry->secret == NULL) {
        append(entry, job);
        return CV_DATAKEY_WAIT;
    }
    count(keys, entry, job);
    return CV_DATAKEY_READY;
}

enum cv_datakey_state cv_datakey_for_opening(struct cv_datakey **entry, struct cv_datakeys *keys,
                                             struct cv_job *job, uint32_t session,
                                             struct cv_bytes cmk, struct cv_bytes wrapped)
{
    for (struct cv_datakey *e = keys->first; e != NULL; e = e->next)
        if (!e->seals && cv_bytes_equal_str(cmk, e->wrapped.cmk) &&
            cv_bytes_equal(wrapped, CV_BYTES(e->wrapped.p, e->wrapped.n)))
            return use(entry, keys, e, job);
    if (cmk.n > CV_SEALED_ARN_MAX || wrapped.n > CV_SEALED_WRAPPED_MAX)
        return CV_DATAKEY_NO_ROOM;
    enum cv_datakey_state state = add(entry, keys, job, session);
    if (state == CV_DATAKEY_FETCH) {
        memcpy((*entry)->wrapped.cmk, cmk.p, cmk.n);
        memcpy((*entry)->wrapped.p, wrapped.p, wrapped.n);
        (*entry)->wrapped.n = wrapped.n;
    }
    return state;
}

enum cv_datakey_state cv_datakey_for_sealing(struct cv_datakey **entry, struct cv_datakeys *keys,
                                             struct cv_job *job, uint32_t session,
                                             const char *key_id)
{
    for (struct cv_datakey *e = keys->first; e != NULL; e = e->next)
        if (e->seals && e->sealed < CV_DATAKEY_SEALS_MAX && strcmp(e->asked, key_id) == 0) {
            e->sealed++;
            return use(entry, keys, e, job);
        }
    if (strlen(key_id) > KEY_ID_MAX)
        return CV_DATAKEY_NO_ROOM;
    enum cv_datakey_state state = add(entry, keys, job, session);
    if (state == CV_DATAKEY_FETCH) {
        (*entry)->seals = true;
        (*entry)->sealed = 1;
        memcpy((*entry)->asked, key_id, strlen(key_id) + 1);
    }
    return state;
}

static struct cv_job *take_waiting(struct cv_datakey *entry)
{
    struct cv_job *list = entry->waiting;
    entry->waiting = entry->last_waiting = NULL;
    return list;
}

struct cv_job *cv_datakey_fetched(struct cv_datakey *entry, struct cv_key *secret,
                                  const struct cv_wrapped *wrapped)
{
    entry->secret = secret;
    if (wrapped != NULL)
        entry->wrapped = *wrapped;
    struct cv_job *list = take_waiting(entry);
    for (struct cv_job *job = list; job != NULL; job = job->next) {
        entry->users++;
        job->datakey = entry;
    }
    return list;
}

struct cv_job *cv_datakey_failed(struct cv_datakeys *keys, struct cv_datakey *entry)
{
    struct cv_job *list = take_waiting(entry);
    remove_entry(keys, entry);
    return list;
}

void cv_datakey_release(struct cv_job *job)
{
    if (job->datakey != NULL)
        job->datakey->users--;
    job->datakey = NULL;
}

void cv_datakeys_free(struct cv_datakeys *keys)
{
    while (keys->first != NULL)
        remove_entry(keys, keys->first);
}

const uint8_t *cv_datakey_bytes(const struct cv_datakey *entry)
{
    return entry->secret->private_key;
}

const char *cv_datakey_cmk(const struct cv_datakey *entry)
{
    return entry->wrapped.cmk[0] != '\0' ? entry->wrapped.cmk : entry->asked;
}

struct cv_bytes cv_datakey_wrapped(const struct cv_datakey *entry)
{
    return CV_BYTES(entry->wrapped.p, entry->wrapped.n);
}

uint32_t cv_datakey_session(const struct cv_datakey *entry)
{
    return entry->session;
}

bool cv_datakey_seals(const struct cv_datakey *entry)
{
    return entry->seals;
}
