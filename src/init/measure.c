/* SPDX-License-Identifier: Apache-2.0 */
/* Stage "apply": what was applied, as a measurement that every later attestation
 * document of this enclave tells. */
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/log.h"
#include "init/init.h"
#include "sealed/applied.h"

/* The parent's variables that the image allows. */
static size_t variables(struct cv_applied_variable **out, const struct cv_init *i)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    *out = calloc(json_object_size(i->parents_variables) + 1, sizeof **out);
    if (*out == NULL)
        return 0;
    json_object_foreach (i->parents_variables, name, value) {
        if (cv_boot_allows_untrusted(&i->settings, name))
            (*out)[n++] = (struct cv_applied_variable){
                name, CV_BYTES(json_string_value(value), json_string_length(value))};
    }
    return n;
}

/* Extends the register and locks it. Its value is then as everybody computes it, or
 * the register was not empty. */
static int extend(const struct cv_init *i, uint16_t number, const uint8_t digest[CV_SHA384_LEN],
                  const uint8_t want[CV_SHA384_LEN], struct cv_error *err)
{
    struct cv_nsm_pcr pcr;
    int rc = cv_nsm_extend_pcr(i->nsm, number, CV_BYTES(digest, CV_SHA384_LEN), &pcr, err);
    if (rc == 0)
        rc = cv_nsm_lock_pcr(i->nsm, number, err);
    if (rc == 0 && (pcr.n != CV_SHA384_LEN || memcmp(pcr.data, want, CV_SHA384_LEN) != 0))
        rc = cv_error_set(err, CV_ERR_STATE, "the register was not empty before");
    return rc;
}

static int digest_of(uint8_t digest[CV_SHA384_LEN], const struct cv_init *i,
                     const struct cv_bundle *b, struct cv_error *err)
{
    struct cv_applied_config config[CV_BOOT_MAX_SOURCES];
    struct cv_applied_variable *env;
    for (size_t k = 0; k < b->n; k++) {
        const struct cv_bundle_item *item = &b->item[k];
        int rc = cv_applied_take(&config[k], item->version, &item->metadata, item->body, err);
        if (rc != 0)
            return rc;
    }
    size_t n = variables(&env, i);
    if (env == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    cv_applied_digest(digest, config, b->n, env, n);
    free(env);
    return 0;
}

int cv_apply_measure(const struct cv_init *i, const struct cv_bundle *b, struct cv_error *err)
{
    uint8_t digest[CV_SHA384_LEN], want[CV_SHA384_LEN];
    char hex[2 * CV_SHA384_LEN + 1];
    uint16_t number = (uint16_t)i->settings.config_pcr;
    if (number == 0)
        return 0;
    int rc = digest_of(digest, i, b, err);
    if (rc == 0) {
        cv_applied_register(want, digest);
        rc = extend(i, number, digest, want, err);
    }
    if (rc != 0) {
        cv_error_wrap(err, "measuring the applied configuration into PCR%u", (unsigned)number);
        if (!cv_init_build.development)
            return rc;
        /* An NSM stand-in may have served another boot before this one, whose
         * registers it still holds. An enclave's own is new with the enclave. */
        cv_log_error(CV_LOG_WARN, "an enclave would not start so", err);
        cv_error_clear(err);
        return 0;
    }
    cv_hex_encode(hex, want, sizeof want);
    cv_log(CV_LOG_INFO, "the applied configuration is measured", "pcr",
           cv_logf("%u", (unsigned)number), "value", hex, NULL);
    return 0;
}
