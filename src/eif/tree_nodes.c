/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, found through one table by parent and name. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eif/tree_private.h"

#define FIRST_BUCKETS 1024u

int cv_tree_no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

static size_t bucket_of(const struct cv_tree *t, const struct cv_tree_node *parent,
                        const char *name, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u ^ ((uintptr_t)parent >> 4);
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
    }
    h ^= h >> 32;
    return (size_t)h & (t->bucket_count - 1);
}

struct cv_tree_node *cv_tree_lookup(const struct cv_tree *t, const struct cv_tree_node *parent,
                                    const char *name, size_t n)
{
    struct cv_tree_node *node = t->buckets[bucket_of(t, parent, name, n)];
    for (; node != NULL; node = node->chain) {
        if (node->parent == parent && strncmp(node->name, name, n) == 0 && node->name[n] == 0) {
            return node;
        }
    }
    return NULL;
}

static void enter(struct cv_tree *t, struct cv_tree_node *node)
{
    size_t b = bucket_of(t, node->parent, node->name, strlen(node->name));
    node->chain = t->buckets[b];
    t->buckets[b] = node;
}

static void rehash(struct cv_tree *t)
{
    size_t old = t->bucket_count;
    struct cv_tree_node **more = calloc(old * 2, sizeof *more);
    if (more == NULL) {
        return; /* slower, not wrong */
    }
    struct cv_tree_node **from = t->buckets;
    t->buckets = more;
    t->bucket_count = old * 2;
    for (size_t i = 0; i < old; i++) {
        for (struct cv_tree_node *n = from[i], *next; n != NULL; n = next) {
            next = n->chain;
            enter(t, n);
        }
    }
    free(from);
}

void cv_tree_drop_content(struct cv_tree *t, struct cv_tree_node *node)
{
    if (node->blob != NULL && --node->blob->refs == 0) {
        t->bytes -= node->blob->size;
        cv_tree_blob_free(node->blob);
    }
    node->blob = NULL;
    if (node->target != NULL) {
        t->text -= strlen(node->target);
        free(node->target);
    }
    node->target = NULL;
}

static void unlink_node(struct cv_tree *t, struct cv_tree_node *node)
{
    struct cv_tree_node **at =
        &t->buckets[bucket_of(t, node->parent, node->name, strlen(node->name))];
    while (*at != node) {
        at = &(*at)->chain;
    }
    *at = node->chain;
    if (node->prev != NULL) {
        node->prev->next = node->next;
    } else {
        node->parent->first = node->next;
    }
    if (node->next != NULL) {
        node->next->prev = node->prev;
    }
    t->count--;
    t->text -= strlen(node->name);
    cv_tree_drop_content(t, node);
    free(node->name);
    free(node);
}

/* With all that is in it; iterative by walking down to leaves. */
void cv_tree_remove(struct cv_tree *t, struct cv_tree_node *top)
{
    struct cv_tree_node *node = top;
    for (;;) {
        while (node->first != NULL) {
            node = node->first;
        }
        struct cv_tree_node *parent = node->parent;
        bool last = node == top;
        unlink_node(t, node);
        if (last) {
            return;
        }
        node = parent;
    }
}

struct cv_tree_node *cv_tree_add(struct cv_tree *t, struct cv_tree_node *parent, const char *name,
                                 size_t n, struct cv_error *err)
{
    if (t->count >= CV_TREE_MAX_ENTRIES) {
        (void)cv_error_set(err, CV_ERR_LIMIT, "more than %u files", CV_TREE_MAX_ENTRIES);
        return NULL;
    }
    if (t->text + n > CV_TREE_MAX_TEXT) {
        (void)cv_error_set(err, CV_ERR_LIMIT, "the names take more than %llu bytes",
                           (unsigned long long)CV_TREE_MAX_TEXT);
        return NULL;
    }
    struct cv_tree_node *node = calloc(1, sizeof *node);
    char *copy = strndup(name, n);
    if (node == NULL || copy == NULL) {
        free(node);
        free(copy);
        cv_tree_no_memory(err);
        return NULL;
    }
    if (t->count >= 2 * t->bucket_count) {
        rehash(t);
    }
    node->name = copy;
    node->parent = parent;
    node->layer = t->layer;
    node->mode = S_IFDIR | 0755;
    node->next = parent->first;
    if (node->next != NULL) {
        node->next->prev = node;
    }
    parent->first = node;
    t->count++;
    t->text += n;
    enter(t, node);
    return node;
}

int cv_tree_init(struct cv_tree *t, uint64_t max_bytes, struct cv_error *err)
{
    *t = (struct cv_tree){.max_bytes = max_bytes, .bucket_count = FIRST_BUCKETS};
    t->root = calloc(1, sizeof *t->root);
    t->buckets = calloc(FIRST_BUCKETS, sizeof(struct cv_tree_node *));
    if (t->root == NULL || t->buckets == NULL) {
        free(t->root);
        free(t->buckets);
        *t = (struct cv_tree){.root = NULL};
        return cv_tree_no_memory(err);
    }
    t->root->mode = S_IFDIR | 0755;
    return 0;
}

void cv_tree_free(struct cv_tree *t)
{
    if (t->root != NULL) {
        while (t->root->first != NULL) {
            /* The first child has none before it, so that removing it changes `first`,
             * which the analyzer does not know. */
            cv_tree_remove(t, t->root->first); /* NOLINT(clang-analyzer-unix.Malloc) */
        }
    }
    free(t->root);
    free(t->buckets);
    *t = (struct cv_tree){.root = NULL};
}

void cv_tree_next_layer(struct cv_tree *t)
{
    t->layer++;
}

/* ---- contents ---- */

struct cv_tree_blob *cv_tree_blob_new(int fd, uint64_t from, uint64_t size)
{
    struct cv_tree_blob *b = calloc(1, sizeof *b);
    struct cv_tree_extent *e = calloc(1, sizeof *e);
    if (b == NULL || e == NULL) {
        free(b);
        free(e);
        return NULL;
    }
    *e = (struct cv_tree_extent){0, size, from};
    *b = (struct cv_tree_blob){.fd = fd, .size = size, .extents = e, .extent_count = 1};
    return b;
}

void cv_tree_blob_free(struct cv_tree_blob *b)
{
    if (b != NULL) {
        free(b->host);
        free(b->extents);
        free(b);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct cv_tree_node *const *)a)->name,
                  (*(struct cv_tree_node *const *)b)->name);
}

struct cv_tree_node **cv_tree_sorted(const struct cv_tree_node *node, size_t *count)
{
    size_t n = 0;
    for (const struct cv_tree_node *c = node->first; c != NULL; c = c->next) {
        n++;
    }
    *count = n;
    if (n == 0) {
        return NULL;
    }
    struct cv_tree_node **list = calloc(n, sizeof *list);
    if (list == NULL) {
        *count = 1;
        return NULL;
    }
    n = 0;
    for (struct cv_tree_node *c = node->first; c != NULL; c = c->next) {
        list[n++] = c;
    }
    qsort(list, n, sizeof *list, by_name);
    return list;
}
