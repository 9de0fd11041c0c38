/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nitro Security Module: randomness, measurements, attestation.
 *
 * Requests and replies are CBOR (the externally tagged enums of AWS's
 * nsm-api). How they travel is chosen when a program is linked, by naming one
 * of two object libraries next to cv_nsm:
 *     cv_nsm_device   ioctl 0xC0200A00 on /dev/nsm          (release builds)
 *     cv_nsm_socket   u32 big-endian length + CBOR, each way, one reply for
 *                     each request, on a UNIX socket         (development builds)
 *
 * A struct cv_nsm may be shared by threads: calls are serialised, as the
 * kernel driver does too.
 *
 * Errors: CV_ERR_REMOTE when the NSM answers with an error of its own,
 * CV_ERR_PROTOCOL for a reply that cannot be read or is not to the request,
 * CV_ERR_LIMIT for a request over CV_NSM_REQUEST_MAX, CV_ERR_IO,
 * CV_ERR_TIMEOUT, CV_ERR_CLOSED for the way there. The innermost text of the
 * chain names the cause for the log; cv_nsm_fixed_text() gives the fixed text
 * that may leave the enclave.
 */
#ifndef CV_NSM_NSM_H
#define CV_NSM_NSM_H

#include "common/bytes.h"

#define CV_NSM_REQUEST_MAX 0x1000  /* the driver refuses more: EMSGSIZE */
#define CV_NSM_RESPONSE_MAX 0x3000 /* the driver cuts replies to our buffer */
#define CV_NSM_PCR_MAX 64          /* bytes of a register; 48 in practice */
#define CV_NSM_PCRS_MAX 64         /* registers that we keep track of; 32 in practice */
#define CV_NSM_MODULE_ID_MAX 256
#define CV_NSM_SEED_BYTES 1024 /* fed to the kernel at start */
#define CV_NSM_DEVICE "/dev/nsm"

struct cv_nsm;

/* Opens the NSM. PATH: the device (NULL = /dev/nsm), or the UNIX socket of the
 * stand-in, with or without "unix:" before it. *NSM is closed by the caller. */
int cv_nsm_open(struct cv_nsm **nsm, const char *path, struct cv_error *err) CV_NODISCARD;
/* Takes over FD, a connection that speaks this build's transport. */
int cv_nsm_open_fd(struct cv_nsm **nsm, int fd, struct cv_error *err) CV_NODISCARD;
void cv_nsm_close(struct cv_nsm *nsm);
/* "device" or "socket". */
const char *cv_nsm_transport_name(void);

struct cv_nsm_description {
    uint16_t version_major, version_minor, version_patch;
    char module_id[CV_NSM_MODULE_ID_MAX];
    uint16_t max_pcrs;
    uint64_t locked_pcrs; /* bit N: register N is locked */
    char digest[16];      /* "SHA384" */
};
int cv_nsm_describe(struct cv_nsm *nsm, struct cv_nsm_description *out,
                    struct cv_error *err) CV_NODISCARD;

struct cv_nsm_pcr {
    bool locked; /* as DescribePCR says; false after an extension */
    size_t n;
    uint8_t data[CV_NSM_PCR_MAX];
};
int cv_nsm_describe_pcr(struct cv_nsm *nsm, uint16_t index, struct cv_nsm_pcr *out,
                        struct cv_error *err) CV_NODISCARD;
/* Register = SHA384(register || DATA); *OUT (may be NULL) gets the new value. */
int cv_nsm_extend_pcr(struct cv_nsm *nsm, uint16_t index, struct cv_bytes data,
                      struct cv_nsm_pcr *out, struct cv_error *err) CV_NODISCARD;
/* A locked register is part of every later document and never changes again. */
int cv_nsm_lock_pcr(struct cv_nsm *nsm, uint16_t index, struct cv_error *err) CV_NODISCARD;
/* Locks the registers 0 … RANGE-1. */
int cv_nsm_lock_pcrs(struct cv_nsm *nsm, uint16_t range, struct cv_error *err) CV_NODISCARD;

/* The optional fields of a document; p NULL = absent (null on the wire). */
struct cv_nsm_attest {
    struct cv_bytes user_data;
    struct cv_bytes nonce;
    struct cv_bytes public_key;
};
/* Appends a document to OUT, whose limit it respects. */
int cv_nsm_attest(struct cv_nsm *nsm, const struct cv_nsm_attest *fields, struct cv_buf *out,
                  struct cv_error *err) CV_NODISCARD;

/* Fills P with N bytes from the NSM, by as many GetRandom as it takes; bytes
 * of a reply that are not needed are thrown away. A reply of no bytes is
 * CV_ERR_CRYPTO, "the NSM gave no entropy"; so are bytes that cannot be random,
 * the same over and over, or those of the reply before. On error P is all zeros. */
int cv_nsm_random(struct cv_nsm *nsm, void *p, size_t n, struct cv_error *err) CV_NODISCARD;

/* The fixed text for an error that a function above left in ERR: one of
 * "NSM error: success", "… invalid argument", "… invalid index", "… invalid
 * response", "… read_only index", "… invalid operation", "… buffer too small",
 * "… input too large", "… internal error" (also for whatever failed on the
 * way), or "wrong response type". Static. */
const char *cv_nsm_fixed_text(const struct cv_error *err);

/* Feeds CV_NSM_SEED_BYTES from the NSM to the kernel's generator, to be called
 * once at start: credited (RNDADDENTROPY) where the process is permitted to,
 * else mixed in by writing to /dev/urandom. *CREDITED (may be NULL) tells
 * which. With MUST_CREDIT, as in a release build, missing permission is an
 * error. */
int cv_nsm_seed_kernel(struct cv_nsm *nsm, bool must_credit, bool *credited,
                       struct cv_error *err) CV_NODISCARD;

#endif
