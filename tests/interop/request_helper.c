/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the parser and the policy behind standard input and output, for tests
 * in Python. One command a line, the request in hexadecimal:
 *
 *   REQUEST                      -> a line of unit/request_line.h
 *   policy KINDS OPS REQUEST     -> "allowed", or the text of the refusal
 *
 * KINDS and OPS are names separated by commas, "-" for none; operations of
 * other accounts are allowed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "crypto/init.h"
#include "tezos/policy.h"
#include "unit/request_line.h"

/* The set of those NAMES that LIST names. */
static uint64_t set_of(char *list, const char *const *names)
{
    uint64_t set = 0;
    char *rest = NULL;
    for (char *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        for (unsigned i = 0; names[i] != NULL; i++)
            set |= strcmp(names[i], name) == 0 ? UINT64_C(1) << i : 0;
    }
    return set;
}

static void policy(char *kinds, char *ops, struct cv_bytes in)
{
    static const struct cv_pkh signer = {CV_SCHEME_ED25519, {0}};
    struct cv_request request;
    struct cv_refusal why;
    struct cv_key_rules rules = {.allow_other_source = true};
    rules.requests = (uint32_t)set_of(kinds, cv_request_names);
    rules.operations = set_of(ops, cv_operation_names);
    if (cv_request_parse(&request, in, NULL) != 0)
        printf("malformed\n");
    else if (cv_policy_check_request(&rules, &request, &signer, NULL, &why) != 0)
        printf("%s\n", why.text);
    else
        printf("allowed\n");
}

int main(void)
{
    static char kinds[4096], ops[4096];
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    if (cv_crypto_init() != 0)
        return 1;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        int at = 0;
        bool check = sscanf(line, "policy %4095s %4095s %n", kinds, ops, &at) == 2;
        size_t len = (size_t)(n - at) - (line[n - 1] == '\n');
        /* of the exact size, so that a sanitizer sees a read past the end */
        uint8_t *bytes = malloc(len / 2 + 1);
        size_t used = 0;
        if (bytes == NULL || cv_hex_decode(bytes, len / 2, &used, CV_BYTES(line + at, len)) != 0)
            return 1;
        if (check)
            policy(kinds, ops, CV_BYTES(bytes, used));
        else
            request_line(stdout, CV_BYTES(bytes, used));
        free(bytes);
        fflush(stdout);
    }
    free(line);
    return 0;
}
