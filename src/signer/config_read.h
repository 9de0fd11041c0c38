/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts that read the configuration share this: a table says which keys a
 * mapping has, of what type, and where their values go.
 */
#ifndef CV_SIGNER_CONFIG_READ_H
#define CV_SIGNER_CONFIG_READ_H

#include "signer/config.h"

struct cv_config_reader {
    struct cv_yaml_problems *errors;
    struct cv_yaml_problems *warnings;
    bool lenient;
    bool nomem;
};

enum cv_field_kind {
    CV_FIELD_STRING,  /* char *, expanded */
    CV_FIELD_SECRET,  /* struct cv_secret, expanded */
    CV_FIELD_BOOL,    /* bool */
    CV_FIELD_UINT,    /* uint64_t, from min to max */
    CV_FIELD_STRINGS, /* struct cv_config_strings: a scalar or a (nested) list */
    CV_FIELD_KEYS,    /* struct cv_config_keys: the same */
    CV_FIELD_NODE,    /* const struct cv_yaml_node *, for the caller; null is NULL */
};

struct cv_field {
    const char *name;
    enum cv_field_kind kind;
    size_t offset;
    uint64_t min, max; /* CV_FIELD_UINT */
    size_t seen;       /* offset + 1 of a bool that is set when a value is given; 0 = none */
};

#define CV_FIELD_SEEN(type, member) (offsetof(type, member) + 1)

/* Reads the mapping NODE (NULL, null = nothing given) into TARGET by the table,
 * reporting unknown keys with the nearest name, and every wrong value. A value
 * that is null counts as not given. */
void cv_config_read_map(struct cv_config_reader *r, const struct cv_yaml_node *node,
                        const struct cv_field *fields, size_t count, void *target);

/* One value each; NULL or false when it was reported as wrong. */
char *cv_config_read_string(struct cv_config_reader *r, const struct cv_yaml_node *node);
bool cv_config_read_uint(struct cv_config_reader *r, const struct cv_yaml_node *node, uint64_t min,
                         uint64_t max, uint64_t *out);
void cv_config_read_strings(struct cv_config_reader *r, const struct cv_yaml_node *node,
                            struct cv_config_strings *out);
void cv_config_read_keys(struct cv_config_reader *r, const struct cv_yaml_node *node,
                         struct cv_config_keys *out);

/* $VAR and ${VAR} of TEXT, as os.Expand of Go does; malloc'ed, NULL without
 * memory. NODE places the warning about a variable that is not set. */
char *cv_config_expand(struct cv_config_reader *r, const struct cv_yaml_node *node,
                       const char *text);

/* A copy of TEXT; NULL (and r->nomem) without memory. */
char *cv_config_dup(struct cv_config_reader *r, const char *text);

/* AWS credentials block; TABLE, when not NULL, gets the key `table` as well. */
void cv_config_read_credentials(struct cv_config_reader *r, const struct cv_yaml_node *node,
                                struct cv_config_credentials *out, char **table);
void cv_config_free_credentials(struct cv_config_credentials *c);
void cv_config_free_strings(struct cv_config_strings *s);
void cv_config_free_keys(struct cv_config_keys *k);

/* The parts of the file. */
void cv_config_read_server(struct cv_config_reader *r, const struct cv_yaml_node *node,
                           struct cv_config *config);
void cv_config_read_vaults(struct cv_config_reader *r, const struct cv_yaml_node *node,
                           struct cv_config *config);
void cv_config_read_tezos(struct cv_config_reader *r, const struct cv_yaml_node *node,
                          struct cv_config *config);
void cv_config_free_vault(struct cv_config_vault *v);
void cv_config_free_jwt_user(struct cv_config_jwt_user *u);
void cv_config_free_key(struct cv_config_key *k);

/* An array of ITEMS of SIZE bytes, zero; NULL with r->nomem set. */
void *cv_config_array(struct cv_config_reader *r, size_t items, size_t size);

/* The vault's `expected_pcrs` (NULL when absent), `enclave_image` and
 * `attestation_root`; the texts stay the caller's. */
void cv_config_read_expected(struct cv_config_reader *r, const struct cv_yaml_node *pcrs,
                             char *image, char *root, struct cv_config_expected *e);
void cv_config_free_expected(struct cv_config_expected *e);

#endif
