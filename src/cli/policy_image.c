/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policy_image.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/attest_expect.h"
#include "common/hex.h"
#include "eif/measure.h"

/* "0,8" as a mask. */
static int read_use(uint32_t *mask, const char *text, struct cv_error *err)
{
    *mask = 0;
    for (const char *s = text; *s;) {
        char *end;
        unsigned long r = isdigit((unsigned char)*s) ? strtoul(s, &end, 10) : CV_POLICY_REGISTERS;
        if (r >= CV_POLICY_REGISTERS || (*end != ',' && *end != '\0'))
            return cv_error_set(err, CV_ERR_CONFIG, "--use wants registers such as 0,1,2,8");
        *mask |= UINT32_C(1) << r;
        s = *end == ',' ? end + 1 : end;
    }
    return *mask ? 0 : cv_error_set(err, CV_ERR_CONFIG, "--use names no register");
}

int cv_cli_image_from(struct cv_policy_image *out, const struct cv_attest_policy *policy,
                      uint32_t use, bool allow_zero, struct cv_error *err)
{
    memset(out, 0, sizeof *out);
    for (unsigned r = 0; r < CV_POLICY_REGISTERS; r++) {
        if (!(policy->pcr_mask & use & (UINT32_C(1) << r)))
            continue;
        if (policy->pcr_len[r] != CV_EIF_PCR_LEN)
            return cv_error_set(err, CV_ERR_CONFIG, "register %u is not of %u bytes", r,
                                CV_EIF_PCR_LEN);
        cv_hex_encode(out->pcr[r], policy->pcr[r], CV_EIF_PCR_LEN);
        out->mask |= UINT32_C(1) << r;
        if (!allow_zero && out->pcr[r][strspn(out->pcr[r], "0")] == '\0')
            return cv_error_set(err, CV_ERR_CONFIG,
                                "register %u is zero: every enclave in debug mode "
                                "has that value, so anybody on the parent could use the key "
                                "(--allow-debug if that is meant)",
                                r);
    }
    return 0;
}

/* What every image must have. */
static int common_registers(struct cv_attest_policy *base, const struct cv_image_options *o,
                            struct cv_error *err)
{
    struct cv_expect_options expect = {.pcr = o->pcr,
                                       .role_arn = o->role_arn,
                                       .instance_id = o->instance_id,
                                       .allow_debug = o->allow_debug};
    struct cv_buf CV_CLEANUP(cv_buf_free) root;
    uint8_t pcr8[CV_EIF_PCR_LEN];
    cv_buf_init(&root, 1);
    cv_attest_policy_init(base);
    int rc = cv_expect_apply(base, &root, &expect, err);
    if (rc || !o->certificate)
        return rc;
    rc = cv_eif_pcr_of_certificate(pcr8, o->certificate, err);
    if (!rc && cv_attest_expect_pcr(base, 8, pcr8, sizeof pcr8) != CV_ATTEST_OK)
        rc = cv_error_set(err, CV_ERR_CONFIG,
                          "--certificate and --pcr name different values of "
                          "register 8");
    return rc;
}

/* One image file on top of what is common. */
static int add_image(struct cv_policy_image *out, const struct cv_attest_policy *base,
                     const struct cv_expect_options *file, uint32_t use, bool allow_zero,
                     struct cv_error *err)
{
    struct cv_attest_policy policy = *base;
    struct cv_buf CV_CLEANUP(cv_buf_free) root;
    cv_buf_init(&root, 1);
    int rc = cv_expect_apply(&policy, &root, file, err);
    if (!rc && (use & ~policy.pcr_mask) != 0)
        rc =
            cv_error_set(err, CV_ERR_CONFIG, "%s does not name register %d, which --use wants",
                         file->eif ? file->eif : file->pcrs, __builtin_ctz(use & ~policy.pcr_mask));
    return rc ? rc : cv_cli_image_from(out, &policy, use | base->pcr_mask, allow_zero, err);
}

int cv_cli_images(struct cv_policy_image *out, size_t *n, const struct cv_image_options *o,
                  struct cv_error *err)
{
    struct cv_attest_policy base;
    uint32_t use;
    int rc = read_use(&use, o->use ? o->use : "0", err);
    *n = 0;
    if (rc || (rc = common_registers(&base, o, err)))
        return rc;
    if (o->eif.count + o->pcrs.count > CV_IMAGES_MAX)
        return cv_error_set(err, CV_ERR_CONFIG, "more than %d images", CV_IMAGES_MAX);
    for (size_t i = 0; i < o->eif.count && !rc; i++)
        rc = add_image(&out[(*n)++], &base, &(struct cv_expect_options){.eif = o->eif.item[i]}, use,
                       o->allow_debug, err);
    for (size_t i = 0; i < o->pcrs.count && !rc; i++)
        rc = add_image(&out[(*n)++], &base, &(struct cv_expect_options){.pcrs = o->pcrs.item[i]},
                       use, o->allow_debug, err);
    if (rc || *n)
        return rc;
    if (!base.pcr_mask)
        return cv_error_set(err, CV_ERR_CONFIG,
                            "nothing says which enclave is meant: --eif, --pcrs, "
                            "--pcr, --role-arn, --instance-id or --certificate");
    *n = 1;
    return cv_cli_image_from(out, &base, UINT32_MAX, o->allow_debug, err);
}

int cv_cli_context_pair(struct cv_policy_attr *out, const char *text, struct cv_error *err)
{
    char quoted[96];
    const char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return cv_error_set(err, CV_ERR_CONFIG, "--context wants NAME=VALUE, not '%s'",
                            cv_error_quote(quoted, sizeof quoted, text, strlen(text)));
    out->key = strndup(text, (size_t)(eq - text));
    out->value = strdup(eq + 1);
    return out->key && out->value ? 0 : cv_error_set(err, CV_ERR_NOMEM, "no memory");
}
