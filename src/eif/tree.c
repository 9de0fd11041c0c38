/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_BUCKETS 1024u

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

/* PATH as it may stand in a message. */
struct quoted {
    char text[200];
};

static struct quoted quote(const char *path)
{
    struct quoted q;
    cv_error_quote(q.text, sizeof q.text, path, strlen(path));
    return q;
}

/* ---- nodes and their table ---- */

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

static struct cv_tree_node *lookup(const struct cv_tree *t, const struct cv_tree_node *parent,
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

static void drop_content(struct cv_tree *t, struct cv_tree_node *node)
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
    drop_content(t, node);
    free(node->name);
    free(node);
}

/* With all that is in it; iterative by walking down to leaves. */
static void remove_tree(struct cv_tree *t, struct cv_tree_node *top)
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

static struct cv_tree_node *add(struct cv_tree *t, struct cv_tree_node *parent, const char *name,
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
        no_memory(err);
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
        return no_memory(err);
    }
    t->root->mode = S_IFDIR | 0755;
    return 0;
}

void cv_tree_free(struct cv_tree *t)
{
    if (t->root != NULL) {
        while (t->root->first != NULL) {
            remove_tree(t, t->root->first);
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

/* ---- paths ---- */

struct place {
    struct cv_tree_node *parent;     /* NULL: the path is the root itself */
    char name[CV_TREE_MAX_NAME + 1]; /* last component */
    struct cv_tree_node *node;       /* what is there */
};

static int check_path(const char *path, struct cv_error *err)
{
    size_t len = strlen(path);
    if (len > CV_TREE_MAX_PATH) {
        return cv_error_set(err, CV_ERR_LIMIT, "a path of %zu bytes, where %u are possible", len,
                            CV_TREE_MAX_PATH);
    }
    for (const char *at = path; *at != 0;) {
        size_t n = strcspn(at, "/");
        if (n == 2 && at[0] == '.' && at[1] == '.') {
            return cv_error_set(err, CV_ERR_INVALID, "the path \"%s\" leads out of the tree with "
                                "\"..\"", quote(path).text);
        }
        if (n > CV_TREE_MAX_NAME) {
            return cv_error_set(err, CV_ERR_LIMIT, "a file name of %zu bytes, where %u are "
                                "possible", n, CV_TREE_MAX_NAME);
        }
        at += n + (at[n] == '/');
    }
    return 0;
}

struct walk {
    struct cv_tree_node *at;
    char *rest; /* owned: what is still to be walked, from POS on */
    size_t pos;
    unsigned hops, depth;
};

static int follow(struct cv_tree *t, struct walk *w, const struct cv_tree_node *link,
                  const char *path, struct cv_error *err)
{
    if (++w->hops > CV_TREE_MAX_HOPS) {
        return cv_error_set(err, CV_ERR_INVALID, "the path \"%s\" runs through a loop of symbolic "
                            "links", quote(path).text);
    }
    char *longer;
    if (asprintf(&longer, "%s/%s", link->target, w->rest + w->pos) < 0) {
        return no_memory(err);
    }
    free(w->rest);
    w->rest = longer;
    w->pos = 0;
    if (link->target[0] == '/') {
        w->at = t->root;
    }
    return 0;
}

/* One step down from W->at into the component NAME of N bytes. */
static int descend(struct cv_tree *t, struct walk *w, const char *name, size_t n, bool create,
                   const char *path, struct cv_error *err)
{
    struct cv_tree_node *child = lookup(t, w->at, name, n);
    if (child == NULL) {
        if (!create) {
            return CV_ERR_NOT_FOUND;
        }
        if (n > CV_TREE_MAX_NAME) {
            return cv_error_set(err, CV_ERR_LIMIT, "a file name of %zu bytes", n);
        }
        child = add(t, w->at, name, n, err);
        if (child == NULL) {
            return CV_ERR_LIMIT;
        }
    }
    if (S_ISLNK(child->mode)) {
        return follow(t, w, child, path, err);
    }
    if (!S_ISDIR(child->mode)) {
        return create ? cv_error_set(err, CV_ERR_INVALID, "\"%s\" lies below a file",
                                     quote(path).text)
                      : CV_ERR_NOT_FOUND;
    }
    w->at = child;
    return 0;
}

static int check_depth(const struct cv_tree_node *node, struct cv_error *err)
{
    unsigned depth = 0;
    for (; node != NULL; node = node->parent) {
        if (++depth > CV_TREE_MAX_DEPTH) {
            return cv_error_set(err, CV_ERR_LIMIT, "folders nested deeper than %u levels",
                                CV_TREE_MAX_DEPTH);
        }
    }
    return 0;
}

/* Walks PATH. FOLLOW_LAST: a symbolic link at its end is followed as well. */
static int resolve(struct cv_tree *t, const char *path, bool create, bool follow_last,
                   struct place *place, struct cv_error *err)
{
    *place = (struct place){.parent = NULL};
    struct walk w = {.at = t->root, .rest = strdup(path)};
    if (w.rest == NULL) {
        return no_memory(err);
    }
    int rc = 0;
    place->node = t->root;
    while (rc == 0) {
        w.pos += strspn(w.rest + w.pos, "/");
        const char *name = w.rest + w.pos;
        size_t n = strcspn(name, "/");
        if (n == 0) {
            place->node = w.at;
            place->parent = NULL;
            break;
        }
        w.pos += n;
        if (n == 1 && name[0] == '.') {
            continue;
        }
        if (n == 2 && name[0] == '.' && name[1] == '.') { /* from a link's target */
            /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
            w.at = w.at->parent != NULL ? w.at->parent : t->root;
            continue;
        }
        const char *more = name + n + strspn(name + n, "/");
        bool last = more[0] == 0 || (more[0] == '.' && more[1] == 0);
        struct cv_tree_node *child = last ? lookup(t, w.at, name, n) : NULL;
        if (last && !(follow_last && child != NULL && S_ISLNK(child->mode))) {
            if (n > CV_TREE_MAX_NAME) {
                rc = cv_error_set(err, CV_ERR_LIMIT, "a file name of %zu bytes", n);
                break;
            }
            memcpy(place->name, name, n);
            place->parent = w.at;
            place->node = child;
            break;
        }
        rc = descend(t, &w, name, n, create, path, err);
    }
    free(w.rest);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    return rc == 0 && create && place->parent != NULL ? check_depth(place->parent, err) : rc;
}

/* ---- entries ---- */

static int set_attr(struct cv_tree *t, struct cv_tree_node *node, const struct cv_tree_attr *attr,
                    struct cv_error *err)
{
    char *target = NULL;
    if (attr->target != NULL) {
        size_t n = strlen(attr->target);
        if (n == 0 || n > CV_TREE_MAX_PATH || t->text + n > CV_TREE_MAX_TEXT) {
            return cv_error_set(err, CV_ERR_LIMIT, "a symbolic link to %zu bytes", n);
        }
        target = strdup(attr->target);
        if (target == NULL) {
            return no_memory(err);
        }
        t->text += n;
    }
    drop_content(t, node);
    node->target = target;
    node->mode = attr->mode;
    node->uid = attr->uid;
    node->gid = attr->gid;
    node->rmajor = attr->rmajor;
    node->rminor = attr->rminor;
    node->layer = t->layer;
    return 0;
}

static int put(struct cv_tree *t, const char *path, const struct cv_tree_attr *attr,
               struct cv_error *err)
{
    struct place place;
    int rc = check_path(path, err);
    if (rc == 0) {
        rc = resolve(t, path, true, false, &place, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (place.parent == NULL) {
        return S_ISDIR(attr->mode)
                   ? set_attr(t, place.node, attr, err)
                   : cv_error_set(err, CV_ERR_INVALID, "the path \"%s\" is the root, and no "
                                  "folder", quote(path).text);
    }
    bool both = place.node != NULL && S_ISDIR(place.node->mode) && S_ISDIR(attr->mode);
    if (place.node != NULL && !both) {
        remove_tree(t, place.node);
        place.node = NULL;
    }
    if (place.node == NULL) {
        place.node = add(t, place.parent, place.name, strlen(place.name), err);
        if (place.node == NULL) {
            return CV_ERR_LIMIT;
        }
    }
    rc = set_attr(t, place.node, attr, err);
    if (rc == 0 && attr->blob != NULL) {
        place.node->blob = attr->blob;
        attr->blob->refs = 1;
        t->bytes += attr->blob->size;
    }
    return rc;
}

int cv_tree_put(struct cv_tree *t, const char *path, const struct cv_tree_attr *attr,
                struct cv_error *err)
{
    int rc = 0;
    if (attr->blob != NULL && (attr->blob->size > t->max_bytes ||
                               t->bytes > t->max_bytes - attr->blob->size)) {
        rc = cv_error_set(err, CV_ERR_LIMIT, "the files take more than %llu MiB together; "
                          "--max-size raises the limit", (unsigned long long)t->max_bytes >> 20);
    }
    if (rc == 0) {
        rc = put(t, path, attr, err);
    }
    if (rc != 0 && attr->blob != NULL) {
        cv_tree_blob_free(attr->blob);
    }
    return rc;
}

int cv_tree_link(struct cv_tree *t, const char *path, const char *target, struct cv_error *err)
{
    struct place from;
    int rc = check_path(target, err);
    if (rc == 0) {
        rc = resolve(t, target, false, false, &from, err);
    }
    if (rc != 0 && rc != CV_ERR_NOT_FOUND) {
        return rc;
    }
    if (rc == CV_ERR_NOT_FOUND || from.node == NULL || S_ISDIR(from.node->mode)) {
        return cv_error_set(err, CV_ERR_INVALID, "\"%s\" is a hard link to what is no file before "
                            "it", quote(path).text);
    }
    const struct cv_tree_node *old = from.node;
    struct place to;
    rc = check_path(path, err);
    if (rc == 0) {
        rc = resolve(t, path, true, false, &to, err);
    }
    if (rc != 0 || to.node == old) {
        return rc;
    }
    char *copy = old->target != NULL ? strdup(old->target) : NULL;
    if (old->target != NULL && copy == NULL) {
        return no_memory(err);
    }
    struct cv_tree_attr attr = {old->mode, old->uid, old->gid, old->rmajor, old->rminor, copy,
                                NULL};
    struct cv_tree_blob *blob = old->blob;
    if (blob != NULL) {
        blob->refs++; /* before anything can go away with the old name */
    }
    rc = put(t, path, &attr, err);
    free(copy);
    if (rc == 0) {
        rc = resolve(t, path, false, false, &to, err);
    }
    if (rc == 0) {
        to.node->blob = blob;
    } else if (blob != NULL) {
        blob->refs--;
    }
    return rc;
}

/* ---- whiteouts (OCI image layer specification, "Whiteouts") ---- */

/* Removes what older layers put below NODE. True when nothing is left. */
static bool purge(struct cv_tree *t, struct cv_tree_node *node)
{
    for (struct cv_tree_node *c = node->first, *next; c != NULL; c = next) {
        next = c->next;
        bool empty = !S_ISDIR(c->mode) || purge(t, c);
        if (empty && c->layer < t->layer) {
            remove_tree(t, c);
        }
    }
    return node->first == NULL;
}

int cv_tree_whiteout(struct cv_tree *t, const char *path, struct cv_error *err)
{
    struct place place;
    int rc = check_path(path, err);
    if (rc == 0) {
        rc = resolve(t, path, false, false, &place, err);
    }
    if (rc == CV_ERR_NOT_FOUND || (rc == 0 && place.node == NULL)) {
        return 0;
    }
    if (rc == 0 && place.parent == NULL) {
        return cv_error_set(err, CV_ERR_INVALID, "a whiteout of the root");
    }
    if (rc == 0) {
        bool empty = !S_ISDIR(place.node->mode) || purge(t, place.node);
        if (empty && place.node->layer < t->layer) {
            remove_tree(t, place.node);
        }
    }
    return rc;
}

int cv_tree_opaque(struct cv_tree *t, const char *path, struct cv_error *err)
{
    struct place place;
    int rc = check_path(path, err);
    if (rc == 0) {
        rc = resolve(t, path, false, false, &place, err);
    }
    if (rc == CV_ERR_NOT_FOUND || (rc == 0 && place.node == NULL)) {
        return 0;
    }
    if (rc == 0 && S_ISDIR(place.node->mode)) {
        (void)purge(t, place.node);
    }
    return rc;
}

struct cv_tree_node *cv_tree_find(struct cv_tree *t, const char *path, bool follow_last)
{
    struct place place;
    if (check_path(path, NULL) != 0 || resolve(t, path, false, follow_last, &place, NULL) != 0) {
        return NULL;
    }
    return place.node;
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
