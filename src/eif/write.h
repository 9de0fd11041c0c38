/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing an image as a stream: sections one after another into a file
 * without a name, which gets its name only when all of it is on disk. CRC and
 * PCR0 are computed on the way; memory use does not depend on the size.
 */
#ifndef CV_EIF_WRITE_H
#define CV_EIF_WRITE_H

#include <openssl/evp.h>

#include "eif/cpio.h"
#include "eif/measure.h"

/* What AWS's tool writes; nobody reads it. */
#define CV_EIF_DEFAULT_MEM ((uint64_t)1 << 30)
#define CV_EIF_DEFAULT_CPUS 2u

struct cv_eif_writer {
    char path[4096];     /* final name */
    char tmp[4096 + 16]; /* name of the temporary file, "" while it has none */
    int fd;
    uint16_t version, flags;
    uint64_t default_mem, default_cpus;
    unsigned count;
    bool open; /* a section is open */
    struct cv_eif_section sections[CV_EIF_MAX_SECTIONS];
    uint32_t crc;         /* of everything behind the header that is complete */
    uint32_t data_crc;    /* of the open section's data */
    EVP_MD_CTX *measured; /* kernel, cmdline, ramdisks */
    uint8_t *buffer;
    size_t used;
    uint64_t at; /* file offset behind the buffer */
};

/* Begins OUT_PATH (its folder must exist). FLAGS: CV_EIF_FLAG_ARM64 or 0. */
int cv_eif_writer_open(struct cv_eif_writer *w, const char *out_path, uint16_t flags,
                       struct cv_error *err) CV_NODISCARD;
int cv_eif_writer_begin(struct cv_eif_writer *w, enum cv_eif_type type,
                        struct cv_error *err) CV_NODISCARD;
int cv_eif_writer_data(struct cv_eif_writer *w, const void *p, size_t n,
                       struct cv_error *err) CV_NODISCARD;
/* N bytes of FD from OFFSET. */
int cv_eif_writer_copy(struct cv_eif_writer *w, int fd, uint64_t offset, uint64_t n,
                       struct cv_error *err) CV_NODISCARD;
/* Closes the open section. */
int cv_eif_writer_end(struct cv_eif_writer *w, struct cv_error *err) CV_NODISCARD;
/* One section from memory. */
int cv_eif_writer_section(struct cv_eif_writer *w, enum cv_eif_type type, struct cv_bytes data,
                          struct cv_error *err) CV_NODISCARD;
/* PCR0 of what was written so far. */
int cv_eif_writer_pcr0(const struct cv_eif_writer *w, uint8_t pcr0[CV_EIF_PCR_LEN],
                       struct cv_error *err) CV_NODISCARD;
/* A sink that feeds the open section. */
struct cv_sink cv_eif_writer_sink(struct cv_eif_writer *w);
/* Writes the header, syncs, and gives the file its name, replacing what had
 * it. Until then nothing is to be seen. */
int cv_eif_writer_finish(struct cv_eif_writer *w, struct cv_error *err) CV_NODISCARD;
/* Lets go of everything; after cv_eif_writer_finish() the file stays, else
 * nothing is left. Harmless twice. */
void cv_eif_writer_close(struct cv_eif_writer *w);

/* A file without a name in DIR (or one unlinked at once), for data that do not
 * fit into memory. *FD is the caller's. */
int cv_eif_spool_open(int *fd, const char *dir, struct cv_error *err) CV_NODISCARD;
/* The folder part of PATH into DIR ("." without one). */
int cv_eif_dirname(char *dir, size_t size, const char *path) CV_NODISCARD;

#endif
