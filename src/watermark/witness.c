/* SPDX-License-Identifier: Apache-2.0 */
#include "watermark/witness.h"

#include <stdio.h>
#include <string.h>

#include "common/hex.h"

#define WITNESS_MAX 256
#define WITNESS_MAGIC "claviger watermark witness 1\n"

/* The text is read back by writing it again: one spelling, nothing else. */
static int format(char out[WITNESS_MAX], const struct cv_wm_witness *w)
{
    char id[2 * CV_WM_STORE_ID_LEN + 1];
    cv_hex_encode(id, w->store_id, CV_WM_STORE_ID_LEN);
    return snprintf(out, WITNESS_MAX, WITNESS_MAGIC "store %s\nepoch %llu\nfloor %llu\n", id,
                    (unsigned long long)w->epoch, (unsigned long long)w->floor);
}

int cv_wm_witness_parse(struct cv_wm_witness *out, struct cv_bytes text, struct cv_error *err)
{
    char copy[WITNESS_MAX];
    char id[2 * CV_WM_STORE_ID_LEN + 1] = "";
    unsigned long long epoch = 0;
    unsigned long long floor = 0;
    if (text.n > 0 && text.n < sizeof copy) {
        memcpy(copy, text.p, text.n);
        copy[text.n] = '\0';
        if (sscanf(copy, WITNESS_MAGIC "store %32s epoch %llu floor %llu", id, &epoch, &floor) ==
            3) {
            size_t n = 0;
            out->epoch = epoch;
            out->floor = floor;
            char again[WITNESS_MAX];
            if (cv_hex_decode(out->store_id, sizeof out->store_id, &n, cv_bytes_str(id)) == CV_OK &&
                n == sizeof out->store_id && (size_t)format(again, out) == text.n &&
                memcmp(again, text.p, text.n) == 0) {
                return CV_OK;
            }
        }
    }
    return cv_error_set(err, CV_ERR_INVALID, "not a watermark witness");
}

int cv_wm_witness_load(struct cv_wm_witness *out, struct cv_keystore *ks, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, WITNESS_MAX);
    int r = cv_keystore_note_get(ks, CV_WM_WITNESS_NOTE, &text, err);
    if (r == CV_OK && (r = cv_wm_witness_parse(out, cv_buf_view(&text), err)) != CV_OK) {
        cv_error_wrap(err, "%s: its note \"" CV_WM_WITNESS_NOTE "\" is damaged",
                      cv_keystore_name(ks));
    }
    return r;
}

int cv_wm_witness_save(const struct cv_wm_witness *w, struct cv_keystore *ks, struct cv_error *err)
{
    char text[WITNESS_MAX];
    int n = format(text, w);
    return cv_keystore_note_put(ks, CV_WM_WITNESS_NOTE, CV_BYTES(text, (size_t)n), err);
}
