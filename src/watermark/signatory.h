/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatory's watermark files, read and written.
 *
 *   watermark_v2/Net….json  {"tz…": {"block": {"level", "round", "hash"}, …}, …}
 *   watermark_v1/Net….json  {"tz…": {"level", "round"|null, "order", "hash"}, …}
 *   watermark/Net….json     {"block": {"tz…": {"level", "round", "hash"}}, …}
 *
 * hash is "vh…" or null. The old names endorsement and preendorsement are the
 * new attestation and preattestation; attestation_with_dal shares the bucket of
 * attestation, the greater of the two counts.
 */
#ifndef CV_WATERMARK_SIGNATORY_H
#define CV_WATERMARK_SIGNATORY_H

#include "watermark/marks.h"

#define CV_WM_SIGNATORY_FILE_MAX ((size_t)64 << 20)

enum cv_wm_signatory_version {
    CV_WM_SIGNATORY_V0,
    CV_WM_SIGNATORY_V1,
    CV_WM_SIGNATORY_V2,
    CV_WM_SIGNATORY_ANY, /* told by its shape */
};

/* Gets each mark (seq is 0); a non-zero return ends the reading with it. */
typedef int cv_wm_put_fn(void *ctx, const struct cv_mark *mark);

/* One file of one chain. CV_ERR_INVALID names the key and the member. */
int cv_wm_signatory_parse(enum cv_wm_signatory_version version,
                          const uint8_t chain[CV_MARK_CHAIN_LEN], struct cv_bytes text,
                          cv_wm_put_fn *put, void *ctx, struct cv_error *err) CV_NODISCARD;
/* PATH is a directory of Net….json files or one such file, of any version, or a
 * file {"Net…": {…}} as cv_wm_signatory_dump_all() writes. */
int cv_wm_signatory_import(const char *path, cv_wm_put_fn *put, void *ctx,
                           struct cv_error *err) CV_NODISCARD;
/* What Signatory itself would take over from BASE_DIR: watermark_v2, or, when
 * that has no mark, watermark_v1, or watermark. *FILES = files that held any. */
int cv_wm_signatory_migrate(const char *base_dir, unsigned *files, cv_wm_put_fn *put, void *ctx,
                            struct cv_error *err) CV_NODISCARD;

/* The content of watermark_v2/Net….json for one chain, indented as Signatory
 * does, with the mark of attestations as attestation_with_dal too, which
 * Signatory keeps apart; keys without a mark on this chain are left out. */
int cv_wm_signatory_dump(struct cv_buf *out, const struct cv_marks *marks,
                         const uint8_t chain[CV_MARK_CHAIN_LEN], struct cv_error *err) CV_NODISCARD;
/* {"Net…": {…}, …} of all chains; keys without any mark are in "known": [..]. */
int cv_wm_signatory_dump_all(struct cv_buf *out, const struct cv_marks *marks,
                             struct cv_error *err) CV_NODISCARD;
/* Calls EACH once for each chain that has a mark. */
int cv_wm_chains_each(const struct cv_marks *marks,
                      int (*each)(void *ctx, const uint8_t chain[CV_MARK_CHAIN_LEN]), void *ctx);

/* "Net…" of a chain id, and back. */
#define CV_CHAIN_TEXT_SIZE 24
void cv_chain_format(char out[CV_CHAIN_TEXT_SIZE], const uint8_t chain[CV_MARK_CHAIN_LEN]);
int cv_chain_parse(uint8_t out[CV_MARK_CHAIN_LEN], const char *text) CV_NODISCARD;

#endif
