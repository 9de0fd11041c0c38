/* SPDX-License-Identifier: Apache-2.0 */
/* The local root: made once in a state directory, loaded ever after. */
#include "local/pki.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "local/pki_internal.h"

#define DAY_MS INT64_C(86400000)
#define PEM_MAX 16384
#define PATH_SIZE 4096
#define LOCK_NAME ".pki.lock"
#define LOCK_WAIT_MS 10000

static int openssl_failed(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_CRYPTO, "%s: OpenSSL failed", what);
}

/* The bytes of a memory BIO, durably in a new file. */
static int save(const char *path, BIO *bio, mode_t mode, struct cv_error *err)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);

    if (n <= 0)
        return openssl_failed(err, "writing PEM");
    return cv_file_replace(path, CV_BYTES(p, (size_t)n), mode, err);
}

static int save_root(const struct cv_local_pki *pki, const char *cert_path, const char *key_path,
                     struct cv_error *err)
{
    BIO *cert = BIO_new(BIO_s_mem());
    BIO *key = BIO_new(BIO_s_secmem());
    int rc;

    if (cert == NULL || key == NULL || PEM_write_bio_X509(cert, pki->cert) != 1 ||
        PEM_write_bio_PrivateKey(key, pki->key, NULL, NULL, 0, NULL, NULL) != 1) {
        rc = openssl_failed(err, "writing the local root as PEM");
    } else {
        /* The key first: a certificate on disk then always has its key. */
        rc = save(key_path, key, 0600, err);
        if (rc == 0)
            rc = save(cert_path, cert, 0644, err);
    }
    BIO_free(cert);
    BIO_free(key);
    return rc;
}

static int make_root(struct cv_local_pki *pki, struct cv_error *err)
{
    int64_t now = cv_unix_ms();
    struct cv_local_certificate_spec spec = {
        .profile = CV_LOCAL_ROOT,
        .subject = {{NID_countryName, "US"},
                    {NID_organizationName, CV_LOCAL_ORGANIZATION},
                    {NID_organizationalUnitName, "Not AWS"},
                    {NID_commonName, CV_LOCAL_ZONE}},
        .not_before_ms = now - 3600 * 1000,
        .not_after_ms = now + 30 * 365 * DAY_MS,
    };

    pki->key = cv_local_key_new();
    spec.key = pki->key;
    if (pki->key != NULL)
        pki->cert = cv_local_certificate_new(&spec);
    return pki->cert != NULL ? 0 : openssl_failed(err, "making the local root");
}

static int load_cert(struct cv_local_pki *pki, const char *path, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf pem;

    cv_buf_init(&pem, PEM_MAX);
    int rc = cv_file_read(&pem, path, err);
    if (rc != 0)
        return rc;
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (bio != NULL)
        pki->cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return pki->cert != NULL
               ? 0
               : cv_error_set(err, CV_ERR_INVALID, "%s does not hold a PEM certificate", path);
}

/* The type is OpenSSL's. NOLINTNEXTLINE(readability-non-const-parameter) */
static int no_password(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return -1; /* never ask the terminal */
}

static int load_key(struct cv_local_pki *pki, const char *path, struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret pem = CV_SECRET_INIT;
    struct stat st;

    if (stat(path, &st) != 0)
        return cv_error_errno(err, errno == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, errno,
                              "reading %s", path);
    if ((st.st_mode & 077) != 0)
        return cv_error_set(err, CV_ERR_DENIED,
                            "%s may be read by others: chmod 600 it, or remove %s "
                            "and its certificate for a new root",
                            path, path);
    int rc = cv_file_read_secret(&pem, path, PEM_MAX, err);
    if (rc != 0)
        return rc;
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (bio != NULL)
        pki->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    return pki->key != NULL
               ? 0
               : cv_error_set(err, CV_ERR_INVALID, "%s does not hold a PEM private key", path);
}

static int load_or_make(struct cv_local_pki *pki, const char *cert_path, const char *key_path,
                        struct cv_error *err)
{
    int rc = load_cert(pki, cert_path, err);

    if (rc == CV_ERR_NOT_FOUND) {
        rc = make_root(pki, err);
        return rc != 0 ? rc : save_root(pki, cert_path, key_path, err);
    }
    if (rc == 0)
        rc = load_key(pki, key_path, err);
    if (rc == 0 && X509_check_private_key(pki->cert, pki->key) != 1)
        rc = cv_error_set(err, CV_ERR_INVALID, "%s is not the key of %s", key_path, cert_path);
    return rc;
}

int cv_local_pki_open(struct cv_local_pki **out, const char *dir, struct cv_error *err)
{
    char cert_path[PATH_SIZE], key_path[PATH_SIZE], lock_path[PATH_SIZE];
    struct cv_local_pki *pki = NULL;
    int lock = -1;
    int rc;

    *out = NULL;
    if (cv_path_join(cert_path, sizeof cert_path, dir, CV_LOCAL_ROOT_PEM) != 0 ||
        cv_path_join(key_path, sizeof key_path, dir, CV_LOCAL_ROOT_KEY) != 0 ||
        cv_path_join(lock_path, sizeof lock_path, dir, LOCK_NAME) != 0)
        return cv_error_set(err, CV_ERR_LIMIT, "the path of the state directory is too long");
    if ((rc = cv_dir_make(dir, 0700, err)) != 0 ||
        (rc = cv_file_lock(&lock, lock_path, cv_deadline(LOCK_WAIT_MS), err)) != 0)
        goto out;
    pki = calloc(1, sizeof *pki);
    if (pki == NULL) {
        rc = cv_error_set(err, CV_ERR_NOMEM, "no memory");
        goto out;
    }
    cv_buf_init(&pki->der, CV_LOCAL_CERT_MAX);
    rc = load_or_make(pki, cert_path, key_path, err);
    if (rc == 0 && cv_local_certificate_der(&pki->der, pki->cert) != 0)
        rc = cv_error_set(err, CV_ERR_LIMIT, "the local root is longer than %d bytes",
                          CV_LOCAL_CERT_MAX);
out:
    if (lock >= 0)
        close(lock);
    if (rc != 0) {
        cv_local_pki_close(pki);
        cv_error_wrap(err, "opening the local attestation root in %s", dir);
        return rc;
    }
    *out = pki;
    return 0;
}

void cv_local_pki_close(struct cv_local_pki *pki)
{
    if (pki == NULL)
        return;
    EVP_PKEY_free(pki->key);
    X509_free(pki->cert);
    cv_buf_free(&pki->der);
    free(pki);
}

struct cv_bytes cv_local_pki_root(const struct cv_local_pki *pki)
{
    return cv_buf_view(&pki->der);
}
