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

static int extend(const struct cv_init *i, const uint8_t digest[CV_SHA384_LEN],
                  struct cv_error *err)
{
    uint8_t want[CV_SHA384_LEN];
    char hex[2 * CV_SHA384_LEN + 1];
    struct cv_nsm_pcr pcr;
    uint16_t number = (uint16_t)i->settings.config_pcr;
    int rc = cv_nsm_extend_pcr(i->nsm, number, CV_BYTES(digest, CV_SHA384_LEN), &pcr, err);
    if (rc == 0)
        rc = cv_nsm_lock_pcr(i->nsm, number, err);
    if (rc != 0)
        return rc;
    cv_applied_register(want, digest);
    if (pcr.n != sizeof want || memcmp(pcr.data, want, sizeof want) != 0)
        return cv_error_set(err, CV_ERR_STATE, "the register was not empty before");
    cv_hex_encode(hex, want, sizeof want);
    cv_log(CV_LOG_INFO, "the applied configuration is measured", "pcr",
           cv_logf("%u", (unsigned)number), "value", hex, NULL);
    return 0;
}

int cv_apply_measure(const struct cv_init *i, const struct cv_bundle *b, struct cv_error *err)
{
    struct cv_applied_config config[CV_BOOT_MAX_SOURCES];
    struct cv_applied_variable *env;
    uint8_t digest[CV_SHA384_LEN];
    int rc = 0;
    if (i->settings.config_pcr == 0)
        return 0;
    for (size_t k = 0; rc == 0 && k < b->n; k++)
        rc = cv_applied_take(&config[k], b->item[k].version, &b->item[k].metadata, b->item[k].body,
                             err);
    if (rc == 0) {
        size_t n = variables(&env, i);
        if (env == NULL)
            return cv_error_set(err, CV_ERR_NOMEM, "no memory");
        cv_applied_digest(digest, config, b->n, env, n);
        free(env);
        rc = extend(i, digest, err);
    }
    if (rc != 0)
        cv_error_wrap(err, "measuring the applied configuration into PCR%llu",
                      (unsigned long long)i->settings.config_pcr);
    return rc;
}
