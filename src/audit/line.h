/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an audit line, which reader and writer must agree on. */
#ifndef CV_AUDIT_LINE_H
#define CV_AUDIT_LINE_H

#include "audit/audit.h"

#define CV_AUDIT_HEX_LEN (2 * CV_AUDIT_HASH_LEN)
/* What prev is in the first line. */
#define CV_AUDIT_ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define CV_AUDIT_HASH_KEY ",\"hash\":\""
#define CV_AUDIT_HASH_TAIL (sizeof CV_AUDIT_HASH_KEY - 1 + CV_AUDIT_HEX_LEN + 2)

/* Hex of the hash of a line's beginning. */
void cv_audit_hash(char out[CV_AUDIT_HEX_LEN + 1], struct cv_bytes head);

#endif
