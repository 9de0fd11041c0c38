/* SPDX-License-Identifier: Apache-2.0 */
#include "tezos/policy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int refuse(struct cv_refusal *why, enum cv_refusal_reason reason, const char *kind,
                  const char *fmt, ...) CV_PRINTF(4, 5);

static int refuse(struct cv_refusal *why, enum cv_refusal_reason reason, const char *kind,
                  const char *fmt, ...)
{
    va_list ap;
    why->reason = reason;
    why->kind = kind;
    va_start(ap, fmt);
    vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    return CV_ERR_DENIED;
}

static int check_chain(const struct cv_key_rules *rules, const struct cv_request *request,
                       struct cv_refusal *why)
{
    char text[CV_BASE58_TEXT_MAX];
    if (!rules->chains_given || !request->consensus)
        return 0;
    for (size_t i = 0; i < rules->chain_count; i++) {
        if (memcmp(rules->chains[i], request->chain, sizeof(request->chain)) == 0)
            return 0;
    }
    if (cv_text_format(text, sizeof(text), CV_TEXT_CHAIN_ID,
                       CV_BYTES(request->chain, sizeof(request->chain))) != 0)
        text[0] = '\0';
    return refuse(why, CV_REFUSED_CHAIN, NULL, "chain `%s' is not allowed", text);
}

static int check_client(const struct cv_key_rules *rules, const struct cv_pkh *client,
                        struct cv_refusal *why)
{
    char text[CV_PKH_TEXT_SIZE];
    if (!rules->clients_given)
        return 0;
    if (client == NULL)
        return refuse(why, CV_REFUSED_NO_CLIENT, NULL, "authentication required");
    for (size_t i = 0; i < rules->client_count; i++) {
        if (cv_pkh_equal(&rules->clients[i], client))
            return 0;
    }
    cv_pkh_format(text, client);
    return refuse(why, CV_REFUSED_CLIENT, NULL, "client `%s' is not allowed", text);
}

/* A ballot is allowed by its own name or by that of its vote. */
static bool kind_allowed(const struct cv_key_rules *rules, const struct cv_operation *op)
{
    uint64_t bits = CV_OP_BIT(op->kind);
    if (op->kind == CV_OP_BALLOT)
        bits |= CV_VOTE_BIT(op->vote);
    return (rules->operations & bits) != 0;
}

static int check_kinds(const struct cv_key_rules *rules, const struct cv_request *request,
                       struct cv_refusal *why)
{
    struct cv_operations it;
    struct cv_operation op;
    cv_operations_start(&it, request);
    while (cv_operations_next(&it, &op)) {
        const char *name = cv_operation_name(&op);
        if (!kind_allowed(rules, &op))
            return refuse(why, CV_REFUSED_OPERATION, name, "operation `%s' is not allowed", name);
    }
    return 0;
}

static int check_source(const struct cv_key_rules *rules, const struct cv_operation *op,
                        const struct cv_pkh *signer, struct cv_refusal *why)
{
    char text[CV_PKH_TEXT_SIZE];
    const char *name = cv_operation_name(op);
    if (!op->manager || rules->allow_other_source || cv_pkh_equal(&op->source, signer))
        return 0;
    cv_pkh_format(text, &op->source);
    return refuse(why, CV_REFUSED_SOURCE, name,
                  "operation `%s' is of `%s', not of the signing key (allow_other_source)", name,
                  text);
}

/* Where value goes: the destination, and for an origination a contract that
 * does not exist yet, so cannot be listed. */
static int check_destination(const struct cv_key_rules *rules, const struct cv_operation *op,
                             struct cv_refusal *why)
{
    char text[CV_PKH_TEXT_SIZE];
    const char *name = cv_operation_name(op);
    if (!rules->destinations_given)
        return 0;
    if (op->kind == CV_OP_ORIGINATION && op->amount > 0)
        return refuse(why, CV_REFUSED_DESTINATION, name,
                      "operation `%s' moves its balance to a new contract, which is not in "
                      "limits.destinations",
                      name);
    if (!op->has_destination)
        return 0;
    for (size_t i = 0; i < rules->destination_count; i++) {
        if (cv_address_equal(&rules->destinations[i], &op->destination))
            return 0;
    }
    cv_address_format(text, &op->destination);
    return refuse(why, CV_REFUSED_DESTINATION, name,
                  "operation `%s' goes to `%s', which is not in limits.destinations", name, text);
}

static int check_limits(const struct cv_key_rules *rules, const struct cv_operation *op,
                        struct cv_refusal *why)
{
    const char *name = cv_operation_name(op);
    if (rules->has_max_fee && op->manager && op->fee > rules->max_fee)
        return refuse(why, CV_REFUSED_FEE, name,
                      "operation `%s' pays a fee of %" PRIu64 " mutez, more than limits.max_fee",
                      name, op->fee);
    if (rules->has_max_amount && op->has_amount && op->amount > rules->max_amount) {
        if (op->kind == CV_OP_DRAIN_DELEGATE)
            return refuse(why, CV_REFUSED_AMOUNT, name,
                          "operation `%s' moves a whole balance, more than limits.max_amount",
                          name);
        return refuse(why, CV_REFUSED_AMOUNT, name,
                      "operation `%s' moves %" PRIu64 " mutez, more than limits.max_amount", name,
                      op->amount);
    }
    return check_destination(rules, op, why);
}

static int check_ours(const struct cv_key_rules *rules, const struct cv_request *request,
                      const struct cv_pkh *signer, struct cv_refusal *why)
{
    struct cv_operations it;
    struct cv_operation op;
    cv_operations_start(&it, request);
    while (cv_operations_next(&it, &op)) {
        int rc = check_source(rules, &op, signer, why);
        if (rc == 0)
            rc = check_limits(rules, &op, why);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int cv_policy_check_request(const struct cv_key_rules *rules, const struct cv_request *request,
                            const struct cv_pkh *signer, const struct cv_pkh *client,
                            struct cv_refusal *why)
{
    const char *name = cv_request_names[request->kind];
    int rc = check_chain(rules, request, why);
    if (rc == 0)
        rc = check_client(rules, client, why);
    if (rc == 0 && (rules->requests & CV_REQUEST_BIT(request->kind)) == 0)
        rc = refuse(why, CV_REFUSED_REQUEST, name, "request kind `%s' is not allowed", name);
    if (rc == 0)
        rc = check_kinds(rules, request, why);
    if (rc == 0)
        rc = check_ours(rules, request, signer, why);
    return rc;
}
