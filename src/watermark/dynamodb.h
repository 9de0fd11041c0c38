/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watermarks in a DynamoDB table that several daemons share (library
 * cv_watermark_dynamodb). The items are Signatory's: key "idx" (S) =
 * "Net…/tz…" and "request" (S) = "block", "preattestation" or "attestation";
 * "lvl" and "round" (N), "digest" (B, 32 bytes). A key of which nothing was
 * signed yet has an item with idx = "tz…" and request = "known".
 *
 * Each advance is one conditional update: of two daemons that race for one
 * level and round, one gets it. The same request again is allowed. What
 * Signatory wrote under attestation_with_dal shares the bucket of attestation:
 * opening folds it in, so Signatory must not write to the table meanwhile.
 *
 * All functions wait for AWS: never on an event loop's thread. Usable from
 * several threads.
 */
#ifndef CV_WATERMARK_DYNAMODB_H
#define CV_WATERMARK_DYNAMODB_H

#include "aws/config.h"
#include "watermark/marks.h"

#define CV_WM_TABLE "watermark" /* Signatory's default */

struct cv_wm_ddb;

struct cv_wm_ddb_options {
    const char *table;    /* NULL = CV_WM_TABLE */
    const char *region;   /* NULL = what the configuration finds */
    const char *endpoint; /* a URL, or NULL */
    bool create;          /* make the table, with on-demand billing, when absent */
    int64_t table_ms;     /* for finding or making it; 0: 1 minute, 5 when it is made */
};

/* AWS is owned from now on, also when this fails; *AWS is NULL afterwards.
 * CV_ERR_NOT_FOUND when the table is absent and not to be made. */
int cv_wm_ddb_open(struct cv_wm_ddb **out, struct cv_aws_config **aws,
                   const struct cv_wm_ddb_options *options, struct cv_error *err) CV_NODISCARD;
void cv_wm_ddb_close(struct cv_wm_ddb *w); /* NULL is fine */

/* Stores WANTED (seq ignored) when the rule allows it; a signature may leave
 * only after 0.
 *   CV_ERR_DENIED     not greater than what is stored: this request, or another
 *                     daemon, was there before
 *   CV_ERR_NOT_FOUND  the key has no record
 *   CV_ERR_INVALID    negative level or round
 *   every other code  AWS failed: nothing may be signed, asking again is safe */
int cv_wm_ddb_advance(struct cv_wm_ddb *w, const struct cv_mark *wanted, int64_t deadline,
                      struct cv_error *err) CV_NODISCARD;
/* Stores MARK without the need of a record, but never a smaller one than is
 * there (CV_ERR_DENIED): "nothing signed yet" (CV_MARK_KNOWN), migration, raise. */
int cv_wm_ddb_raise(struct cv_wm_ddb *w, const struct cv_mark *mark, int64_t deadline,
                    struct cv_error *err) CV_NODISCARD;
/* Every mark of the table, those of attestation_with_dal as attestation; items
 * that are no marks are refused (CV_ERR_INVALID). */
int cv_wm_ddb_each(struct cv_wm_ddb *w, int (*each)(void *ctx, const struct cv_mark *mark),
                   void *ctx, int64_t deadline, struct cv_error *err) CV_NODISCARD;

#endif
