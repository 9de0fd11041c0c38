/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New keys: the first record of each in the watermark store, at once, and the
 * end of its mark in the key store, many keys together, a moment later, since
 * each change of that file writes all of it. A store that is reached over a
 * network is changed in a thread, so that nobody waits for it.
 */
#ifndef CV_SIGNER_NEWBORN_H
#define CV_SIGNER_NEWBORN_H

#include "keystore/keystore.h"
#include "signer/loop.h"
#include "tezos/keytext.h"
#include "watermark/store.h"

struct cv_newborns;

/* MARKS outlives it. */
int cv_newborns_new(struct cv_newborns **out, struct cv_loop *loop, struct cv_wm_store *marks,
                    struct cv_error *err) CV_NODISCARD;
/* What waits is done first, as by cv_newborns_settle(), and waited for.
 * Harmless on NULL. */
void cv_newborns_free(struct cv_newborns **n);
/* PKH of STORE is new. STORE must live until cv_newborns_free(). */
void cv_newborns_add(struct cv_newborns *n, struct cv_keystore *store, const struct cv_pkh *pkh);
/* Makes the records durable and ends the marks in the key stores, or begins to.
 * What fails is logged, and tried again at the next start. */
void cv_newborns_settle(struct cv_newborns *n);

#endif
