/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object formats of the Amazon S3 Encryption Client, with KMS ("kms+context"):
 *
 *   version 2  AES-256-GCM under the data key; metadata x-amz-key-v2, x-amz-iv,
 *              x-amz-cek-alg, x-amz-wrap-alg, x-amz-tag-len, x-amz-matdesc
 *   version 3  key commitment: HKDF-SHA-512 gives the content key and a
 *              commitment that is checked before anything is decrypted;
 *              x-amz-c, x-amz-w, x-amz-3, x-amz-i, x-amz-d, x-amz-t
 *
 * This is the format alone: no KMS, no S3. The data key comes from the caller.
 * docs/protocol/encrypted-configuration.md
 */
#ifndef CV_SEALED_S3EC_H
#define CV_SEALED_S3EC_H

#include "common/bytes.h"
#include "common/secret.h"

#define CV_S3EC_KEY_LEN 32u
#define CV_S3EC_IV_LEN 12u
#define CV_S3EC_ID_LEN 28u /* message id and commitment of version 3 */
#define CV_S3EC_TAG_LEN 16u
#define CV_S3EC_MAX_BODY (16u << 20) /* bytes of a configuration, as it is stored */
#define CV_S3EC_MAX_EDK 6144u        /* KMS's limit of a CiphertextBlob */
#define CV_S3EC_MAX_PAIRS 64u        /* of the metadata, and of a context */
#define CV_S3EC_MAX_TEXT 8192u       /* bytes of one value */
#define CV_S3EC_PREFIX "x-amz-meta-" /* of S3's headers; taken with and without */

/* Names and values, owned. */
struct cv_s3ec_pair {
    char *name, *value;
};
struct cv_s3ec_pairs {
    struct cv_s3ec_pair pair[CV_S3EC_MAX_PAIRS];
    size_t n;
};
/* Adds a copy; CV_ERR_EXISTS when NAME (compared without case when FOLD) is
 * there, CV_ERR_LIMIT, CV_ERR_NOMEM. */
int cv_s3ec_pairs_add(struct cv_s3ec_pairs *p, const char *name, const char *value,
                      bool fold) CV_NODISCARD;
/* NULL when absent; names compared without case, S3's prefix left out. */
const char *cv_s3ec_pairs_get(const struct cv_s3ec_pairs *p, const char *name);
/* Frees; harmless on a zeroed one. */
void cv_s3ec_pairs_free(struct cv_s3ec_pairs *p);

enum cv_s3ec_format { CV_S3EC_V2 = 2, CV_S3EC_V3 = 3 };

struct cv_s3ec_meta {
    enum cv_s3ec_format format;
    bool legacy_kms;                    /* wrapped with "kms", without an own context: version 2 */
    struct cv_buf edk;                  /* the wrapped data key: KMS's CiphertextBlob */
    uint8_t iv[CV_S3EC_IV_LEN];         /* version 2 */
    uint8_t message_id[CV_S3EC_ID_LEN]; /* version 3 */
    uint8_t commitment[CV_S3EC_ID_LEN]; /* version 3 */
    struct cv_s3ec_pairs context;       /* the whole encryption context, as KMS must get it */
    char *context_text;                 /* as it was read, to be written so again; or NULL */
};
void cv_s3ec_meta_free(struct cv_s3ec_meta *m);

/* The reserved name of the context, and its value by format. */
#define CV_S3EC_CEK_NAME "aws:x-amz-cek-alg"
const char *cv_s3ec_cek_value(enum cv_s3ec_format format);

/* Reads an object's metadata (other names in it are passed over). Refused, each
 * with its reason: version 1, CBC, a tag other than 128 bits, keys wrapped
 * otherwise than by KMS, names of several versions, a context that is no flat
 * JSON object or whose reserved value belongs to another algorithm.
 * CV_ERR_NOT_FOUND: no encryption metadata at all (perhaps in an instruction
 * file). Free M in any case. */
int cv_s3ec_meta_parse(struct cv_s3ec_meta *m, const struct cv_s3ec_pairs *object,
                       struct cv_error *err) CV_NODISCARD;
/* True when OBJECT needs its instruction file: none, or the split form of
 * version 3 (x-amz-c, x-amz-d and x-amz-i on the object, the rest in the file). */
bool cv_s3ec_needs_instruction(const struct cv_s3ec_pairs *object);
/* Adds the members of an instruction file (a flat JSON object) to OBJECT. What
 * must be on the object must not be in the file. */
int cv_s3ec_instruction_parse(struct cv_s3ec_pairs *object, struct cv_bytes json,
                              struct cv_error *err) CV_NODISCARD;
/* The metadata that belong to M. */
int cv_s3ec_meta_emit(struct cv_s3ec_pairs *out, const struct cv_s3ec_meta *m,
                      struct cv_error *err) CV_NODISCARD;
/* The same split for an instruction file: OBJECT gets what stays on the object,
 * JSON the file's content. */
int cv_s3ec_instruction_emit(struct cv_s3ec_pairs *object, struct cv_buf *json,
                             const struct cv_s3ec_meta *m, struct cv_error *err) CV_NODISCARD;

/* The context for KMS: USER and the reserved pair. User pairs of reserved names
 * ("aws:…", "kms_cmk_id") or not of printable ASCII are refused. */
int cv_s3ec_context(struct cv_s3ec_pairs *out, const struct cv_s3ec_pairs *user,
                    enum cv_s3ec_format format, struct cv_error *err) CV_NODISCARD;

/* Encrypts PLAINTEXT under the data key: fills iv, or message_id and
 * commitment, of M (whose format is set) and appends the body to OUT. */
int cv_s3ec_seal(struct cv_s3ec_meta *m, const uint8_t key[CV_S3EC_KEY_LEN],
                 struct cv_bytes plaintext, struct cv_buf *out, struct cv_error *err) CV_NODISCARD;
/* Decrypts. CV_ERR_CRYPTO when commitment or tag do not fit; then there is no
 * plaintext. */
int cv_s3ec_open(const struct cv_s3ec_meta *m, struct cv_bytes key, struct cv_bytes body,
                 struct cv_secret *out, struct cv_error *err) CV_NODISCARD;

/* For tests and known answers: seals with the given IV (version 2) or message
 * id (version 3) instead of a random one. Never use one twice with a key. */
int cv_s3ec_seal_with(struct cv_s3ec_meta *m, const uint8_t key[CV_S3EC_KEY_LEN],
                      struct cv_bytes nonce, struct cv_bytes plaintext, struct cv_buf *out,
                      struct cv_error *err) CV_NODISCARD;

#endif
