/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the parser behind standard input and output, for tests in Python. One
 * request a line, in hexadecimal; the answer is a line of unit/request_line.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "crypto/init.h"
#include "unit/request_line.h"

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
        request_line(stdout, CV_BYTES(bytes, used));
        free(bytes);
        fflush(stdout);
    }
    free(line);
    return 0;
}
