/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness lies with the keys, away from the watermark store, and remembers
 * which store there is and how far it had come: so a store that was deleted,
 * or restored from an older copy, is noticed. It is a note of the key store
 * (docs/protocol/watermark-log.md).
 */
#ifndef CV_WATERMARK_WITNESS_H
#define CV_WATERMARK_WITNESS_H

#include "keystore/keystore.h"
#include "watermark/block.h"

#define CV_WM_WITNESS_NOTE "witness"

struct cv_wm_witness {
    uint8_t store_id[CV_WM_STORE_ID_LEN];
    uint64_t epoch; /* the store's epoch is this one, or a later one (a crash in between) */
    uint64_t floor; /* the store's next sequence number is at least this one */
};

/* CV_ERR_NOT_FOUND, CV_ERR_INVALID. */
int cv_wm_witness_load(struct cv_wm_witness *out, struct cv_keystore *ks,
                       struct cv_error *err) CV_NODISCARD;
int cv_wm_witness_save(const struct cv_wm_witness *w, struct cv_keystore *ks,
                       struct cv_error *err) CV_NODISCARD;
/* Of a text; for the loader and the fuzzer. */
int cv_wm_witness_parse(struct cv_wm_witness *out, struct cv_bytes text,
                        struct cv_error *err) CV_NODISCARD;

#endif
