/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "yaml/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct cv_yaml_problems *p, const struct cv_yaml_node *node)
{
    char path[64];
    uint64_t u;
    int64_t ms;
    bool flag;
    cv_yaml_path(path, sizeof path, node);
    (void)cv_yaml_uint(p, node, &u, 1, 100);
    (void)cv_yaml_bool(p, node, &flag);
    (void)cv_yaml_duration(p, node, &ms);
    for (const struct cv_yaml_node *c = node->first; c != NULL; c = c->next) {
        if (c->parent != node || (c->key != NULL) != (node->kind == CV_YAML_MAPPING)) {
            abort();
        }
        walk(p, c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = {"server", "vaults", "tezos", NULL};
    struct cv_yaml_problems problems;
    cv_yaml_problems_init(&problems, "fuzz");
    struct cv_yaml_doc *doc;
    if (cv_yaml_parse(&doc, CV_BYTES(data, size), &problems) == 0) {
        cv_yaml_check_keys(&problems, cv_yaml_root(doc), known);
        walk(&problems, cv_yaml_root(doc));
        cv_yaml_free(doc);
    } else if (problems.count == 0) {
        abort();
    }
    return 0;
}
