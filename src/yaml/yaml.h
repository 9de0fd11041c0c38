/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML with positions: a bounded tree of nodes, and helpers with which a
 * schema reports every problem of a file at once, each with its line.
 *
 *   struct cv_yaml_problems problems;
 *   cv_yaml_problems_init(&problems, "signatory.yaml");
 *   struct cv_yaml_doc *doc = NULL;
 *   if (cv_yaml_parse(&doc, text, &problems) == 0) {
 *       static const char *const keys[] = {"server", "vaults", NULL};
 *       cv_yaml_check_keys(&problems, cv_yaml_root(doc), keys);
 *       … cv_yaml_get(), cv_yaml_text(), cv_yaml_uint() …
 *   }
 *   if (problems.count != 0) cv_yaml_problems_print(&problems, stderr);
 *   cv_yaml_free(doc);
 *
 * One document; duplicate keys refused; keys are scalars. An alias is a copy
 * of the anchored node, and "<<" merges mappings, both within the limits
 * below, so that no small file grows into a large tree. Explicit tags other
 * than !!str !!int !!bool !!null !!seq !!map are refused.
 */
#ifndef CV_YAML_YAML_H
#define CV_YAML_YAML_H

#include <stdio.h>

#include "common/bytes.h"

#define CV_YAML_MAX_TEXT ((size_t)16 << 20) /* bytes of one file: 10,000 keys take 3 MiB */
#define CV_YAML_MAX_NODES 1000000u          /* nodes of one file, copies of aliases included */
#define CV_YAML_MAX_DEPTH 64u
#define CV_YAML_MAX_PROBLEMS 50u /* reported; more are counted */

enum cv_yaml_kind { CV_YAML_SCALAR, CV_YAML_SEQUENCE, CV_YAML_MAPPING };

/* All of a tree belongs to its document. */
struct cv_yaml_node {
    enum cv_yaml_kind kind;
    unsigned line, column;       /* from 1 */
    bool plain;                  /* scalar written without quotes, not a block */
    char *text;                  /* scalar: UTF-8, NUL-terminated, no NUL inside */
    size_t len;                  /* bytes of TEXT */
    size_t count;                /* children; of a mapping: pairs */
    struct cv_yaml_node *key;    /* the scalar key, when the parent is a mapping */
    struct cv_yaml_node *first;  /* first child: an item, or a pair's value */
    struct cv_yaml_node *next;   /* next child of the same parent */
    struct cv_yaml_node *parent; /* NULL for the root */
};

struct cv_yaml_problem {
    unsigned line, column; /* 0: the file as a whole */
    char text[256];
};

struct cv_yaml_problems {
    const char *file; /* name for messages, borrowed */
    size_t count;     /* found, also those beyond the table */
    struct cv_yaml_problem list[CV_YAML_MAX_PROBLEMS];
};

/* FILE is the name that messages begin with; it must outlive P. */
void cv_yaml_problems_init(struct cv_yaml_problems *p, const char *file);
/* Adds a problem at NODE's position (NULL: the whole file). */
void cv_yaml_problem(struct cv_yaml_problems *p, const struct cv_yaml_node *node, const char *fmt,
                     ...) CV_PRINTF(3, 4);
/* One "FILE:LINE:COLUMN: text" a line, in the order of the file. */
void cv_yaml_problems_print(struct cv_yaml_problems *p, FILE *out);
/* Puts them into the order of the file; how many are in the table. */
size_t cv_yaml_problems_sort(struct cv_yaml_problems *p);
/* "FILE:LINE:COLUMN", or "FILE", of ONE into OUT; returns OUT. */
char *cv_yaml_problem_place(char *out, size_t size, const struct cv_yaml_problems *p,
                            const struct cv_yaml_problem *one);
/* The same as one chain in ERR: the first problem, and how many more there
 * are. Returns 0 without problems, else CV_ERR_CONFIG. */
int cv_yaml_problems_error(struct cv_yaml_problems *p, struct cv_error *err);

struct cv_yaml_doc;

/* Parses TEXT (at most CV_YAML_MAX_TEXT bytes). 0 and *DOC, which the caller
 * frees; or CV_ERR_CONFIG, CV_ERR_LIMIT or CV_ERR_NOMEM with at least one
 * problem added and *DOC NULL. Syntax errors end the parse at once; duplicate
 * keys are all reported. */
int cv_yaml_parse(struct cv_yaml_doc **doc, struct cv_bytes text,
                  struct cv_yaml_problems *p) CV_NODISCARD;
/* Reads PATH and parses it; the file's name in messages is PROBLEMS->file. */
int cv_yaml_parse_file(struct cv_yaml_doc **doc, const char *path,
                       struct cv_yaml_problems *p) CV_NODISCARD;
/* Wipes the texts and frees; NULL is harmless. */
void cv_yaml_free(struct cv_yaml_doc *doc);
/* Never NULL: an empty file has a null scalar as its root. */
const struct cv_yaml_node *cv_yaml_root(const struct cv_yaml_doc *doc);

/* The value of KEY in a mapping; NULL when absent or NODE is no mapping (or
 * NULL). An explicit null is a node: see cv_yaml_is_null(). */
const struct cv_yaml_node *cv_yaml_get(const struct cv_yaml_node *node, const char *key);
/* Absent, or a plain empty scalar, "~" or "null". */
bool cv_yaml_is_null(const struct cv_yaml_node *node);
/* "tezos.tz1abc.allow[2]" into OUT, cut when too long. Returns OUT. */
char *cv_yaml_path(char *out, size_t size, const struct cv_yaml_node *node);

/* Reports each key of the mapping NODE that is not in KNOWN (ended by NULL),
 * with the nearest known name where one is near. False when NODE is no mapping
 * (which is reported, except for null: an empty mapping) or a key is unknown.
 * A key of the root that begins with "x-" is the author's own, a place to
 * write what is anchored and used elsewhere. */
bool cv_yaml_check_keys(struct cv_yaml_problems *p, const struct cv_yaml_node *node,
                        const char *const known[]);
/* The nearest of KNOWN to NAME by edit distance, NULL when none is near. */
const char *cv_yaml_nearest(const char *name, const char *const known[]);

/* Typed reads of a node. Each is true with the value set, or false with the
 * problem reported ("…: expected a whole number from 1 to 65535"). NODE must
 * not be NULL; whether an absent key is fine is the caller's business. */
bool cv_yaml_is(struct cv_yaml_problems *p, const struct cv_yaml_node *node,
                enum cv_yaml_kind kind);
/* Any scalar but null, as written; a view that lives as long as the document. */
bool cv_yaml_text(struct cv_yaml_problems *p, const struct cv_yaml_node *node, const char **out);
/* A whole number, decimal or 0x…; MIN <= value <= MAX. */
bool cv_yaml_uint(struct cv_yaml_problems *p, const struct cv_yaml_node *node, uint64_t *out,
                  uint64_t min, uint64_t max);
/* true false yes no on off, in lower, upper or title case, as Go's yaml.v3 does. */
bool cv_yaml_bool(struct cv_yaml_problems *p, const struct cv_yaml_node *node, bool *out);
/* "90", "90s", "1m30s", "250ms", "2h": Go's durations; a bare number is
 * seconds. Milliseconds in *OUT. */
bool cv_yaml_duration(struct cv_yaml_problems *p, const struct cv_yaml_node *node, int64_t *out);
/* Index of the scalar in NAMES (ended by NULL), else a problem that lists them. */
bool cv_yaml_enum(struct cv_yaml_problems *p, const struct cv_yaml_node *node,
                  const char *const names[], int *out);

#endif
