/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets as people write them, for the operator's commands alone (library
 * cv_secrets_file, never inside):
 *
 *   environment: [NAME=value, …]
 *   files:
 *     - {path: /run/key.pem, content: …, mode: 0400, owner: app:app}
 *
 * A file has one of content, base64, and source (a file, relative to this
 * one). Or lines NAME=value, as in an .env file: empty lines and lines that
 * begin with # are passed over, nothing is unquoted or expanded.
 */
#ifndef CV_SEALED_SECRETS_FILE_H
#define CV_SEALED_SECRETS_FILE_H

#include "sealed/secrets.h"
#include "yaml/yaml.h"

#define CV_SECRETS_FILE_MODE 0400u /* of a file without a mode */

/* The canonical text (secrets.h) in OUT. DIR: where sources are looked for.
 * CV_ERR_CONFIG with the problems reported, by name and place, never by value. */
int cv_secrets_from_yaml(struct cv_secret *out, struct cv_bytes text, const char *dir,
                         struct cv_yaml_problems *problems) CV_NODISCARD;
int cv_secrets_from_env(struct cv_secret *out, struct cv_bytes text,
                        struct cv_yaml_problems *problems) CV_NODISCARD;

/* The YAML that gives these secrets again. OUT should be wiped after use, as
 * cv_buf_free() does. */
int cv_secrets_to_yaml(struct cv_buf *out, const struct cv_secrets *s,
                       struct cv_error *err) CV_NODISCARD;

#endif
