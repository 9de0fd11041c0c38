/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libclaviger-attest: verifies attestation documents of AWS Nitro Enclaves,
 * offline, in one call.
 *
 * An attestation document is a COSE_Sign1 (RFC 9052) over a CBOR map of
 * measurements, signed with ECDSA P-384 by a key whose certificate chains up
 * to AWS's root. cv_attest_verify() checks, in this order: size, COSE shape,
 * every field of the payload, the certificates, the root, the chain and its
 * validity in time, the signature, that the enclave does not run in debug
 * mode, and what the caller expects of the content. The first rule that is
 * broken decides the code; nothing is returned of a document that failed.
 *
 * The library keeps no global state, makes no network connection, reads no
 * clock and no file: time is a parameter. All functions may be called from
 * several threads at once. Certificate revocation lists are not consulted, as
 * AWS's documentation of the process demands.
 *
 *     struct cv_attest_policy policy;
 *     struct cv_attest_document doc;
 *     struct cv_attest_error err;
 *     cv_attest_policy_init(&policy);
 *     cv_attest_expect_pcr(&policy, 0, pcr0, 48);
 *     cv_attest_expect_nonce(&policy, nonce, nonce_len);
 *     policy.now_ms = now;
 *     policy.max_age_ms = 5 * 60 * 1000;
 *     if (cv_attest_verify(&doc, bytes, len, &policy, &err) != CV_ATTEST_OK)
 *         fprintf(stderr, "refused: %s\n", err.message);
 *
 * Stands on its own: it includes no other header of the project.
 */
#ifndef CLAVIGER_ATTEST_H
#define CLAVIGER_ATTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CV_ATTEST_API __attribute__((visibility("default")))
#define CV_ATTEST_CHECKED __attribute__((warn_unused_result))
#else
#define CV_ATTEST_API
#define CV_ATTEST_CHECKED
#endif

/* Limits of the format. */
#define CV_ATTEST_MAX_DOCUMENT 32768   /* bytes of a whole document */
#define CV_ATTEST_MAX_PAYLOAD 16384    /* bytes of the signed payload */
#define CV_ATTEST_MAX_CERTIFICATE 1024 /* bytes (DER) of each certificate */
#define CV_ATTEST_MAX_CABUNDLE 16      /* certificates above the leaf */
#define CV_ATTEST_MAX_FIELD 1024       /* bytes of public_key, user_data, nonce */
#define CV_ATTEST_MAX_MODULE_ID 256    /* bytes */
#define CV_ATTEST_PCRS 32              /* registers */
#define CV_ATTEST_PCR_MAX 64           /* bytes of a register: 32, 48 or 64; AWS: 48 */

/* SHA-256 of the DER of AWS's root certificate (commercial regions). */
#define CV_ATTEST_AWS_ROOT_SHA256 "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"

/* Why a document was refused. The numbers are part of the interface. */
enum cv_attest_code {
    CV_ATTEST_OK = 0,
    /* The caller. */
    CV_ATTEST_ERR_ARGUMENT = 1, /* a wrong argument or policy, not a judgement of the document */
    CV_ATTEST_ERR_INTERNAL = 2, /* no memory, or the crypto library failed */
    /* Malformed: not an attestation document at all. */
    CV_ATTEST_ERR_SIZE = 10,        /* empty, or larger than the format allows */
    CV_ATTEST_ERR_COSE = 11,        /* not a COSE_Sign1 of four members, or bytes after it */
    CV_ATTEST_ERR_ALGORITHM = 12,   /* the protected header says another algorithm than ES384 */
    CV_ATTEST_ERR_PAYLOAD = 13,     /* the payload is not one well-formed CBOR map */
    CV_ATTEST_ERR_MISSING = 14,     /* a mandatory field is absent or null */
    CV_ATTEST_ERR_DUPLICATE = 15,   /* a field, or a register, occurs twice */
    CV_ATTEST_ERR_UNKNOWN = 16,     /* a field that is not known (only when policy.strict) */
    CV_ATTEST_ERR_FIELD = 17,       /* a field of a wrong type, size or value */
    CV_ATTEST_ERR_CERTIFICATE = 18, /* a certificate that cannot be read */
    /* Untrusted chain. */
    CV_ATTEST_ERR_ROOT = 30,       /* the chain does not start at the trusted root */
    CV_ATTEST_ERR_CHAIN = 31,      /* names or certificate signatures do not follow on each other */
    CV_ATTEST_ERR_CONSTRAINT = 32, /* a certificate that may not do what the chain asks of it */
    /* Time. */
    CV_ATTEST_ERR_NOT_YET_VALID = 40, /* a certificate is not valid yet */
    CV_ATTEST_ERR_EXPIRED = 41,       /* a certificate is no longer valid */
    CV_ATTEST_ERR_TOO_OLD = 42,       /* the document is older than policy.max_age_ms */
    CV_ATTEST_ERR_FUTURE = 43,        /* the document's time lies in the future */
    /* Signature. */
    CV_ATTEST_ERR_SIGNATURE = 50,
    /* A genuine document, but not the one that was asked for. */
    CV_ATTEST_ERR_DEBUG = 60, /* the enclave runs in debug mode: it proves nothing */
    CV_ATTEST_ERR_PCR = 61,   /* a register is absent or has another value */
    CV_ATTEST_ERR_NONCE = 62,
    CV_ATTEST_ERR_USER_DATA = 63,
    CV_ATTEST_ERR_PUBLIC_KEY = 64,
    CV_ATTEST_ERR_MODULE_ID = 65,
};

struct cv_attest_error {
    enum cv_attest_code code;
    char field[48];    /* what it was about: "pcrs[3]", "cabundle[1]", "signature"; may be "" */
    char message[320]; /* one sentence for people, naming the field; never raw input bytes */
};

/* A view into the bytes of the document; p is NULL when the field is absent. */
struct cv_attest_span {
    const uint8_t *p;
    size_t n;
};

/* A document taken apart. All views point into the bytes that were parsed and
 * live as long as these. */
struct cv_attest_document {
    struct cv_attest_span module_id; /* UTF-8, without a NUL */
    struct cv_attest_span digest;    /* "SHA384" */
    uint64_t timestamp_ms;           /* since 1970-01-01 UTC */
    uint32_t pcr_mask;               /* bit N: register N is in the document */
    struct cv_attest_span pcr[CV_ATTEST_PCRS];
    struct cv_attest_span certificate; /* DER of the leaf */
    size_t cabundle_count;
    struct cv_attest_span cabundle[CV_ATTEST_MAX_CABUNDLE]; /* DER, [0] is the root */
    struct cv_attest_span public_key; /* optional, as the next two; present but empty: n is 0 */
    struct cv_attest_span user_data;
    struct cv_attest_span nonce;
    bool tagged;             /* the document carries COSE tag 18 */
    bool indefinite;         /* the payload map has an indefinite length */
    unsigned unknown_fields; /* fields of the payload that were skipped */
    struct cv_attest_span protected_header;
    struct cv_attest_span payload;   /* the bytes that are signed */
    struct cv_attest_span signature; /* r and s, 48 bytes each */
};

/* What is asked of a document. Start with cv_attest_policy_init(); a field set
 * to zero then asks nothing. What the pointers point to stays the caller's. */
struct cv_attest_policy {
    /* The root that is trusted: the certificate itself (DER or PEM), or else
     * the SHA-256 of its DER; init sets AWS's. */
    const uint8_t *root;
    size_t root_len;
    uint8_t root_sha256[32];
    /* When the chain must be valid, in ms since 1970; 0 = at the document's
     * own timestamp. */
    int64_t time_ms;
    /* The present, and how old a document may be then; 0 = any age. With a
     * maximum age, a timestamp more than max_ahead_ms after now_ms is refused
     * (init sets 60,000). */
    int64_t now_ms;
    int64_t max_age_ms;
    int64_t max_ahead_ms;
    bool allow_debug; /* accept a document whose PCR0 is all zeros or absent */
    bool strict;      /* refuse payload fields that are not known */
    /* Expected registers: bit N of pcr_mask, value and length. */
    uint32_t pcr_mask;
    uint8_t pcr[CV_ATTEST_PCRS][CV_ATTEST_PCR_MAX];
    size_t pcr_len[CV_ATTEST_PCRS];
    /* Expected fields; p NULL = not looked at; n 0 with p set = must be empty
     * or absent. */
    struct cv_attest_span nonce;
    struct cv_attest_span user_data;
    struct cv_attest_span public_key;
    struct cv_attest_span module_id;
};

CV_ATTEST_API void cv_attest_policy_init(struct cv_attest_policy *policy);

/* Asks that register INDEX holds the N bytes at VALUE (32, 48 or 64). Returns
 * CV_ATTEST_ERR_ARGUMENT for another index or length, or when another value is
 * expected of it already. */
CV_ATTEST_API enum cv_attest_code cv_attest_expect_pcr(struct cv_attest_policy *policy,
                                                       unsigned index, const void *value,
                                                       size_t n) CV_ATTEST_CHECKED;
/* Set the fields of the same names. */
CV_ATTEST_API void cv_attest_expect_nonce(struct cv_attest_policy *policy, const void *p, size_t n);
CV_ATTEST_API void cv_attest_expect_user_data(struct cv_attest_policy *policy, const void *p,
                                              size_t n);
CV_ATTEST_API void cv_attest_expect_public_key(struct cv_attest_policy *policy, const void *p,
                                               size_t n);
CV_ATTEST_API void cv_attest_expect_module_id(struct cv_attest_policy *policy,
                                              const char *module_id);

/* Parses and verifies LEN bytes at BYTES under POLICY (NULL: AWS's root, at the
 * document's own time, nothing else asked). Returns CV_ATTEST_OK and fills
 * *DOC, or the code of the first broken rule; *DOC is then all zeros. DOC and
 * ERR may be NULL. */
CV_ATTEST_API enum cv_attest_code cv_attest_verify(struct cv_attest_document *doc,
                                                   const void *bytes, size_t len,
                                                   const struct cv_attest_policy *policy,
                                                   struct cv_attest_error *err) CV_ATTEST_CHECKED;

/* Takes a document apart WITHOUT verifying it: for display and diagnosis only.
 * Shape, types, sizes, duplicates and trailing bytes are checked, certificates
 * and signature are not. STRICT as in the policy. */
CV_ATTEST_API enum cv_attest_code cv_attest_parse_unverified(
    struct cv_attest_document *doc, const void *bytes, size_t len, bool strict,
    struct cv_attest_error *err) CV_ATTEST_CHECKED;

/* True when PCR0 is all zeros or absent: an enclave started with --debug-mode,
 * whose memory and console the parent can read. */
CV_ATTEST_API bool cv_attest_is_debug(const struct cv_attest_document *doc);

/* One certificate of a chain, for display. */
struct cv_attest_certificate {
    char subject[256]; /* RFC 2253 text, cut when longer */
    char issuer[256];
    char serial[65]; /* lower-case hex */
    int64_t not_before_ms;
    int64_t not_after_ms;
    uint8_t sha256[32]; /* of the DER */
    bool ca;
    int path_len; /* -1 = not limited */
};
/* Reads a DER certificate of at most CV_ATTEST_MAX_CERTIFICATE bytes. */
CV_ATTEST_API enum cv_attest_code cv_attest_certificate_read(
    struct cv_attest_certificate *out, const void *der, size_t n,
    struct cv_attest_error *err) CV_ATTEST_CHECKED;

/* A short name of a code for programs: "expired", "pcr_mismatch"… */
CV_ATTEST_API const char *cv_attest_code_name(enum cv_attest_code code);
/* A sentence about it for people. */
CV_ATTEST_API const char *cv_attest_strerror(enum cv_attest_code code);
/* "0.1.0" */
CV_ATTEST_API const char *cv_attest_version(void);

#ifdef __cplusplus
}
#endif

#endif
