/* SPDX-License-Identifier: Apache-2.0 */
/* The readers behind keyimport.h. IN has no white space around it. */
#ifndef CV_TEZOS_KEYIMPORT_KINDS_H
#define CV_TEZOS_KEYIMPORT_KINDS_H

#include "tezos/keyimport.h"

bool cv_key_is_pem(struct cv_bytes in);
bool cv_key_is_encrypted_pem(struct cv_bytes in);
/* A DER SEQUENCE; no base58 text starts with such a byte. */
bool cv_key_is_der(struct cv_bytes in);
bool cv_key_is_encrypted_der(struct cv_bytes in);
bool cv_key_is_encrypted_base58(struct cv_bytes in);

int cv_key_import_pem(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes in,
                      struct cv_bytes password, struct cv_error *err) CV_NODISCARD;
int cv_key_import_der(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes in,
                      struct cv_bytes password, struct cv_error *err) CV_NODISCARD;
int cv_key_import_base58(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes in,
                         struct cv_bytes password, struct cv_error *err) CV_NODISCARD;

#endif
