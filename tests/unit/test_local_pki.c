/* SPDX-License-Identifier: Apache-2.0 */
/* The local attestation root: kept, guarded, and re-issuing what expires. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/file.h"
#include "local/pki.h"

static char dir[] = "/tmp/test_local_pki.XXXXXX";
static char root_pem[128], root_key[128], lock_file[128];

static void root_is_kept(void **state)
{
    struct cv_local_pki *pki = NULL;
    uint8_t der[1024];
    struct stat st;

    (void)state;
    assert_int_equal(cv_local_pki_open(&pki, dir, NULL), 0);
    struct cv_bytes root = cv_local_pki_root(pki);
    assert_true(root.n > 0 && root.n <= sizeof der);
    memcpy(der, root.p, root.n);
    size_t n = root.n;
    cv_local_pki_close(pki);

    assert_int_equal(stat(root_key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(cv_local_pki_open(&pki, dir, NULL), 0);
    assert_true(cv_bytes_equal(cv_local_pki_root(pki), CV_BYTES(der, n)));
    cv_local_pki_close(pki);
}

static void bad_files_are_refused(void **state)
{
    struct cv_local_pki *pki = NULL;
    struct cv_error err;

    (void)state;
    cv_error_clear(&err);
    assert_int_equal(cv_local_pki_open(&pki, dir, &err), 0);
    cv_local_pki_close(pki);
    assert_int_equal(chmod(root_key, 0644), 0);
    assert_int_equal(cv_local_pki_open(&pki, dir, &err), CV_ERR_DENIED);
    assert_null(pki);
    assert_int_equal(cv_file_replace(root_key, CV_BYTES_LIT("nonsense"), 0600, &err), 0);
    assert_int_equal(cv_local_pki_open(&pki, dir, &err), CV_ERR_INVALID);
    assert_int_equal(unlink(root_key), 0);
    /* A certificate without its key is never silently replaced. */
    assert_int_equal(cv_local_pki_open(&pki, dir, &err), CV_ERR_NOT_FOUND);
    assert_int_equal(cv_file_replace(root_pem, CV_BYTES_LIT("nonsense"), 0644, &err), 0);
    assert_int_equal(cv_local_pki_open(&pki, dir, &err), CV_ERR_INVALID);
    assert_int_equal(unlink(root_pem), 0);
}

static int64_t not_after(struct cv_bytes der)
{
    const uint8_t *p = der.p;
    X509 *cert = d2i_X509(NULL, &p, (long)der.n);
    struct tm tm;

    assert_non_null(cert);
    assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm), 1);
    X509_free(cert);
    return (int64_t)timegm(&tm) * 1000;
}

static void expired_certificates_are_reissued(void **state)
{
    static const int64_t hour = 3600 * 1000;
    struct cv_local_pki *pki = NULL;
    struct cv_local_identity *id = NULL;
    uint8_t leaf[1024];
    int64_t now = cv_unix_ms() / 1000 * 1000;

    (void)state;
    assert_int_equal(cv_local_pki_open(&pki, dir, NULL), 0);
    assert_int_equal(cv_local_identity_new(&id, pki, "local-1", "i-1", "i-1-enc1", NULL), 0);
    assert_int_equal(cv_local_identity_refresh(id, now, NULL), 0);
    assert_int_equal(not_after(cv_local_identity_leaf(id)), now + 3 * hour);
    assert_int_equal(not_after(cv_local_identity_bundle(id, 1)), now + 20 * 24 * hour);
    assert_int_equal(not_after(cv_local_identity_bundle(id, 2)), now + 6 * 24 * hour);
    assert_int_equal(not_after(cv_local_identity_bundle(id, 3)), now + 24 * hour);

    /* Within its life the leaf stays the same. */
    struct cv_bytes first = cv_local_identity_leaf(id);
    memcpy(leaf, first.p, first.n);
    size_t n = first.n;
    assert_int_equal(cv_local_identity_refresh(id, now + 2 * hour, NULL), 0);
    assert_true(cv_bytes_equal(cv_local_identity_leaf(id), CV_BYTES(leaf, n)));

    /* After it, a new one under the same instance certificate. */
    assert_int_equal(cv_local_identity_refresh(id, now + 3 * hour, NULL), 0);
    assert_false(cv_bytes_equal(cv_local_identity_leaf(id), CV_BYTES(leaf, n)));
    assert_int_equal(not_after(cv_local_identity_leaf(id)), now + 6 * hour);
    assert_int_equal(not_after(cv_local_identity_bundle(id, 3)), now + 24 * hour);
    assert_int_equal(cv_local_identity_refresh(id, now + 24 * hour, NULL), 0);
    assert_int_equal(not_after(cv_local_identity_bundle(id, 3)), now + 48 * hour);
    /* A clock that is turned back gets certificates of its time. */
    assert_int_equal(cv_local_identity_refresh(id, now + hour, NULL), 0);
    assert_int_equal(not_after(cv_local_identity_leaf(id)), now + 4 * hour);

    for (unsigned i = 0; i < CV_LOCAL_BUNDLE; i++)
        assert_true(cv_local_identity_bundle(id, i).n <= 1024);
    cv_local_identity_free(id);
    cv_local_pki_close(pki);
}

static void names_are_bounded(void **state)
{
    struct cv_local_pki *pki = NULL;
    struct cv_local_identity *id = NULL;
    char module[256];

    (void)state;
    memset(module, 'm', 255);
    module[255] = '\0';
    assert_int_equal(cv_local_pki_open(&pki, dir, NULL), 0);
    assert_int_equal(cv_local_identity_new(&id, pki, "a-region-too-long", "i-1", "m", NULL),
                     CV_ERR_INVALID);
    assert_int_equal(cv_local_identity_new(&id, pki, "", "i-1", "m", NULL), CV_ERR_INVALID);
    /* The longest module id and region still give certificates that fit. */
    assert_int_equal(
        cv_local_identity_new(&id, pki, "ap-southeast-1", "i-0123456789abcdef0", module, NULL), 0);
    assert_int_equal(cv_local_identity_refresh(id, cv_unix_ms(), NULL), 0);
    assert_true(cv_local_identity_leaf(id).n <= 1024);
    cv_local_identity_free(id);
    cv_local_pki_close(pki);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(root_pem, sizeof root_pem, "%s/%s", dir, CV_LOCAL_ROOT_PEM);
    snprintf(root_key, sizeof root_key, "%s/%s", dir, CV_LOCAL_ROOT_KEY);
    snprintf(lock_file, sizeof lock_file, "%s/.pki.lock", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(root_pem);
    unlink(root_key);
    unlink(lock_file);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_is_kept),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(expired_certificates_are_reissued),
        cmocka_unit_test(names_are_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
