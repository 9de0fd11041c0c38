/* SPDX-License-Identifier: Apache-2.0 */
/* From libyaml's events to a bounded tree. */
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "yaml/builder.h"

struct cv_yaml_node *cv_yaml_new(struct cv_yaml_builder *b, enum cv_yaml_kind kind, unsigned line,
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

int cv_yaml_too_many(struct cv_yaml_builder *b, const struct cv_yaml_node *at)
{
    if (b->doc->count < CV_YAML_MAX_NODES) {
        return 0;
    }
    cv_yaml_problem(b->problems, at, "more than %u values in one file", CV_YAML_MAX_NODES);
    return CV_ERR_LIMIT;
}

int cv_yaml_set_text(struct cv_yaml_builder *b, struct cv_yaml_node *node, const char *text,
                     size_t len)
{
    if (memchr(text, 0, len) != NULL) {
        cv_yaml_problem(b->problems, node, "a NUL character in a value");
        return CV_ERR_CONFIG;
    }
    node->text = malloc(len + 1);
    if (node->text == NULL) {
        return cv_yaml_no_memory(b);
    }
    memcpy(node->text, text, len);
    node->text[len] = 0;
    node->len = len;
    return 0;
}

void cv_yaml_append(struct cv_yaml_node *parent, struct cv_yaml_node **last,
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
int cv_yaml_place(struct cv_yaml_builder *b, struct cv_yaml_node *node)
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
    cv_yaml_append(parent, &b->last[top], node);
    return 0;
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

static int check_duplicates(struct cv_yaml_builder *b, const struct cv_yaml_node *map)
{
    if (map->count < 2) {
        return 0;
    }
    struct cv_yaml_node **pairs = calloc(map->count, sizeof *pairs);
    if (pairs == NULL) {
        return cv_yaml_no_memory(b);
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
            cv_yaml_problem(b->problems, pairs[i]->key, "\"%s\" was given on line %u already", name,
                            pairs[i - 1]->key->line);
        }
    }
    free(pairs);
    return 0;
}

/* ---- events ---- */

static int check_tag(struct cv_yaml_builder *b, const struct cv_yaml_node *node,
                     const yaml_char_t *tag)
{
    static const char *const known[] = {YAML_STR_TAG, YAML_INT_TAG, YAML_BOOL_TAG, YAML_NULL_TAG,
                                        YAML_SEQ_TAG, YAML_MAP_TAG, "!",           NULL};
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

static int on_scalar(struct cv_yaml_builder *b, const yaml_event_t *event,
                     struct cv_yaml_node *node)
{
    const yaml_char_t *tag = event->data.scalar.tag;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                  (tag == NULL || strcmp((const char *)tag, YAML_STR_TAG) != 0);
    int rc = cv_yaml_set_text(b, node, (const char *)event->data.scalar.value,
                              event->data.scalar.length);
    if (rc == 0) {
        rc = check_tag(b, node, tag);
    }
    if (rc == 0) {
        rc = cv_yaml_anchor(b, event->data.scalar.anchor, node, false);
    }
    return rc == 0 ? cv_yaml_place(b, node) : rc;
}

static int on_start(struct cv_yaml_builder *b, struct cv_yaml_node *node, const yaml_char_t *tag,
                    const yaml_char_t *anchor)
{
    if (b->depth == CV_YAML_MAX_DEPTH) {
        cv_yaml_problem(b->problems, node, "nested deeper than %u levels", CV_YAML_MAX_DEPTH);
        return CV_ERR_LIMIT;
    }
    int rc = check_tag(b, node, tag);
    if (rc == 0) {
        rc = cv_yaml_anchor(b, anchor, node, true);
    }
    if (rc == 0) {
        rc = cv_yaml_place(b, node);
    }
    if (rc == 0) {
        b->stack[b->depth] = node;
        b->last[b->depth] = NULL;
        b->key[b->depth] = NULL;
        b->depth++;
    }
    return rc;
}

static int on_end(struct cv_yaml_builder *b)
{
    struct cv_yaml_node *node = b->stack[--b->depth];
    cv_yaml_close_anchor(b, node);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    if (node->kind != CV_YAML_MAPPING) {
        return 0;
    }
    int rc = check_duplicates(b, node);
    return rc == 0 ? cv_yaml_merge(b, node) : rc;
}

static int on_node(struct cv_yaml_builder *b, const yaml_event_t *event, enum cv_yaml_kind kind)
{
    struct cv_yaml_node *node = cv_yaml_new(b, kind, (unsigned)event->start_mark.line + 1,
                                            (unsigned)event->start_mark.column + 1);
    if (node == NULL) {
        return cv_yaml_no_memory(b);
    }
    int rc = cv_yaml_too_many(b, node);
    if (rc != 0) {
        return rc;
    }
    switch (kind) {
    case CV_YAML_SCALAR:
        return on_scalar(b, event, node);
    case CV_YAML_SEQUENCE:
        return on_start(b, node, event->data.sequence_start.tag, event->data.sequence_start.anchor);
    default:
        return on_start(b, node, event->data.mapping_start.tag, event->data.mapping_start.anchor);
    }
}

static int on_event(struct cv_yaml_builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_node(b, event, CV_YAML_SCALAR);
    case YAML_SEQUENCE_START_EVENT:
        return on_node(b, event, CV_YAML_SEQUENCE);
    case YAML_MAPPING_START_EVENT:
        return on_node(b, event, CV_YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b);
    case YAML_ALIAS_EVENT:
        return cv_yaml_alias(b, event);
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

static void syntax_problem(struct cv_yaml_builder *b, const yaml_parser_t *parser)
{
    struct cv_yaml_node at = {.line = (unsigned)parser->problem_mark.line + 1,
                              .column = (unsigned)parser->problem_mark.column + 1};
    if (parser->error == YAML_MEMORY_ERROR) {
        cv_yaml_no_memory(b);
        return;
    }
    const char *what = parser->problem != NULL ? parser->problem : "cannot be parsed";
    cv_yaml_problem(b->problems, parser->error == YAML_READER_ERROR ? NULL : &at,
                    "not valid YAML: %s", what);
}

static int run(struct cv_yaml_builder *b, struct cv_bytes text)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return cv_yaml_no_memory(b);
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
    struct cv_yaml_builder b = {.problems = p};
    b.doc = calloc(1, sizeof *b.doc);
    int rc = b.doc != NULL ? run(&b, text) : cv_yaml_no_memory(&b);
    if (rc == 0 && b.doc->root == NULL) {
        b.doc->root = cv_yaml_new(&b, CV_YAML_SCALAR, 1, 1);
        rc = b.doc->root != NULL ? cv_yaml_set_text(&b, b.doc->root, "", 0) : cv_yaml_no_memory(&b);
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
