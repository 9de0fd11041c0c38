/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser makes of a request, as one line of text, for the unit test
 * and for tests in Python:
 *
 *   error CODE TEXT
 *   KIND CHAIN LEVEL ROUND TAG OPERATIONS
 *
 * CHAIN is "-" where there is none; OPERATIONS is "-" or a list, separated by
 * commas, of NAME/SOURCE/FEE/AMOUNT/DESTINATION, each "-" where absent.
 */
#ifndef CV_TESTS_REQUEST_LINE_H
#define CV_TESTS_REQUEST_LINE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "tezos/request.h"

static inline void request_line_operation(FILE *out, const struct cv_operation *op)
{
    char text[CV_PKH_TEXT_SIZE] = "-";
    if (op->has_source)
        cv_pkh_format(text, &op->source);
    fprintf(out, "%s/%s/", cv_operation_name(op), text);
    if (op->manager)
        fprintf(out, "%" PRIu64 "/", op->fee);
    else
        fprintf(out, "-/");
    if (op->has_amount)
        fprintf(out, "%" PRIu64 "/", op->amount);
    else
        fprintf(out, "-/");
    strcpy(text, "-");
    if (op->has_destination)
        cv_address_format(text, &op->destination);
    fprintf(out, "%s", text);
}

/* Writes the line, with its newline. */
static inline void request_line(FILE *out, struct cv_bytes in)
{
    struct cv_request request;
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_request_parse(&request, in, &err);
    if (rc != 0) {
        fprintf(out, "error %d %s\n", rc, cv_error_top(&err));
        return;
    }
    fprintf(out, "%s ", cv_request_names[request.kind]);
    if (request.consensus) {
        char chain[9];
        cv_hex_encode(chain, request.chain, 4);
        fprintf(out, "%s %" PRId32 " %" PRId32 " %u", chain, request.level, request.round,
                request.op_tag);
    } else {
        fprintf(out, "- 0 0 0");
    }
    struct cv_operations it;
    struct cv_operation op;
    size_t count = 0;
    cv_operations_start(&it, &request);
    for (; cv_operations_next(&it, &op); count++) {
        fprintf(out, "%s", count == 0 ? " " : ",");
        request_line_operation(out, &op);
    }
    if (count != request.operation_count)
        abort();
    fprintf(out, "%s\n", count == 0 ? " -" : "");
}

#endif
