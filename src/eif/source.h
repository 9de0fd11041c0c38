/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image's application is made of: a directory, a tar, an archive of
 * docker save, an OCI archive or an OCI layout. All become one tree; contents
 * stay where they are, or in a spool file when they have to be unpacked.
 * Nothing is created but that spool, which has no name.
 */
#ifndef CV_EIF_SOURCE_H
#define CV_EIF_SOURCE_H

#include <jansson.h>

#include "eif/tar.h"

#define CV_SOURCE_MAX_FDS 256u
#define CV_SOURCE_MAX_LAYERS 250u     /* container engines stop at 127 */
#define CV_SOURCE_MAX_MEMBERS 65536u  /* of a container archive */
#define CV_SOURCE_MAX_JSON (4u << 20) /* bytes of a manifest, an index, a configuration */

enum cv_source_kind {
    CV_SOURCE_AUTO,
    CV_SOURCE_FOLDER,
    CV_SOURCE_TAR,
    CV_SOURCE_CONTAINER, /* docker save, OCI archive, OCI layout */
};

struct cv_source_options {
    const char *path;
    enum cv_source_kind kind;
    const char *image;           /* which one of several: a name, a tag or a digest; or NULL */
    const char *arch;            /* "amd64" or "arm64", as containers say */
    const char *spool_dir;       /* for what does not fit into memory */
    uint64_t max_bytes;          /* of all files together */
    uint64_t skip_dev, skip_ino; /* a file that is no part of a folder: the output's last version */
    /* Called now and then, may be NULL. */
    void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total);
    void *progress_ctx;
};

struct cv_source {
    const struct cv_source_options *options; /* borrowed */
    struct cv_tree tree;
    int fds[CV_SOURCE_MAX_FDS]; /* sources of contents */
    size_t fd_count;
    int spool;
    uint64_t spool_size;
    json_t *config;       /* of a container image: the "config" object, or NULL */
    json_t *info;         /* of a container image: what docker image inspect shows, or NULL */
    char *name, *version; /* of a container image: repository and id, or NULL */
    uint64_t xattrs;      /* files whose extended attributes are lost */
    uint64_t sockets;     /* left out */
};

/* Reads all of it; the path "-" is standard input. On error nothing is to be closed. */
int cv_source_open(struct cv_source *s, const struct cv_source_options *options,
                   struct cv_error *err) CV_NODISCARD;
/* A source without anything in it, for an image that is put together by hand;
 * options->path is not used. */
int cv_source_empty(struct cv_source *s, const struct cv_source_options *options,
                    struct cv_error *err) CV_NODISCARD;
/* A regular file from memory, root's, parents made as needed. */
int cv_source_put_file(struct cv_source *s, const char *path, uint32_t mode, uint32_t uid,
                       uint32_t gid, struct cv_bytes content, struct cv_error *err) CV_NODISCARD;
/* A file of this machine, copied as it is now. */
int cv_source_put_host_file(struct cv_source *s, const char *path, uint32_t mode, uint32_t uid,
                            uint32_t gid, const char *host, struct cv_error *err) CV_NODISCARD;
/* The content of the tree's file PATH (links followed) into OUT, emptied first:
 * CV_ERR_NOT_FOUND, CV_ERR_LIMIT. */
int cv_source_read_file(struct cv_source *s, const char *path, struct cv_buf *out,
                        struct cv_error *err) CV_NODISCARD;
void cv_source_close(struct cv_source *s);

/* --- Parts, each in its file --- */

/* Takes FD over: it is closed with the source. */
int cv_source_keep_fd(struct cv_source *s, int fd, struct cv_error *err) CV_NODISCARD;
/* What packed data may unpack to before they are taken for a bomb: files of
 * --max-size may be all zeros, and the spool takes twice that. */
uint64_t cv_source_ample(const struct cv_source *s);
/* The tar in IN into the tree. LAYER: whiteouts count. */
int cv_source_apply_tar(struct cv_source *s, struct cv_input *in, bool layer, bool need_end,
                        struct cv_error *err) CV_NODISCARD;
/* N bytes of IN into the spool; *FROM is where they begin there. */
int cv_source_spool(struct cv_source *s, struct cv_input *in, uint64_t n, uint64_t *from,
                    struct cv_error *err) CV_NODISCARD;
/* N bytes at P to the spool's end. */
int cv_source_spool_bytes(struct cv_source *s, const void *p, size_t n,
                          struct cv_error *err) CV_NODISCARD;
/* All that STREAM gives, in a file without a name: *FD, which belongs to S, *SIZE. */
int cv_source_keep_stream(struct cv_source *s, int stream, int *fd, uint64_t *size,
                          struct cv_error *err) CV_NODISCARD;
int cv_source_read_folder(struct cv_source *s, int dir, struct cv_error *err) CV_NODISCARD;

/* Where a container's files are: in an archive or under a folder. */
struct cv_member {
    char *name;
    char *link; /* a link to another member, or NULL */
    uint64_t offset, size;
};
struct cv_store {
    int fd; /* the archive or the folder, borrowed */
    bool folder;
    struct cv_member *members;
    size_t count, cap;
};
void cv_store_free(struct cv_store *st);
/* Finds NAME: *FD, *OFFSET, *SIZE. A descriptor that had to be opened belongs
 * to S. CV_ERR_NOT_FOUND. */
int cv_store_find(struct cv_source *s, struct cv_store *st, const char *name, int *fd,
                  uint64_t *offset, uint64_t *size, struct cv_error *err) CV_NODISCARD;
bool cv_store_has(struct cv_source *s, struct cv_store *st, const char *name);
/* The whole of a small JSON member. DIGEST, when not NULL: "sha256:…" that it
 * must have. SIZE, when not 0: bytes that it must have. */
int cv_store_json(struct cv_source *s, struct cv_store *st, const char *name, const char *digest,
                  uint64_t size, json_t **out, struct cv_error *err) CV_NODISCARD;
/* A container image from ST into the tree. */
int cv_source_read_container(struct cv_source *s, struct cv_store *st,
                             struct cv_error *err) CV_NODISCARD;

/* What a manifest says, whichever kind it is. */
struct cv_layer {
    char *member;       /* name in the store */
    const char *digest; /* of the blob, NULL when only the content's is known */
    const char *diff;   /* of the unpacked tar */
    uint64_t size;      /* of the blob, 0 when not told */
};
struct cv_image {
    json_t *manifest, *config; /* owned */
    char *config_digest;       /* "sha256:…" */
    char *name;                /* repository and tag, or NULL */
    struct cv_layer *layers;
    size_t count;
};
void cv_image_free(struct cv_image *image);
/* docker save: manifest.json. */
int cv_image_read_docker(struct cv_source *s, struct cv_store *st, struct cv_image *image,
                         struct cv_error *err) CV_NODISCARD;
/* OCI: index.json. */
int cv_image_read_oci(struct cv_source *s, struct cv_store *st, struct cv_image *image,
                      struct cv_error *err) CV_NODISCARD;
/* Fills image->layers[].diff from the configuration, which must tell as many. */
int cv_image_take_diffs(struct cv_image *image, struct cv_error *err) CV_NODISCARD;

#endif
