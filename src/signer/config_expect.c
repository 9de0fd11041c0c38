/* SPDX-License-Identifier: Apache-2.0 */
/* What a vault's enclave has to be: `expected_pcrs`, `enclave_image`,
 * `attestation_root`. */
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "signer/config_read.h"

/* A register's number, as nitro-cli and policies write it too: "0", "PCR0". */
static bool index_of(const char *text, unsigned *out)
{
    char *end;
    if (strncasecmp(text, "PCR", 3) == 0) {
        text += 3;
    }
    unsigned long v = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : CV_CONFIG_PCRS;
    *out = (unsigned)v;
    return v < CV_CONFIG_PCRS && *end == 0;
}

static void read_register(struct cv_config_reader *r, const struct cv_yaml_node *node,
                          struct cv_config_expected *e)
{
    unsigned index;
    size_t n = 0;
    if (!index_of(node->key->text, &index)) {
        cv_yaml_problem(r->errors, node->key, "a register is a number from 0 to %d",
                        CV_CONFIG_PCRS - 1);
        return;
    }
    if ((e->pcr_mask & (UINT32_C(1) << index)) != 0) {
        cv_yaml_problem(r->errors, node->key, "register %u is given twice", index);
        return;
    }
    char *text = cv_config_read_string(r, node);
    if (text != NULL &&
        (cv_hex_decode(e->pcr[index], CV_CONFIG_PCR_LEN, &n, cv_bytes_str(text)) != 0 ||
         n != CV_CONFIG_PCR_LEN)) {
        cv_yaml_problem(r->errors, node, "PCR%u: wanted are %d hexadecimal digits", index,
                        2 * CV_CONFIG_PCR_LEN);
    }
    free(text);
    e->pcr_mask |= UINT32_C(1) << index;
}

void cv_config_read_expected(struct cv_config_reader *r, const struct cv_yaml_node *pcrs,
                             char *image, char *root, struct cv_config_expected *e)
{
    e->image = image != NULL && image[0] != 0 ? cv_config_dup(r, image) : NULL;
    e->root = root != NULL && root[0] != 0 ? cv_config_dup(r, root) : NULL;
    if (!cv_yaml_is_null(pcrs) && cv_yaml_is(r->errors, pcrs, CV_YAML_MAPPING)) {
        for (const struct cv_yaml_node *n = pcrs->first; n != NULL; n = n->next) {
            read_register(r, n, e);
        }
    }
    e->given = e->image != NULL || e->pcr_mask != 0;
    if (pcrs != NULL && !e->given) {
        cv_yaml_problem(r->errors, pcrs, "expected_pcrs names no register");
    }
}

void cv_config_free_expected(struct cv_config_expected *e)
{
    free(e->image);
    free(e->root);
}
