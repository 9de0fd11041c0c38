/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "eif/cert.h"
#include "eif/signature.h"

#define PIECE 65536u

static int hash_failed(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "SHA-384 failed");
}

static int extend(uint8_t pcr[CV_EIF_PCR_LEN], const void *p, size_t n, struct cv_error *err)
{
    static const uint8_t zeros[CV_EIF_PCR_LEN];
    CV_CLEANUP(cv_eif_free_mdctx) EVP_MD_CTX *h = EVP_MD_CTX_new();
    if (h == NULL || EVP_DigestInit_ex(h, EVP_sha384(), NULL) != 1 ||
        EVP_DigestUpdate(h, zeros, sizeof zeros) != 1 || EVP_DigestUpdate(h, p, n) != 1 ||
        EVP_DigestFinal_ex(h, pcr, NULL) != 1) {
        return hash_failed(err);
    }
    return 0;
}

int cv_eif_pcr_of_digest(uint8_t pcr[CV_EIF_PCR_LEN], const uint8_t digest[CV_EIF_PCR_LEN],
                         struct cv_error *err)
{
    return extend(pcr, digest, CV_EIF_PCR_LEN, err);
}

int cv_eif_pcr_of_bytes(uint8_t pcr[CV_EIF_PCR_LEN], struct cv_bytes content, struct cv_error *err)
{
    uint8_t digest[CV_EIF_PCR_LEN];
    if (EVP_Digest(content.p, content.n, digest, NULL, EVP_sha384(), NULL) != 1) {
        return hash_failed(err);
    }
    return extend(pcr, digest, sizeof digest, err);
}

int cv_eif_pcr_of_text(uint8_t pcr[CV_EIF_PCR_LEN], const char *text, struct cv_error *err)
{
    return extend(pcr, text, strlen(text), err);
}

int cv_eif_pcr_of_file(uint8_t pcr[CV_EIF_PCR_LEN], const char *path, struct cv_error *err)
{
    CV_CLEANUP(cv_eif_free_mdctx) EVP_MD_CTX *h = EVP_MD_CTX_new();
    if (h == NULL || EVP_DigestInit_ex(h, EVP_sha384(), NULL) != 1) {
        return hash_failed(err);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cv_error_errno(err, errno == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, errno,
                              "opening %s", path);
    }
    int rc = 0;
    for (;;) {
        uint8_t piece[PIECE];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            rc = cv_error_errno(err, CV_ERR_IO, errno, "reading %s", path);
        } else if (n > 0 && EVP_DigestUpdate(h, piece, (size_t)n) != 1) {
            rc = hash_failed(err);
        }
        if (n <= 0 || rc != 0) {
            break;
        }
    }
    close(fd);
    uint8_t digest[CV_EIF_PCR_LEN];
    if (rc == 0 && EVP_DigestFinal_ex(h, digest, NULL) != 1) {
        rc = hash_failed(err);
    }
    return rc == 0 ? extend(pcr, digest, sizeof digest, err) : rc;
}

int cv_eif_pcr_of_certificate(uint8_t pcr[CV_EIF_PCR_LEN], const char *path, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_EIF_MAX_CERT_FILE);
    CV_CLEANUP(cv_eif_free_x509) X509 *cert = NULL;
    int rc = cv_eif_cert_load(&cert, &text, path, false, err);
    if (rc != 0) {
        return rc;
    }
    uint8_t digest[CV_EIF_PCR_LEN];
    if (X509_digest(cert, EVP_sha384(), digest, NULL) != 1) {
        return hash_failed(err);
    }
    return extend(pcr, digest, sizeof digest, err);
}

/* ---- images ---- */

struct hashes {
    EVP_MD_CTX *h[3]; /* contents of PCR0, PCR1, PCR2 */
};

static void hashes_free(struct hashes *s)
{
    for (unsigned i = 0; i < 3; i++) {
        EVP_MD_CTX_free(s->h[i]);
    }
}

/* MASK: bit i = the section counts for PCR i. */
static int hash_section(struct hashes *s, const struct cv_eif *eif,
                        const struct cv_eif_section *section, unsigned mask, struct cv_error *err)
{
    uint8_t piece[PIECE];
    uint64_t done = 0;
    while (done < section->size) {
        size_t n = section->size - done < PIECE ? (size_t)(section->size - done) : PIECE;
        int rc = cv_eif_read_at(eif, section->offset + done, piece, n, err);
        if (rc != 0) {
            return rc;
        }
        for (unsigned i = 0; i < 3; i++) {
            if ((mask >> i & 1) != 0 && EVP_DigestUpdate(s->h[i], piece, n) != 1) {
                return hash_failed(err);
            }
        }
        done += n;
    }
    return 0;
}

static int measure_pcr8(const struct cv_eif *eif, struct cv_eif_pcrs *pcrs, struct cv_error *err)
{
    CV_CLEANUP(cv_eif_signature_free) struct cv_eif_signature s;
    int rc = cv_eif_signature_read(&s, eif, err);
    if (rc == 0) {
        rc = cv_eif_signature_pcr8(&s, pcrs->pcr8, err);
    }
    pcrs->has_pcr8 = rc == 0;
    return rc;
}

int cv_eif_measure(const struct cv_eif *eif, struct cv_eif_pcrs *pcrs, struct cv_error *err)
{
    memset(pcrs, 0, sizeof *pcrs);
    CV_CLEANUP(hashes_free) struct hashes s = {{NULL, NULL, NULL}};
    for (unsigned i = 0; i < 3; i++) {
        s.h[i] = EVP_MD_CTX_new();
        if (s.h[i] == NULL || EVP_DigestInit_ex(s.h[i], EVP_sha384(), NULL) != 1) {
            return hash_failed(err);
        }
    }
    unsigned ramdisks = 0;
    for (unsigned i = 0; i < eif->count; i++) {
        const struct cv_eif_section *section = &eif->sections[i];
        unsigned mask = 0;
        if (section->type == CV_EIF_KERNEL || section->type == CV_EIF_CMDLINE) {
            mask = 1u << 0 | 1u << 1;
        } else if (section->type == CV_EIF_RAMDISK) {
            mask = 1u << 0 | (ramdisks++ == 0 ? 1u << 1 : 1u << 2);
        }
        int rc = mask != 0 ? hash_section(&s, eif, section, mask, err) : 0;
        if (rc != 0) {
            return rc;
        }
    }
    uint8_t *const out[3] = {pcrs->pcr0, pcrs->pcr1, pcrs->pcr2};
    for (unsigned i = 0; i < 3; i++) {
        uint8_t digest[CV_EIF_PCR_LEN];
        if (EVP_DigestFinal_ex(s.h[i], digest, NULL) != 1) {
            return hash_failed(err);
        }
        int rc = extend(out[i], digest, sizeof digest, err);
        if (rc != 0) {
            return rc;
        }
    }
    return cv_eif_find(eif, CV_EIF_SIGNATURE) != NULL ? measure_pcr8(eif, pcrs, err) : 0;
}

static int check_and_measure(const struct cv_eif *eif, struct cv_eif_pcrs *pcrs,
                             struct cv_error *err)
{
    bool good;
    int rc = cv_eif_check_crc(eif, &good, err);
    if (rc == 0 && !good) {
        rc = cv_error_set(err, CV_ERR_INVALID,
                          "the image's checksum (CRC-32) is wrong: it is "
                          "damaged");
    }
    if (rc == 0) {
        rc = cv_eif_measure(eif, pcrs, err);
    }
    if (rc != 0 || !pcrs->has_pcr8) {
        return rc;
    }
    CV_CLEANUP(cv_eif_signature_free) struct cv_eif_signature s;
    rc = cv_eif_signature_read(&s, eif, err);
    return rc == 0 ? cv_eif_signature_verify(&s, pcrs->pcr0, cv_unix_ms(), err) : rc;
}

int cv_eif_measure_path(const char *path, struct cv_eif_pcrs *pcrs, struct cv_error *err)
{
    struct cv_eif eif;
    int rc = cv_eif_open(&eif, path, err);
    if (rc != 0) {
        return rc;
    }
    rc = check_and_measure(&eif, pcrs, err);
    if (rc != 0) {
        cv_error_wrap(err, "%s", path);
    }
    cv_eif_close(&eif);
    return rc;
}
