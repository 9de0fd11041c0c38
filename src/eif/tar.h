/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tar archives: POSIX ustar and pax, GNU long names, GNU and pax sparse files
 * (POSIX.1-2017 pax, "ustar Interchange Format" and "pax Interchange Format";
 * GNU tar manual, "Basic Tar Format" and "Storing Sparse Files").
 */
#ifndef CV_EIF_TAR_H
#define CV_EIF_TAR_H

#include "eif/input.h"
#include "eif/tree.h"

#define CV_TAR_MAX_PAX (1u << 20)   /* bytes of one extended header */
#define CV_TAR_MAX_EXTENTS 65536u   /* of one sparse file */
#define CV_TAR_MAX_ENTRIES 5000000u /* of one archive */

enum cv_tar_type {
    CV_TAR_FILE,
    CV_TAR_HARD_LINK,
    CV_TAR_SYMLINK,
    CV_TAR_CHAR,
    CV_TAR_BLOCK,
    CV_TAR_FOLDER,
    CV_TAR_FIFO,
};

struct cv_tar_entry {
    enum cv_tar_type type;
    char *name, *link; /* owned by the reader, good until the next entry */
    uint32_t mode;     /* permission bits only */
    uint32_t uid, gid;
    uint32_t rmajor, rminor;
    uint64_t size;                  /* of the file, holes included */
    uint64_t stored;                /* bytes of data in the archive from here on */
    struct cv_tree_extent *extents; /* NULL: one,
        of SIZE bytes; FROM counts from the data's begin */
    size_t extent_count;
    bool has_xattr; /* extended attributes, which a ramdisk cannot hold */
};

struct cv_tar_pax {
    struct cv_buf path, linkpath;
    bool has_path, has_link, has_size, has_uid, has_gid, xattr;
    uint64_t size, uid, gid;
    /* GNU.sparse.* */
    bool sparse, map_in_data, has_real;
    uint64_t real_size;
    struct cv_tree_extent *extents;
    size_t extent_count, extent_cap;
};

struct cv_tar {
    struct cv_input *in; /* borrowed */
    bool need_end;       /* refuse an archive without its end mark */
    uint64_t left;       /* data of the entry not read yet */
    uint64_t pad;        /* after them */
    uint64_t entries;
    struct cv_tar_pax global, local;
    struct cv_buf long_name, long_link;
    struct cv_tar_entry entry;
};

/* NEED_END false where a digest proves that the archive is complete. */
void cv_tar_init(struct cv_tar *t, struct cv_input *in, bool need_end);
void cv_tar_free(struct cv_tar *t);
/* The next entry, 1; 0 at the end; or a negative code. The caller reads at most
 * ENTRY->stored bytes with cv_tar_read(); the rest is skipped by the next call. */
int cv_tar_next(struct cv_tar *t, struct cv_tar_entry **entry, struct cv_error *err) CV_NODISCARD;
/* Exactly N bytes of the entry's data, N <= what is left of them. */
int cv_tar_read(struct cv_tar *t, void *p, size_t n, struct cv_error *err) CV_NODISCARD;
/* Skips N bytes of the entry's data. */
int cv_tar_skip(struct cv_tar *t, uint64_t n, struct cv_error *err) CV_NODISCARD;

/* For the sparse formats: adds a run to LIST, checked against its predecessor. */
int cv_tar_add_extent(struct cv_tar_pax *p, uint64_t at, uint64_t length,
                      struct cv_error *err) CV_NODISCARD;
/* Reads the records of an extended header into P. */
int cv_tar_pax_parse(struct cv_tar_pax *p, struct cv_bytes text, struct cv_error *err) CV_NODISCARD;
void cv_tar_pax_init(struct cv_tar_pax *p);
void cv_tar_pax_reset(struct cv_tar_pax *p);
void cv_tar_pax_free(struct cv_tar_pax *p);

#endif
