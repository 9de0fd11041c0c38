/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared files ~/.aws/config and ~/.aws/credentials ("Format of the config
 * and credentials files" of the SDKs and Tools Reference Guide):
 *
 *   [profile NAME]        in config; [default]; in credentials [NAME]
 *   key = value           keys in any case; a comment begins with # or ; at the
 *                         start of a line, or after white space in a value
 *   key =
 *     sub = value         nested, asked for as "key.sub"
 *     more                an indented line after a value continues it
 */
#ifndef CV_AWS_INI_H
#define CV_AWS_INI_H

#include "common/secret.h"

#define CV_AWS_INI_MAX 1048576   /* bytes of a file */
#define CV_AWS_INI_ENTRIES 16384 /* in both files */

enum cv_aws_ini_file { CV_AWS_INI_CONFIG, CV_AWS_INI_CREDENTIALS };
enum cv_aws_ini_kind { CV_AWS_INI_PROFILE, CV_AWS_INI_SERVICES, CV_AWS_INI_SSO };

struct cv_aws_ini; /* opaque; holds secrets, wiped when freed */

/* An empty set. */
int cv_aws_ini_new(struct cv_aws_ini **out) CV_NODISCARD;
void cv_aws_ini_free(struct cv_aws_ini **ini);
/* Adds the text of a file. Later values replace earlier ones; what the
 * credentials file says beats the config file, in whatever order they are
 * added. NAME stands in errors, with the line: CV_ERR_CONFIG, CV_ERR_LIMIT. */
int cv_aws_ini_add(struct cv_aws_ini *ini, enum cv_aws_ini_file file, struct cv_bytes text,
                   const char *name, struct cv_error *err) CV_NODISCARD;
/* True when a section of that kind and name is there. */
bool cv_aws_ini_has(const struct cv_aws_ini *ini, enum cv_aws_ini_kind kind, const char *name);
/* NULL when absent or empty. KEY in lower case. */
const char *cv_aws_ini_get(const struct cv_aws_ini *ini, enum cv_aws_ini_kind kind,
                           const char *name, const char *key);

#endif
