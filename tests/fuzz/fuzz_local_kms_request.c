/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the KMS stand-in, behind its authentication: the first byte
 * chooses the operation, the rest is the body. "%" in the body stands for the
 * id of a key that exists, so that the operations get past their first check.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "local/kms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cv_local_kms *kms;

static void no_log(void *ctx, const char *line, size_t n)
{
    (void)ctx;
    (void)line;
    (void)n;
}

/* A state of one key and one principal, made anew now and then so that it does
 * not grow without end. */
static void make(void)
{
    static const struct cv_local_kms_config config = {.region = "us-west-2"};
    struct cv_local_kms_reply reply;
    cv_log_sink(no_log, NULL);
    cv_local_kms_free(kms);
    if (cv_local_kms_new(&kms, &config, NULL) ||
        cv_local_kms_admin_add(cv_local_kms_state(kms), NULL))
        abort();
    cv_local_kms_dispatch(kms, &cv_local_kms_state(kms)->principals[0], "CreateKey",
                          CV_BYTES_LIT("{}"), &reply);
    if (reply.status != 200)
        abort();
    cv_local_kms_reply_free(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const actions[] = {
        "Encrypt",        "Decrypt",     "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
        "GenerateRandom", "CreateKey",   "DescribeKey",     "PutKeyPolicy",
        "GetKeyPolicy",   "CreateAlias", "ListAliases",     "DeleteAlias",
        "DisableKey",     "CreateGrant", "Nothing",
    };
    struct cv_local_kms_state *state = kms ? cv_local_kms_state(kms) : NULL;
    struct cv_local_kms_reply reply;
    struct cv_buf body;
    if (!state || state->n_keys > 20 || state->n_aliases > 20)
        make();
    state = cv_local_kms_state(kms);
    if (!size)
        return 0;
    cv_buf_init(&body, 1u << 20);
    for (size_t i = 1; i < size; i++)
        if (data[i] == '%' ? cv_buf_append_str(&body, state->keys[0]->id)
                           : cv_buf_append_u8(&body, data[i]))
            break;
    cv_local_kms_dispatch(kms, &state->principals[0],
                          actions[data[0] % (sizeof actions / sizeof actions[0])],
                          cv_buf_view(&body), &reply);
    /* Whatever was asked: KMS's own answer, never a failure of ours. */
    if (reply.status != 200 && reply.status != 400)
        abort();
    if (reply.status == 400 && !strstr((const char *)reply.body.p, "\"__type\""))
        abort();
    cv_local_kms_reply_free(&reply);
    cv_buf_free(&body);
    return 0;
}
