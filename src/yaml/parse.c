/* SPDX-License-Identifier: Apache-2.0 */
/* From libyaml's events to a bounded tree. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/file.h"
#include "yaml/yaml.h"

struct anchor {
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

struct builder {
    struct cv_yaml_doc *doc;
    struct cv_yaml_problems *problems;
    struct anchor *anchors;
    size_t anchor_count, anchor_cap;
    struct cv_yaml_node *stack[CV_YAML_MAX_DEPTH];
    struct cv_yaml_node *last[CV_YAML_MAX_DEPTH]; /* last child of each */
    struct cv_yaml_node *key[CV_YAML_MAX_DEPTH];  /* key that waits for its value */
    unsigned depth;
};

static int out_of_memory(struct builder *b)
{
    cv_yaml_problem(b->problems, NULL, "out of memory");
    return CV_ERR_NOMEM;
}

static struct cv_yaml_node *new_node(struct builder *b, enum cv_yaml_kind kind, unsigned line,
                                     unsigned column)
{
    struct cv_yaml_doc *doc = b->doc;
    if (doc->count == doc->cap) {
        size_t cap = doc->cap != 0 ? doc->cap * 2 : 64;
        struct cv_yaml_node **more = reallocarray(doc->nodes, cap, sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        doc->nodes = more;
        doc->cap = cap;
    }
    struct cv_yaml_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    node->kind = kind;
    node->line = line;
    node->column = column;
    doc->nodes[doc->count++] = node;
    return node;
}

static int too_many(struct builder *b, const struct cv_yaml_node *at)
{
    if (b->doc->count < CV_YAML_MAX_NODES) {
        return 0;
    }
    cv_yaml_problem(b->problems, at, "more than %u values in one file", CV_YAML_MAX_NODES);
    return CV_ERR_LIMIT;
}

static int set_text(struct builder *b, struct cv_yaml_node *node, const char *text, size_t len)
{
    if (memchr(text, 0, len) != NULL) {
        cv_yaml_problem(b->problems, node, "a NUL character in a value");
        return CV_ERR_CONFIG;
    }
    node->text = malloc(len + 1);
    if (node->text == NULL) {
        return out_of_memory(b);
    }
    memcpy(node->text, text, len);
    node->text[len] = 0;
    node->len = len;
    return 0;
}

static void append(struct cv_yaml_node *parent, struct cv_yaml_node **last,
                   struct cv_yaml_node *child)
{
    child->parent = parent;
    if (*last == NULL) {
        parent->first = child;
    } else {
        (*last)->next = child;
    }
    *last = child;
    parent->count++;
}

/* Puts a finished or just opened node where the parser stands. */
static int place(struct builder *b, struct cv_yaml_node *node)
{
    if (b->depth == 0) {
        b->doc->root = node;
        return 0;
    }
    unsigned top = b->depth - 1;
    struct cv_yaml_node *parent = b->stack[top];
    if (parent->kind == CV_YAML_MAPPING && b->key[top] == NULL) {
        if (node->kind != CV_YAML_SCALAR) {
            cv_yaml_problem(b->problems, node, "a list or a mapping cannot be a key");
            return CV_ERR_CONFIG;
        }
        node->parent = parent;
        b->key[top] = node;
        return 0;
    }
    node->key = b->key[top];
    b->key[top] = NULL;
    append(parent, &b->last[top], node);
    return 0;
}

/* ---- anchors, aliases, merges ---- */

static int add_anchor(struct builder *b, const yaml_char_t *name, struct cv_yaml_node *node,
                      bool open)
{
    if (name == NULL) {
        return 0;
    }
    if (b->anchor_count == b->anchor_cap) {
        size_t cap = b->anchor_cap != 0 ? b->anchor_cap * 2 : 8;
        struct anchor *more = reallocarray(b->anchors, cap, sizeof *more);
        if (more == NULL) {
            return out_of_memory(b);
        }
        b->anchors = more;
        b->anchor_cap = cap;
    }
    char *copy = strdup((const char *)name);
    if (copy == NULL) {
        return out_of_memory(b);
    }
    b->anchors[b->anchor_count++] = (struct anchor){copy, node, open};
    return 0;
}

static void close_anchor(struct builder *b, const struct cv_yaml_node *node)
{
    for (size_t i = 0; i < b->anchor_count; i++) {
        if (b->anchors[i].node == node) {
            b->anchors[i].open = false;
        }
    }
}

/* Depth of the copy is that of the original, which is bounded. */
static int copy_node(struct builder *b, struct cv_yaml_node **out, const struct cv_yaml_node *from,
                     unsigned depth)
{
    int rc = too_many(b, from);
    if (rc != 0) {
        return rc;
    }
    if (depth >= CV_YAML_MAX_DEPTH) {
        cv_yaml_problem(b->problems, from, "nested deeper than %u levels", CV_YAML_MAX_DEPTH);
        return CV_ERR_LIMIT;
    }
    struct cv_yaml_node *node = new_node(b, from->kind, from->line, from->column);
    if (node == NULL) {
        return out_of_memory(b);
    }
    *out = node;
    node->plain = from->plain;
    if (from->text != NULL) {
        rc = set_text(b, node, from->text, from->len);
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
            append(node, &last, child);
        }
    }
    return rc;
}

static int place_alias(struct builder *b, const yaml_event_t *event)
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
        return rc != 0 ? rc : place(b, copy);
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
static int merge_into(struct builder *b, struct cv_yaml_node *map, struct cv_yaml_node **last,
                      struct cv_yaml_node *from)
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
            append(map, last, c);
        }
    }
    from->first = NULL;
    from->count = 0;
    return 0;
}

static int apply_merges(struct builder *b, struct cv_yaml_node *map)
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

/* ---- duplicate keys ---- */

static int by_key(const void *a, const void *b)
{
    const struct cv_yaml_node *x = *(struct cv_yaml_node *const *)a;
    const struct cv_yaml_node *y = *(struct cv_yaml_node *const *)b;
    int order = strcmp(x->key->text, y->key->text);
    if (order != 0) {
        return order;
    }
    if (x->key->line != y->key->line) {
        return x->key->line < y->key->line ? -1 : 1;
    }
    return x->key->column < y->key->column ? -1 : x->key->column > y->key->column;
}

static int check_duplicates(struct builder *b, const struct cv_yaml_node *map)
{
    if (map->count < 2) {
        return 0;
    }
    struct cv_yaml_node **pairs = calloc(map->count, sizeof *pairs);
    if (pairs == NULL) {
        return out_of_memory(b);
    }
    size_t n = 0;
    for (struct cv_yaml_node *c = map->first; c != NULL; c = c->next) {
        pairs[n++] = c;
    }
    qsort(pairs, n, sizeof *pairs, by_key);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(pairs[i - 1]->key->text, pairs[i]->key->text) == 0) {
            char name[80];
            cv_error_quote(name, sizeof name, pairs[i]->key->text, pairs[i]->key->len);
            cv_yaml_problem(b->problems, pairs[i]->key, "\"%s\" was given on line %u already",
                            name, pairs[i - 1]->key->line);
        }
    }
    free(pairs);
    return 0;
}

/* ---- events ---- */

static int check_tag(struct builder *b, const struct cv_yaml_node *node, const yaml_char_t *tag)
{
    static const char *const known[] = {YAML_STR_TAG, YAML_INT_TAG, YAML_BOOL_TAG, YAML_NULL_TAG,
                                        YAML_SEQ_TAG, YAML_MAP_TAG, "!", NULL};
    if (tag == NULL) {
        return 0;
    }
    for (size_t i = 0; known[i] != NULL; i++) {
        if (strcmp((const char *)tag, known[i]) == 0) {
            return 0;
        }
    }
    char quoted[80];
    cv_error_quote(quoted, sizeof quoted, tag, strlen((const char *)tag));
    cv_yaml_problem(b->problems, node, "the tag %s is not supported", quoted);
    return CV_ERR_CONFIG;
}

static int on_scalar(struct builder *b, const yaml_event_t *event, struct cv_yaml_node *node)
{
    const yaml_char_t *tag = event->data.scalar.tag;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                  (tag == NULL || strcmp((const char *)tag, YAML_STR_TAG) != 0);
    int rc = set_text(b, node, (const char *)event->data.scalar.value, event->data.scalar.length);
    if (rc == 0) {
        rc = check_tag(b, node, tag);
    }
    if (rc == 0) {
        rc = add_anchor(b, event->data.scalar.anchor, node, false);
    }
    return rc == 0 ? place(b, node) : rc;
}

static int on_start(struct builder *b, struct cv_yaml_node *node, const yaml_char_t *tag,
                    const yaml_char_t *anchor)
{
    if (b->depth == CV_YAML_MAX_DEPTH) {
        cv_yaml_problem(b->problems, node, "nested deeper than %u levels", CV_YAML_MAX_DEPTH);
        return CV_ERR_LIMIT;
    }
    int rc = check_tag(b, node, tag);
    if (rc == 0) {
        rc = add_anchor(b, anchor, node, true);
    }
    if (rc == 0) {
        rc = place(b, node);
    }
    if (rc == 0) {
        b->stack[b->depth] = node;
        b->last[b->depth] = NULL;
        b->key[b->depth] = NULL;
        b->depth++;
    }
    return rc;
}

static int on_end(struct builder *b)
{
    struct cv_yaml_node *node = b->stack[--b->depth];
    close_anchor(b, node);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    if (node->kind != CV_YAML_MAPPING) {
        return 0;
    }
    int rc = check_duplicates(b, node);
    return rc == 0 ? apply_merges(b, node) : rc;
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
    static const enum cv_yaml_kind kinds[] = {[YAML_SCALAR_EVENT] = CV_YAML_SCALAR,
                                              [YAML_SEQUENCE_START_EVENT] = CV_YAML_SEQUENCE,
                                              [YAML_MAPPING_START_EVENT] = CV_YAML_MAPPING};
    struct cv_yaml_node *node = NULL;
    if (event->type == YAML_SCALAR_EVENT || event->type == YAML_SEQUENCE_START_EVENT ||
        event->type == YAML_MAPPING_START_EVENT) {
        node = new_node(b, kinds[event->type], (unsigned)event->start_mark.line + 1,
                        (unsigned)event->start_mark.column + 1);
        if (node == NULL) {
            return out_of_memory(b);
        }
        int rc = too_many(b, node);
        if (rc != 0) {
            return rc;
        }
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event, node);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(b, node, event->data.sequence_start.tag,
                        event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return on_start(b, node, event->data.mapping_start.tag, event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b);
    case YAML_ALIAS_EVENT:
        return place_alias(b, event);
    case YAML_DOCUMENT_START_EVENT:
        if (b->doc->root != NULL) {
            cv_yaml_problem(b->problems, NULL, "more than one document in the file");
            return CV_ERR_CONFIG;
        }
        return 0;
    default:
        return 0;
    }
}

static void syntax_problem(struct builder *b, const yaml_parser_t *parser)
{
    struct cv_yaml_node at = {.line = (unsigned)parser->problem_mark.line + 1,
                              .column = (unsigned)parser->problem_mark.column + 1};
    if (parser->error == YAML_MEMORY_ERROR) {
        out_of_memory(b);
        return;
    }
    const char *what = parser->problem != NULL ? parser->problem : "cannot be parsed";
    cv_yaml_problem(b->problems, parser->error == YAML_READER_ERROR ? NULL : &at,
                    "not valid YAML: %s", what);
}

static int run(struct builder *b, struct cv_bytes text)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return out_of_memory(b);
    }
    static const unsigned char nothing[1];
    yaml_parser_set_input_string(&parser, text.n != 0 ? text.p : nothing, text.n);
    int rc = 0;
    bool end = false;
    while (rc == 0 && !end) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            syntax_problem(b, &parser);
            rc = parser.error == YAML_MEMORY_ERROR ? CV_ERR_NOMEM : CV_ERR_CONFIG;
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        rc = on_event(b, &event);
        if (event.type == YAML_SCALAR_EVENT) {
            cv_wipe(event.data.scalar.value, event.data.scalar.length);
        }
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return rc;
}

int cv_yaml_parse(struct cv_yaml_doc **doc, struct cv_bytes text, struct cv_yaml_problems *p)
{
    *doc = NULL;
    if (text.n > CV_YAML_MAX_TEXT) {
        cv_yaml_problem(p, NULL, "larger than %zu bytes", CV_YAML_MAX_TEXT);
        return CV_ERR_LIMIT;
    }
    size_t before = p->count;
    struct builder b = {.problems = p};
    b.doc = calloc(1, sizeof *b.doc);
    int rc = b.doc != NULL ? run(&b, text) : out_of_memory(&b);
    if (rc == 0 && b.doc->root == NULL) {
        b.doc->root = new_node(&b, CV_YAML_SCALAR, 1, 1);
        rc = b.doc->root != NULL ? set_text(&b, b.doc->root, "", 0) : out_of_memory(&b);
        if (rc == 0) {
            b.doc->root->plain = true;
        }
    }
    if (rc == 0 && p->count != before) {
        rc = CV_ERR_CONFIG;
    }
    for (size_t i = 0; i < b.anchor_count; i++) {
        free(b.anchors[i].name);
    }
    free(b.anchors);
    if (rc != 0) {
        cv_yaml_free(b.doc);
        return rc;
    }
    *doc = b.doc;
    return 0;
}

int cv_yaml_parse_file(struct cv_yaml_doc **doc, const char *path, struct cv_yaml_problems *p)
{
    *doc = NULL;
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_YAML_MAX_TEXT);
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_file_read(&text, path, &err);
    if (rc != 0) {
        char why[CV_ERROR_TEXT];
        cv_yaml_problem(p, NULL, "%.240s", cv_error_format(why, sizeof why, &err));
        return rc;
    }
    return cv_yaml_parse(doc, cv_buf_view(&text), p);
}

void cv_yaml_free(struct cv_yaml_doc *doc)
{
    if (doc == NULL) {
        return;
    }
    for (size_t i = 0; i < doc->count; i++) {
        if (doc->nodes[i]->text != NULL) {
            cv_wipe(doc->nodes[i]->text, doc->nodes[i]->len);
            free(doc->nodes[i]->text);
        }
        free(doc->nodes[i]);
    }
    free(doc->nodes);
    free(doc);
}

const struct cv_yaml_node *cv_yaml_root(const struct cv_yaml_doc *doc)
{
    return doc->root;
}
