/* SPDX-License-Identifier: Apache-2.0 */
/* Start of the cryptographic libraries: once, before anything else uses them. */
#ifndef CV_CRYPTO_INIT_H
#define CV_CRYPTO_INIT_H

#include "common/error.h"

/*
 * Makes OpenSSL's allocator wipe what it frees (private scalars, RSA primes
 * and TLS keys live in its heap), starts libsodium, makes and randomises the
 * libsecp256k1 context and prepares what the schemes keep for the life of the
 * process. Call it first in main(), before threads and before any call of
 * OpenSSL: its allocator can only be replaced before it was used
 * (CV_ERR_STATE when it was). A second call is harmless.
 */
int cv_crypto_init(void) CV_NODISCARD;

#endif
