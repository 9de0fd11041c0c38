/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys in the formats that people have: base58 plain and encrypted,
 * PEM and DER as PKCS#8 (RFC 5958, RFC 8410) or SEC1 (RFC 5915). Only the
 * parent reads them; the enclave does not link this.
 */
#ifndef CV_TEZOS_KEYIMPORT_H
#define CV_TEZOS_KEYIMPORT_H

#include "common/secret.h"
#include "crypto/scheme.h"

/* Largest file that is looked at. */
#define CV_KEY_FILE_MAX 16384

/* True when IN (white space around it allowed) is a password-encrypted base58
 * key or an encrypted PEM, so that the caller asks for the password. */
bool cv_key_is_encrypted(struct cv_bytes in);

/*
 * Reads a private key of any format. PASSWORD is used for encrypted keys alone
 * (empty otherwise). White space around text is no error. OUT gets the 32
 * bytes of crypto/scheme.h.
 *   CV_ERR_INVALID      malformed, out of range, a curve we do not know
 *   CV_ERR_DENIED       the password is wrong (or the ciphertext damaged)
 *   CV_ERR_UNSUPPORTED  a format we recognise and do not read
 * ERR names what is wrong, never the content.
 */
int cv_key_import(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes in,
                  struct cv_bytes password, struct cv_error *err) CV_NODISCARD;

#endif
