/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the enclave.yaml reader share. */
#ifndef CV_EIF_ENCLAVE_READER_H
#define CV_EIF_ENCLAVE_READER_H

#include "eif/enclave_yaml.h"

struct cv_enclave_reader {
    struct cv_enclave_config *config;
    struct cv_yaml_problems *p;
    const char *dir; /* of the file that is read */
};

void cv_enclave_problem_memory(struct cv_enclave_reader *r, const struct cv_yaml_node *node);
/* The text of NODE into *FIELD; nothing for null. */
void cv_enclave_set_text(struct cv_enclave_reader *r, char **field,
                         const struct cv_yaml_node *node);
void cv_enclave_add_text(struct cv_enclave_reader *r, struct cv_boot_list *list,
                         const struct cv_yaml_node *node);
/* A list of texts, or one text alone; nothing for null. */
void cv_enclave_read_list(struct cv_enclave_reader *r, struct cv_boot_list *list,
                          const struct cv_yaml_node *node);

/* The keys about secrets (enclave_secrets.c); NODE is the key's value, or NULL. */
void cv_enclave_read_cmk(struct cv_enclave_reader *r, const struct cv_yaml_node *node);
void cv_enclave_read_context(struct cv_enclave_reader *r, const struct cv_yaml_node *node);
void cv_enclave_read_publisher_key(struct cv_enclave_reader *r, const struct cv_yaml_node *node);
/* After cmk and publisher_key, which decide what it needs. */
void cv_enclave_read_sources(struct cv_enclave_reader *r, const struct cv_yaml_node *node);
void cv_enclave_read_untrusted(struct cv_enclave_reader *r, const struct cv_yaml_node *node);

#endif
