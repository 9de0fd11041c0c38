/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local public key infrastructure for attestation: root, regional, zonal
 * and instance certificates with the names, extensions and lives of AWS's, and
 * a leaf for each enclave. Files in the state directory:
 *     root.pem                       what verifiers are given
 *     root.key                       PEM, mode 0600
 * The certificates below the root are made in memory when needed, and again
 * when they have expired. All names end in "claviger-local.nitro-enclaves", so
 * that nobody takes them for AWS's.
 */
#ifndef CV_LOCAL_PKI_H
#define CV_LOCAL_PKI_H

#include "common/bytes.h"

#define CV_LOCAL_ROOT_PEM "root.pem"
#define CV_LOCAL_ROOT_KEY "root.key"

struct cv_local_pki;

/* Loads the root from DIR, which is made (mode 0700) with a new root when it
 * is not there. Two processes may do so at once. */
int cv_local_pki_open(struct cv_local_pki **out, const char *dir,
                      struct cv_error *err) CV_NODISCARD;
void cv_local_pki_close(struct cv_local_pki *pki);
/* DER of the root certificate; lives as long as PKI. */
struct cv_bytes cv_local_pki_root(const struct cv_local_pki *pki);

/* An enclave's signing identity under the root: leaf and bundle. */
struct cv_local_identity;
/* For module id MODULE_ID on INSTANCE_ID in REGION; nothing is signed yet. */
int cv_local_identity_new(struct cv_local_identity **out, struct cv_local_pki *pki,
                          const char *region, const char *instance_id, const char *module_id,
                          struct cv_error *err) CV_NODISCARD;
void cv_local_identity_free(struct cv_local_identity *id);
/* Makes sure that leaf and bundle are valid at NOW_MS and a minute longer,
 * re-issuing what is not. */
int cv_local_identity_refresh(struct cv_local_identity *id, int64_t now_ms,
                              struct cv_error *err) CV_NODISCARD;
struct cv_bytes cv_local_identity_leaf(const struct cv_local_identity *id);
#define CV_LOCAL_BUNDLE 4 /* root, regional, zonal, instance */
struct cv_bytes cv_local_identity_bundle(const struct cv_local_identity *id, unsigned index);
/* ES384 over TBS: r and s as 48 bytes each. */
int cv_local_identity_sign(struct cv_local_identity *id, struct cv_bytes tbs, uint8_t out[96],
                           struct cv_error *err) CV_NODISCARD;

#endif
