/* SPDX-License-Identifier: Apache-2.0 */
/* From the configuration's text to the rules that the policy evaluates. */
#ifndef CV_SIGNER_RULES_H
#define CV_SIGNER_RULES_H

#include "signer/config.h"
#include "tezos/policy.h"

/* The rules of one key, with arrays of their own. The configuration's texts
 * were checked when it was loaded: CV_ERR_CONFIG names one that does not
 * parse all the same. */
int cv_rules_make(struct cv_key_rules *out, const struct cv_config_key *key,
                  struct cv_error *err) CV_NODISCARD;
void cv_rules_free(struct cv_key_rules *rules);

#endif
