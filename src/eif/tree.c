/* SPDX-License-Identifier: Apache-2.0 */
/* Paths, and what is put there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "eif/tree_private.h"

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
            return cv_error_set(err, CV_ERR_INVALID,
                                "the path \"%s\" leads out of the tree with "
                                "\"..\"",
                                quote(path).text);
        }
        if (n > CV_TREE_MAX_NAME) {
            return cv_error_set(err, CV_ERR_LIMIT,
                                "a file name of %zu bytes, where %u are "
                                "possible",
                                n, CV_TREE_MAX_NAME);
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
        return cv_error_set(err, CV_ERR_INVALID,
                            "the path \"%s\" runs through a loop of symbolic "
                            "links",
                            quote(path).text);
    }
    char *longer;
    if (asprintf(&longer, "%s/%s", link->target, w->rest + w->pos) < 0) {
        return cv_tree_no_memory(err);
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
    struct cv_tree_node *child = cv_tree_lookup(t, w->at, name, n);
    if (child == NULL) {
        if (!create) {
            return CV_ERR_NOT_FOUND;
        }
        if (n > CV_TREE_MAX_NAME) {
            return cv_error_set(err, CV_ERR_LIMIT, "a file name of %zu bytes", n);
        }
        child = cv_tree_add(t, w->at, name, n, err);
        if (child == NULL) {
            return CV_ERR_LIMIT;
        }
    }
    if (S_ISLNK(child->mode)) {
        return follow(t, w, child, path, err);
    }
    if (!S_ISDIR(child->mode)) {
        return create
                   ? cv_error_set(err, CV_ERR_INVALID, "\"%s\" lies below a file", quote(path).text)
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
        return cv_tree_no_memory(err);
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
        struct cv_tree_node *child = last ? cv_tree_lookup(t, w.at, name, n) : NULL;
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
        /* W.rest is freed below, whatever it has become.
         * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
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
            return cv_tree_no_memory(err);
        }
        t->text += n;
    }
    cv_tree_drop_content(t, node);
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
        return S_ISDIR(attr->mode) ? set_attr(t, place.node, attr, err)
                                   : cv_error_set(err, CV_ERR_INVALID,
                                                  "the path \"%s\" is the root, and no "
                                                  "folder",
                                                  quote(path).text);
    }
    bool both = place.node != NULL && S_ISDIR(place.node->mode) && S_ISDIR(attr->mode);
    if (place.node != NULL && !both) {
        cv_tree_remove(t, place.node);
        place.node = NULL;
    }
    if (place.node == NULL) {
        place.node = cv_tree_add(t, place.parent, place.name, strlen(place.name), err);
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
    if (attr->blob != NULL &&
        (attr->blob->size > t->max_bytes || t->bytes > t->max_bytes - attr->blob->size)) {
        rc = cv_error_set(err, CV_ERR_LIMIT,
                          "the files take more than %llu MiB together; "
                          "--max-size raises the limit",
                          (unsigned long long)t->max_bytes >> 20);
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
        return cv_error_set(err, CV_ERR_INVALID,
                            "\"%s\" is a hard link to what is no file before "
                            "it",
                            quote(path).text);
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
        return cv_tree_no_memory(err);
    }
    struct cv_tree_attr attr = {old->mode,   old->uid, old->gid, old->rmajor,
                                old->rminor, copy,     NULL};
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
            cv_tree_remove(t, c);
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
            cv_tree_remove(t, place.node);
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
