/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attest_expect.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/file.h"
#include "common/hex.h"
#include "eif/measure.h"
#include "json/json.h"

#define PCRS_FILE_MAX (1u << 20)
#define ROOT_FILE_MAX 16384

static int expect(struct cv_attest_policy *policy, unsigned index, const void *p, size_t n,
                  const char *source, struct cv_error *err)
{
    if (cv_attest_expect_pcr(policy, index, p, n) == CV_ATTEST_OK)
        return 0;
    return cv_error_set(err, CV_ERR_CONFIG,
                        "%s says another value of PCR%u than was given before it", source, index);
}

static int expect_hex(struct cv_attest_policy *policy, unsigned index, struct cv_bytes hex,
                      const char *source, struct cv_error *err)
{
    uint8_t value[CV_ATTEST_PCR_MAX];
    size_t n = 0;

    if (cv_hex_decode(value, sizeof value, &n, hex) != 0 || (n != 32 && n != 48 && n != 64))
        return cv_error_set(err, CV_ERR_CONFIG, "%s: PCR%u is not 96 hex digits", source, index);
    return expect(policy, index, value, n, source, err);
}

int cv_expect_pcr_text(struct cv_attest_policy *policy, const char *text, struct cv_error *err)
{
    char *end = NULL, quoted[64];
    if (strncasecmp(text, "PCR", 3) == 0)
        text += 3; /* as nitro-cli and policies write it */
    unsigned long index =
        text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : CV_ATTEST_PCRS;

    if (end == NULL || *end != '=' || index >= CV_ATTEST_PCRS)
        return cv_error_set(err, CV_ERR_CONFIG, "--pcr %s: wanted is N=HEX with N from 0 to %d",
                            cv_error_quote(quoted, sizeof quoted, text, strlen(text)),
                            CV_ATTEST_PCRS - 1);
    return expect_hex(policy, (unsigned)index, cv_bytes_str(end + 1), "--pcr", err);
}

/* The object with the registers: the whole, its "Measurements", or those of the
 * one enclave of a describe-enclaves array. */
static const json_t *find_measurements(const json_t *doc)
{
    if (json_is_array(doc) && json_array_size(doc) == 1)
        doc = json_array_get(doc, 0);
    const json_t *inner = json_object_get(doc, "Measurements");
    return json_is_object(inner) ? inner : doc;
}

int cv_expect_pcrs_json(struct cv_attest_policy *policy, struct cv_bytes text, const char *name,
                        struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    unsigned found = 0;

    int rc = cv_json_parse(&doc, text, PCRS_FILE_MAX, name, err);
    if (rc != 0)
        return rc;
    const json_t *pcrs = find_measurements(doc);
    for (unsigned i = 0; i < CV_ATTEST_PCRS; i++) {
        char key[12];
        (void)snprintf(key, sizeof key, "PCR%u", i);
        const json_t *value = json_object_get(pcrs, key);
        if (value == NULL || json_is_null(value))
            continue;
        if (!json_is_string(value))
            return cv_error_set(err, CV_ERR_CONFIG, "%s: %s is not a string", name, key);
        rc = expect_hex(policy, i, CV_BYTES(json_string_value(value), json_string_length(value)),
                        name, err);
        if (rc != 0)
            return rc;
        found++;
    }
    return found > 0
               ? 0
               : cv_error_set(err, CV_ERR_CONFIG, "%s names no register (PCR0, PCR1 …)", name);
}

static int expect_pcrs_file(struct cv_attest_policy *policy, const char *path, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;

    cv_buf_init(&text, PCRS_FILE_MAX);
    int rc = cv_file_read(&text, path, err);
    return rc != 0 ? rc : cv_expect_pcrs_json(policy, cv_buf_view(&text), path, err);
}

static int expect_image(struct cv_attest_policy *policy, const char *path, struct cv_error *err)
{
    struct cv_eif_pcrs pcrs;

    int rc = cv_eif_measure_path(path, &pcrs, err);
    if (rc != 0)
        return rc;
    if ((rc = expect(policy, 0, pcrs.pcr0, sizeof pcrs.pcr0, path, err)) != 0 ||
        (rc = expect(policy, 1, pcrs.pcr1, sizeof pcrs.pcr1, path, err)) != 0 ||
        (rc = expect(policy, 2, pcrs.pcr2, sizeof pcrs.pcr2, path, err)) != 0)
        return rc;
    return pcrs.has_pcr8 ? expect(policy, 8, pcrs.pcr8, sizeof pcrs.pcr8, path, err) : 0;
}

static int expect_text(struct cv_attest_policy *policy, unsigned index, const char *text,
                       const char *option, struct cv_error *err)
{
    uint8_t pcr[CV_EIF_PCR_LEN];

    if (text == NULL)
        return 0;
    int rc = cv_eif_pcr_of_text(pcr, text, err);
    return rc != 0 ? rc : expect(policy, index, pcr, sizeof pcr, option, err);
}

int cv_expect_apply(struct cv_attest_policy *policy, struct cv_buf *root,
                    const struct cv_expect_options *o, struct cv_error *err)
{
    int rc = 0;

    cv_buf_init(root, ROOT_FILE_MAX);
    policy->allow_debug = o->allow_debug;
    for (size_t i = 0; i < o->pcr.count && rc == 0; i++)
        rc = cv_expect_pcr_text(policy, o->pcr.item[i], err);
    if (rc == 0 && o->pcrs != NULL)
        rc = expect_pcrs_file(policy, o->pcrs, err);
    if (rc == 0 && o->eif != NULL)
        rc = expect_image(policy, o->eif, err);
    if (rc != 0 || (rc = expect_text(policy, 3, o->role_arn, "--role-arn", err)) != 0 ||
        (rc = expect_text(policy, 4, o->instance_id, "--instance-id", err)) != 0 || o->root == NULL)
        return rc;
    rc = cv_file_read(root, o->root, err);
    policy->root = root->p;
    policy->root_len = root->n;
    if (rc == 0 && root->n == 0)
        rc = cv_error_set(err, CV_ERR_CONFIG, "%s is empty", o->root);
    return rc;
}
