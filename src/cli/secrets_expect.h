/* SPDX-License-Identifier: Apache-2.0 */
/* What the enclave will ask of an encrypted configuration, out of its image or of
 * the enclave.yaml that the image is made with. */
#ifndef CV_CLI_SECRETS_EXPECT_H
#define CV_CLI_SECRETS_EXPECT_H

#include "sealed/config.h"
#include "sealed/secrets.h"
#include "settings/boot.h"

struct cv_secrets_expect {
    const char *eif, *config; /* the image, the YAML file; at most one of them */
    bool known;               /* one was given and read */
    struct cv_boot_settings settings;
};

/* Reads what is named; nothing named is fine. Freed in any case. */
int cv_secrets_expect_read(struct cv_secrets_expect *e, struct cv_error *err) CV_NODISCARD;
void cv_secrets_expect_free(struct cv_secrets_expect *e);
/* May the configuration that lies at WHERE set all that SECRETS have? */
int cv_secrets_expect_names(const struct cv_secrets_expect *e, const char *where,
                            const struct cv_secrets *secrets, struct cv_error *err) CV_NODISCARD;
/* Is the key ARN one of the settings'? */
int cv_secrets_expect_key(const struct cv_secrets_expect *e, const char *arn,
                          struct cv_error *err) CV_NODISCARD;
/* Signature, version and context, as cv_config_check() has them. */
struct cv_config_expect cv_secrets_expect_stored(const struct cv_secrets_expect *e);

#endif
