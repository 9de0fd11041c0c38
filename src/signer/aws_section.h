/* SPDX-License-Identifier: Apache-2.0 */
/* AWS as one section of the configuration wants it: its own credentials and
 * region, or what the machine has. No section changes another's. */
#ifndef CV_SIGNER_AWS_SECTION_H
#define CV_SIGNER_AWS_SECTION_H

#include "aws/config.h"
#include "signer/config.h"

int cv_aws_section_load(struct cv_aws_config **out, const struct cv_config_credentials *section,
                        struct cv_error *err) CV_NODISCARD;

#endif
