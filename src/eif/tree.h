/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file tree being put together from directories, tars and layers: names and
 * attributes in memory, contents where they lie (in the archive, in a spool
 * file, in the source directory). Nothing is ever created on this machine.
 *
 * Paths are relative to the tree's root whatever they begin with. ".." in a
 * path is refused; symbolic links on the way are followed within the tree, as
 * they would be with the tree as the root directory, at most 40 of them.
 */
#ifndef CV_EIF_TREE_H
#define CV_EIF_TREE_H

#include "common/bytes.h"

#define CV_TREE_MAX_ENTRIES 1000000u           /* files, folders, links of one tree */
#define CV_TREE_MAX_TEXT ((uint64_t)512 << 20) /* bytes of all names and link targets */
#define CV_TREE_MAX_DEPTH 256u
#define CV_TREE_MAX_NAME 255u  /* NAME_MAX */
#define CV_TREE_MAX_PATH 4000u /* PATH_MAX, less the prefix in the ramdisk */
#define CV_TREE_MAX_HOPS 40u   /* symbolic links on one path, as in Linux */

/* A run of data; what no run covers is zeros. */
struct cv_tree_extent {
    uint64_t at; /* offset in the file */
    uint64_t length;
    uint64_t from; /* offset in the source */
};

/* The content of one file, shared by its hard links. */
struct cv_tree_blob {
    int fd;            /* source, borrowed; with HOST: the source directory */
    char *host;        /* path under the directory FD; opened when it is needed */
    uint64_t dev, ino; /* what HOST was when it was looked at */
    uint64_t size;
    struct cv_tree_extent *extents; /* ascending, owned */
    size_t extent_count;
    unsigned refs; /* names of this file */
    unsigned seen; /* used while an archive is written */
    uint32_t number;
};

struct cv_tree_node {
    struct cv_tree_node *parent, *first, *next, *prev; /* siblings in no order */
    struct cv_tree_node *chain;                        /* of the hash table */
    char *name;
    char *target;              /* of a symbolic link */
    struct cv_tree_blob *blob; /* of a regular file; NULL: empty */
    uint32_t mode;             /* with the type bits */
    uint32_t uid, gid;
    uint32_t rmajor, rminor;
    unsigned layer;
};

struct cv_tree {
    struct cv_tree_node *root;
    struct cv_tree_node **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;        /* nodes, the root not counted */
    uint64_t text;       /* bytes of names and targets */
    uint64_t bytes;      /* of all contents */
    uint64_t max_bytes;
    unsigned layer;
};

struct cv_tree_attr {
    uint32_t mode, uid, gid, rmajor, rminor;
    const char *target;        /* copied */
    struct cv_tree_blob *blob; /* taken over, also on error */
};

/* MAX_BYTES: ceiling of all contents together. */
int cv_tree_init(struct cv_tree *t, uint64_t max_bytes, struct cv_error *err) CV_NODISCARD;
void cv_tree_free(struct cv_tree *t);
/* What follows is another layer: whiteouts hide older layers only. */
void cv_tree_next_layer(struct cv_tree *t);

/* Puts an entry at PATH. Missing parents are made (0755, root's). A folder
 * over a folder changes its attributes and keeps its content; anything else
 * replaces what was there. CV_ERR_INVALID for ".." and bad names, CV_ERR_LIMIT
 * for what goes beyond the limits. */
int cv_tree_put(struct cv_tree *t, const char *path, const struct cv_tree_attr *attr,
                struct cv_error *err) CV_NODISCARD;
/* Another name for the file (or link, or device) at TARGET, which must exist
 * and be no folder. */
int cv_tree_link(struct cv_tree *t, const char *path, const char *target,
                 struct cv_error *err) CV_NODISCARD;
/* Hides what older layers have at PATH; nothing there is fine. */
int cv_tree_whiteout(struct cv_tree *t, const char *path, struct cv_error *err) CV_NODISCARD;
/* Hides what older layers have in the folder PATH. */
int cv_tree_opaque(struct cv_tree *t, const char *path, struct cv_error *err) CV_NODISCARD;
/* The node at PATH, links on the way followed, a last one only when FOLLOW;
 * NULL when there is none. */
struct cv_tree_node *cv_tree_find(struct cv_tree *t, const char *path, bool follow);

/* A blob of SIZE bytes with one extent at FROM of FD; NULL without memory. */
struct cv_tree_blob *cv_tree_blob_new(int fd, uint64_t from, uint64_t size);
void cv_tree_blob_free(struct cv_tree_blob *b);

/* The children of NODE sorted by the bytes of their names: an array to be
 * freed, and their *COUNT. NULL with *COUNT 0 for none, with 1 without memory. */
struct cv_tree_node **cv_tree_sorted(const struct cv_tree_node *node, size_t *count);

#endif
