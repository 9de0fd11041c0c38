/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where keys lie: records of one size in slabs of locked secret memory, shared
 * by all sessions. A record is wiped when it is given back.
 */
#ifndef CV_ENCLAVE_ARENA_H
#define CV_ENCLAVE_ARENA_H

#include "crypto/scheme.h"

#define CV_KEYS_MAX 65536 /* records of the whole process */

enum cv_origin {
    CV_ORIGIN_GENERATED, /* made by this session, in this enclave */
    CV_ORIGIN_SEALED,    /* opened from a blob */
    CV_ORIGIN_PLAIN,     /* given in clear by the parent */
    CV_ORIGIN_IMPORTED,  /* given by somebody who sealed it to this enclave */
};

/* A private key, a data key (scheme unused), or the key pair of an import (scheme
 * unused, X25519). Written before it is handed to
 * another thread, only read afterwards. */
struct cv_key {
    uint64_t id;         /* never used twice in the life of the process */
    struct cv_key *next; /* while free */
    uint32_t session;    /* number of the session that owns it */
    uint8_t scheme;      /* enum cv_scheme */
    uint8_t origin;      /* enum cv_origin */
    uint8_t cmk;         /* index into the session's table of CMKs */
    uint8_t private_key[CV_PRIVATE_KEY_LEN];
    uint8_t public_key[CV_PUBLIC_KEY_MAX]; /* of a version 2 blob: as its header says */
};

/* NULL when memory is out or CV_KEYS_MAX are in use. Thread-safe. */
struct cv_key *cv_key_new(uint32_t session);
/* Harmless on NULL. Thread-safe. */
void cv_key_free(struct cv_key *key);
void cv_key_public(struct cv_public_key *out, const struct cv_key *key);

#endif
