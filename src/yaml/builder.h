/* SPDX-License-Identifier: Apache-2.0 */
/* A tree while it is built, for parse.c and anchors.c alone. */
#ifndef CV_YAML_BUILDER_H
#define CV_YAML_BUILDER_H

#include <yaml.h>

#include "yaml/yaml.h"

struct cv_yaml_anchor {
    char *name;
    struct cv_yaml_node *node;
    bool open; /* its node is not complete: an alias to it would be a loop */
};

/* Nodes in allocation order, so that freeing needs no recursion. */
struct cv_yaml_doc {
    struct cv_yaml_node *root;
    struct cv_yaml_node **nodes;
    size_t count, cap;
};

struct cv_yaml_builder {
    struct cv_yaml_doc *doc;
    struct cv_yaml_problems *problems;
    struct cv_yaml_anchor *anchors;
    size_t anchor_count, anchor_cap;
    struct cv_yaml_node *stack[CV_YAML_MAX_DEPTH];
    struct cv_yaml_node *last[CV_YAML_MAX_DEPTH]; /* last child of each */
    struct cv_yaml_node *key[CV_YAML_MAX_DEPTH];  /* key that waits for its value */
    unsigned depth;
};

/* Each tells of its problem before it returns a code. */
static inline int cv_yaml_no_memory(struct cv_yaml_builder *b)
{
    cv_yaml_problem(b->problems, NULL, "out of memory");
    return CV_ERR_NOMEM;
}
/* A node of the document, not yet in its place; NULL without memory. */
struct cv_yaml_node *cv_yaml_new(struct cv_yaml_builder *b, enum cv_yaml_kind kind, unsigned line,
                                 unsigned column);
int cv_yaml_too_many(struct cv_yaml_builder *b, const struct cv_yaml_node *at);
int cv_yaml_set_text(struct cv_yaml_builder *b, struct cv_yaml_node *node, const char *text,
                     size_t len);
/* *LAST is PARENT's last child, before and after. */
void cv_yaml_append(struct cv_yaml_node *parent, struct cv_yaml_node **last,
                    struct cv_yaml_node *child);
/* Puts a finished or just opened node where the parser stands. */
int cv_yaml_place(struct cv_yaml_builder *b, struct cv_yaml_node *node);

/* ---- anchors.c ---- */

/* NAME NULL: there is none. OPEN until cv_yaml_close_anchor(). */
int cv_yaml_anchor(struct cv_yaml_builder *b, const yaml_char_t *name, struct cv_yaml_node *node,
                   bool open);
void cv_yaml_close_anchor(struct cv_yaml_builder *b, const struct cv_yaml_node *node);
/* Places a copy of what the alias refers to. */
int cv_yaml_alias(struct cv_yaml_builder *b, const yaml_event_t *event);
/* Resolves the keys "<<" of a mapping that is complete. */
int cv_yaml_merge(struct cv_yaml_builder *b, struct cv_yaml_node *map);

#endif
