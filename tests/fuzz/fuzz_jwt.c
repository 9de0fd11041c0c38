/* SPDX-License-Identifier: Apache-2.0 */
/* A token from outside: without the user's secret none is good. */
#include <stdlib.h>
#include <string.h>

#include "signer/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cv_config_jwt_user user;
    static char name[] = "bob";
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    if (user.name == NULL) {
        user.name = name;
        if (cv_secret_copy(&user.now.secret, "the secret of nobody but the signer", 35) != 0) {
            abort();
        }
    }
    const struct cv_config config = {.jwt_users = &user, .jwt_user_count = 1};
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = 0;
    if (cv_jwt_check(&config, text, "bob", 0) == NULL) {
        abort();
    }
    free(text);
    return 0;
}
