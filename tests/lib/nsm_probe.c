/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the NSM what its arguments say, in their order, and prints a line for each:
 *
 *   describe N | extend N TEXT | lock N | range N | attest TEXT (its nonce) | module
 *
 * For images of tests/system/test_vm_secrets.py; static, so that it runs in any.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nsm/nsm.h"

static void print_hex(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("%02x", p[i]);
}

static int print_pcr(int rc, const struct cv_nsm_pcr *pcr)
{
    if (rc == 0) {
        printf("%s ", pcr->locked ? "locked" : "open");
        print_hex(pcr->data, pcr->n);
    }
    return rc;
}

static int attest(struct cv_nsm *nsm, const char *nonce, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf document;
    const struct cv_nsm_attest fields = {.nonce = cv_bytes_str(nonce)};
    cv_buf_init(&document, CV_NSM_RESPONSE_MAX);
    int rc = cv_nsm_attest(nsm, &fields, &document, err);
    if (rc == 0)
        print_hex(document.p, document.n);
    return rc;
}

static int ask(struct cv_nsm *nsm, const char *verb, const char *first, const char *second,
               struct cv_error *err)
{
    struct cv_nsm_pcr pcr;
    struct cv_nsm_description d;
    uint16_t n = first != NULL ? (uint16_t)strtoul(first, NULL, 10) : 0;
    if (strcmp(verb, "describe") == 0)
        return print_pcr(cv_nsm_describe_pcr(nsm, n, &pcr, err), &pcr);
    if (strcmp(verb, "extend") == 0)
        return print_pcr(cv_nsm_extend_pcr(nsm, n, cv_bytes_str(second), &pcr, err), &pcr);
    if (strcmp(verb, "lock") == 0)
        return cv_nsm_lock_pcr(nsm, n, err);
    if (strcmp(verb, "range") == 0)
        return cv_nsm_lock_pcrs(nsm, n, err);
    if (strcmp(verb, "attest") == 0)
        return attest(nsm, first, err);
    int rc = cv_nsm_describe(nsm, &d, err);
    if (rc == 0)
        printf("%s", d.module_id);
    return rc;
}

int main(int argc, char **argv)
{
    struct cv_nsm *nsm = NULL;
    struct cv_error err;
    cv_error_clear(&err);
    if (cv_nsm_open(&nsm, NULL, &err) != 0)
        printf("error %s\n", cv_error_text(&err, 0));
    for (int i = 1; nsm != NULL && i < argc;) {
        const char *verb = argv[i++];
        const char *first = strcmp(verb, "module") != 0 && i < argc ? argv[i++] : NULL;
        const char *second = strcmp(verb, "extend") == 0 && i < argc ? argv[i++] : NULL;
        cv_error_clear(&err);
        printf("%s %s: ", verb, first != NULL ? first : "");
        if (ask(nsm, verb, first, second, &err) != 0)
            printf("error %s", cv_nsm_fixed_text(&err));
        putchar('\n');
    }
    cv_nsm_close(nsm);
    return 0;
}
