/* SPDX-License-Identifier: Apache-2.0 */
/* What an unfinished reseal leaves in the key store: the data keys that it
 * made. A blob that lies under one of them is done. */
#ifndef CV_SIGNER_RESEAL_NOTE_H
#define CV_SIGNER_RESEAL_NOTE_H

#include "keystore/keystore.h"

#define CV_RESEAL_NOTE "reseal"
#define CV_RESEAL_NOTE_MAX 512 /* data keys; the oldest is forgotten then */
#define CV_DATA_KEY_ID 32      /* SHA-256 of the wrapped data key */

struct cv_reseal_note {
    size_t n;
    uint8_t id[CV_RESEAL_NOTE_MAX][CV_DATA_KEY_ID];
};

bool cv_reseal_note_has(const struct cv_reseal_note *note, const uint8_t id[CV_DATA_KEY_ID]);
/* In memory. */
void cv_reseal_note_add(struct cv_reseal_note *note, const uint8_t id[CV_DATA_KEY_ID]);
/* Those of a run towards CMK; none when there is no note, or another run's. */
int cv_reseal_note_load(struct cv_reseal_note *note, struct cv_keystore *store, const char *cmk,
                        struct cv_error *err) CV_NODISCARD;
/* Durable when it returns. An empty note says that no run is unfinished. */
int cv_reseal_note_save(const struct cv_reseal_note *note, struct cv_keystore *store,
                        const char *cmk, struct cv_error *err) CV_NODISCARD;

#endif
