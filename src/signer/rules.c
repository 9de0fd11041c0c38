/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/rules.h"

#include <stdlib.h>

#include "watermark/signatory.h"

/* The arrays belong to the rules, though the policy borrows them as const. */
static void drop(const void *p)
{
    free((void *)(uintptr_t)p);
}

void cv_rules_free(struct cv_key_rules *rules)
{
    drop(rules->chains);
    drop(rules->clients);
    drop(rules->destinations);
    *rules = (struct cv_key_rules){0};
}

static int chains(struct cv_key_rules *out, const struct cv_config_strings *texts,
                  struct cv_error *err)
{
    uint8_t(*ids)[4] = calloc(texts->count + 1, sizeof *ids);
    out->chains_given = texts->given;
    out->chains = (const uint8_t(*)[4])ids;
    if (ids == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the policy");
    }
    for (size_t i = 0; i < texts->count; i++) {
        if (cv_chain_parse(ids[i], texts->item[i]) != CV_OK) {
            return cv_error_set(err, CV_ERR_CONFIG, "allowed_chains: \"%.64s\" is no chain id",
                                texts->item[i]);
        }
    }
    out->chain_count = texts->count;
    return CV_OK;
}

static int clients(struct cv_key_rules *out, const struct cv_config_keys *keys,
                   struct cv_error *err)
{
    struct cv_pkh *list = calloc(keys->count + 1, sizeof *list);
    out->clients_given = keys->given;
    out->clients = list;
    if (list == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the policy");
    }
    for (size_t i = 0; i < keys->count; i++) {
        cv_pkh_of(&list[i], &keys->key[i]);
    }
    out->client_count = keys->count;
    return CV_OK;
}

static int limits(struct cv_key_rules *out, const struct cv_config_limits *l, struct cv_error *err)
{
    struct cv_address *list = calloc(l->destinations.count + 1, sizeof *list);
    out->has_max_fee = l->has_max_fee;
    out->max_fee = l->max_fee;
    out->has_max_amount = l->has_max_amount;
    out->max_amount = l->max_amount;
    out->destinations_given = l->destinations.given;
    out->destinations = list;
    if (list == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the policy");
    }
    for (size_t i = 0; i < l->destinations.count; i++) {
        if (cv_address_parse(&list[i], cv_bytes_str(l->destinations.item[i])) != CV_OK) {
            return cv_error_set(err, CV_ERR_CONFIG, "limits.destinations: \"%.64s\" is no address",
                                l->destinations.item[i]);
        }
    }
    out->destination_count = l->destinations.count;
    return CV_OK;
}

int cv_rules_make(struct cv_key_rules *out, const struct cv_config_key *key, struct cv_error *err)
{
    *out = (struct cv_key_rules){.requests = key->requests,
                                 .operations = key->operations,
                                 .allow_other_source = key->allow_other_source};
    int r = chains(out, &key->allowed_chains, err);
    if (r == CV_OK) {
        r = clients(out, &key->authorized_keys, err);
    }
    if (r == CV_OK) {
        r = limits(out, &key->limits, err);
    }
    if (r != CV_OK) {
        cv_error_wrap(err, "policy of %s", key->text);
        cv_rules_free(out);
    }
    return r;
}
