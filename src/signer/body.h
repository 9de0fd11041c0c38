/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a signing request: one JSON string of hex digits. Faults carry
 * the texts that clients of Signatory know, which are those of Go's
 * encoding/json and encoding/hex.
 */
#ifndef CV_SIGNER_BODY_H
#define CV_SIGNER_BODY_H

#include "common/bytes.h"

#define CV_BODY_FAULT 160
#define CV_BODY_DEPTH 10000 /* of arrays and objects, as in Go */

/* Decodes BODY in place: on success the N message bytes stand at BODY. `null`
 * is an empty message. CV_ERR_INVALID with the text in FAULT. */
int cv_body_decode(uint8_t *body, size_t size, size_t *n, char fault[CV_BODY_FAULT]) CV_NODISCARD;

/* True when TEXT is one JSON value; else FAULT says what Go would. */
bool cv_go_json_valid(struct cv_bytes text, char fault[CV_BODY_FAULT]);

#endif
