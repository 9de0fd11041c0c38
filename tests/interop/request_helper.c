/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the parser and the policy behind standard input and output, for tests
 * in Python. One request a line, in hexadecimal; the answer is one line:
 *
 *   error CODE TEXT
 *   KIND CHAIN LEVEL ROUND TAG OPERATIONS
 *
 * CHAIN is "-" where there is none; OPERATIONS is "-" or a list, separated by
 * commas, of NAME/SOURCE/FEE/AMOUNT/DESTINATION, each "-" where absent.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "crypto/init.h"
#include "tezos/request.h"

static void print_operation(const struct cv_operation *op) {
    char text[CV_PKH_TEXT_SIZE] = "-";
    if (op->has_source)
        cv_pkh_format(text, &op->source);
    printf("%s/%s/", cv_operation_name(op), text);
    if (op->manager)
        printf("%" PRIu64 "/", op->fee);
    else
        printf("-/");
    if (op->has_amount)
        printf("%" PRIu64 "/", op->amount);
    else
        printf("-/");
    strcpy(text, "-");
    if (op->has_destination)
        cv_address_format(text, &op->destination);
    printf("%s", text);
}

static void answer(struct cv_bytes in) {
    struct cv_request request;
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_request_parse(&request, in, &err);
    if (rc != 0) {
        printf("error %d %s\n", rc, cv_error_top(&err));
        return;
    }
    printf("%s ", cv_request_names[request.kind]);
    if (request.consensus) {
        char chain[9];
        cv_hex_encode(chain, request.chain, 4);
        printf("%s %" PRId32 " %" PRId32 " %u", chain, request.level, request.round,
               request.op_tag);
    } else {
        printf("- 0 0 0");
    }
    struct cv_operations it;
    struct cv_operation op;
    size_t count = 0;
    cv_operations_start(&it, &request);
    for (; cv_operations_next(&it, &op); count++) {
        printf("%s", count == 0 ? " " : ",");
        print_operation(&op);
    }
    if (count != request.operation_count)
        abort();
    printf("%s\n", count == 0 ? " -" : "");
}

int main(void) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    if (cv_crypto_init() != 0)
        return 1;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        size_t len = (size_t)n - (line[n - 1] == '\n');
        /* of the exact size, so that a sanitizer sees a read past the end */
        uint8_t *bytes = malloc(len / 2 + 1);
        size_t used = 0;
        if (bytes == NULL || cv_hex_decode(bytes, len / 2, &used, CV_BYTES(line, len)) != 0)
            return 1;
        answer(CV_BYTES(bytes, used));
        free(bytes);
        fflush(stdout);
    }
    free(line);
    return 0;
}
