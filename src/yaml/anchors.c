/* SPDX-License-Identifier: Apache-2.0 */
/* Anchors, aliases and merge keys. */
#include <stdlib.h>
#include <string.h>

#include "yaml/builder.h"

int cv_yaml_anchor(struct cv_yaml_builder *b, const yaml_char_t *name, struct cv_yaml_node *node,
                   bool open)
{
    if (name == NULL) {
        return 0;
    }
    if (b->anchor_count == b->anchor_cap) {
        size_t cap = b->anchor_cap != 0 ? b->anchor_cap * 2 : 8;
        struct cv_yaml_anchor *more = reallocarray(b->anchors, cap, sizeof *more);
        if (more == NULL) {
            return cv_yaml_no_memory(b);
        }
        b->anchors = more;
        b->anchor_cap = cap;
    }
    char *copy = strdup((const char *)name);
    if (copy == NULL) {
        return cv_yaml_no_memory(b);
    }
    b->anchors[b->anchor_count++] = (struct cv_yaml_anchor){copy, node, open};
    return 0;
}

void cv_yaml_close_anchor(struct cv_yaml_builder *b, const struct cv_yaml_node *node)
{
    for (size_t i = 0; i < b->anchor_count; i++) {
        if (b->anchors[i].node == node) {
            b->anchors[i].open = false;
        }
    }
}

/* Depth of the copy is that of the original, which is bounded. */
static int copy_node(struct cv_yaml_builder *b, struct cv_yaml_node **out,
                     const struct cv_yaml_node *from, unsigned depth)
{
    int rc = cv_yaml_too_many(b, from);
    if (rc != 0) {
        return rc;
    }
    if (depth >= CV_YAML_MAX_DEPTH) {
        cv_yaml_problem(b->problems, from, "nested deeper than %u levels", CV_YAML_MAX_DEPTH);
        return CV_ERR_LIMIT;
    }
    struct cv_yaml_node *node = cv_yaml_new(b, from->kind, from->line, from->column);
    if (node == NULL) {
        return cv_yaml_no_memory(b);
    }
    *out = node;
    node->plain = from->plain;
    if (from->text != NULL) {
        rc = cv_yaml_set_text(b, node, from->text, from->len);
    }
    struct cv_yaml_node *last = NULL;
    for (const struct cv_yaml_node *c = from->first; rc == 0 && c != NULL; c = c->next) {
        struct cv_yaml_node *child = NULL;
        rc = copy_node(b, &child, c, depth + 1);
        if (rc == 0 && c->key != NULL) {
            rc = copy_node(b, &child->key, c->key, depth + 1);
            if (rc == 0) {
                child->key->parent = node;
            }
        }
        if (rc == 0) {
            cv_yaml_append(node, &last, child);
        }
    }
    return rc;
}

int cv_yaml_alias(struct cv_yaml_builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct cv_yaml_node here = {.line = (unsigned)event->start_mark.line + 1,
                                .column = (unsigned)event->start_mark.column + 1};
    for (size_t i = b->anchor_count; i-- > 0;) {
        if (strcmp(b->anchors[i].name, name) != 0) {
            continue;
        }
        if (b->anchors[i].open) {
            cv_yaml_problem(b->problems, &here, "alias *%.64s refers to what it is part of", name);
            return CV_ERR_CONFIG;
        }
        struct cv_yaml_node *copy = NULL;
        int rc = copy_node(b, &copy, b->anchors[i].node, b->depth);
        return rc != 0 ? rc : cv_yaml_place(b, copy);
    }
    cv_yaml_problem(b->problems, &here, "alias *%.64s has no anchor before it", name);
    return CV_ERR_CONFIG;
}

static bool is_merge(const struct cv_yaml_node *child)
{
    return child->key->plain && strcmp(child->key->text, "<<") == 0;
}

static struct cv_yaml_node *find(const struct cv_yaml_node *map, const char *key)
{
    for (struct cv_yaml_node *c = map->first; c != NULL; c = c->next) {
        if (strcmp(c->key->text, key) == 0) {
            return c;
        }
    }
    return NULL;
}

/* Moves FROM's pairs into MAP, but for the keys that MAP has itself. */
static int merge_into(struct cv_yaml_builder *b, struct cv_yaml_node *map,
                      struct cv_yaml_node **last, struct cv_yaml_node *from)
{
    if (from->kind != CV_YAML_MAPPING) {
        cv_yaml_problem(b->problems, from, "\"<<\" merges mappings only");
        return CV_ERR_CONFIG;
    }
    for (struct cv_yaml_node *c = from->first, *next; c != NULL; c = next) {
        next = c->next;
        if (find(map, c->key->text) == NULL) {
            c->next = NULL;
            c->key->parent = map;
            cv_yaml_append(map, last, c);
        }
    }
    from->first = NULL;
    from->count = 0;
    return 0;
}

int cv_yaml_merge(struct cv_yaml_builder *b, struct cv_yaml_node *map)
{
    struct cv_yaml_node *merges = NULL, **tail = &map->first, *last = NULL;
    for (struct cv_yaml_node *c = map->first, *next; c != NULL; c = next) {
        next = c->next;
        if (is_merge(c)) {
            *tail = next;
            map->count--;
            c->next = merges;
            merges = c;
        } else {
            tail = &c->next;
            last = c;
        }
    }
    int rc = 0;
    for (; rc == 0 && merges != NULL; merges = merges->next) {
        if (merges->kind != CV_YAML_SEQUENCE) {
            rc = merge_into(b, map, &last, merges);
            continue;
        }
        for (struct cv_yaml_node *one = merges->first; rc == 0 && one != NULL; one = one->next) {
            rc = merge_into(b, map, &last, one);
        }
    }
    return rc;
}
