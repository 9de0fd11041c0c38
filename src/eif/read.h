/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enclave image files (EIF): the container, read from a file that may be hostile.
 *
 * Everything is big-endian: a 548-byte header, then sections of a 12-byte
 * header (u16 type, u16 flags, u64 size) and data, without gaps. The header's
 * table of offsets and sizes and the sequence of sections must agree, and the
 * last section must end where the file ends: AWS's tool walks the sequence,
 * others use the table, and nobody must see another image than we measured.
 * Nothing is allocated from an announced size; section data are read with
 * cv_eif_read_at() in pieces. docs/protocol/eif.md
 */
#ifndef CV_EIF_READ_H
#define CV_EIF_READ_H

#include "common/bytes.h"

#define CV_EIF_HEADER_LEN 548u
#define CV_EIF_SECTION_HEADER_LEN 12u
#define CV_EIF_MAX_SECTIONS 32u
#define CV_EIF_CRC_OFFSET 0x220u
#define CV_EIF_MAX_SIGNATURE 32768u    /* bytes, AWS's limit */
#define CV_EIF_MAX_CMDLINE 4096u       /* COMMAND_LINE_SIZE of arm64, twice x86's */
#define CV_EIF_MAX_METADATA (1u << 20) /* DockerInfo takes some KiB */
#define CV_EIF_FLAG_ARM64 0x0001u

enum cv_eif_type {
    CV_EIF_KERNEL = 1,
    CV_EIF_CMDLINE = 2,
    CV_EIF_RAMDISK = 3,
    CV_EIF_SIGNATURE = 4,
    CV_EIF_METADATA = 5,
};

struct cv_eif_section {
    enum cv_eif_type type;
    uint64_t offset; /* of the data, in the file */
    uint64_t size;   /* of the data */
};

struct cv_eif {
    int fd;             /* seekable, ours to close */
    uint64_t file_size; /* when it was opened */
    uint16_t version;   /* 2, 3 or 4 */
    uint16_t flags;     /* CV_EIF_FLAG_ARM64 or 0 */
    uint64_t default_mem, default_cpus;
    uint32_t crc; /* as stored */
    unsigned count;
    struct cv_eif_section sections[CV_EIF_MAX_SECTIONS]; /* in file order */
};

/* Opens PATH and checks everything but the CRC and the signature: magic,
 * version, flags, offsets and sizes against each other and the file, and the
 * rules on sections (one kernel, one cmdline, at least one ramdisk, none of
 * them before the kernel, metadata in version 4, at most one signature).
 * CV_ERR_INVALID, CV_ERR_TRUNCATED, CV_ERR_TRAILING, CV_ERR_LIMIT,
 * CV_ERR_UNSUPPORTED, CV_ERR_NOT_FOUND, CV_ERR_IO. On error EIF holds nothing
 * to close. */
int cv_eif_open(struct cv_eif *eif, const char *path, struct cv_error *err) CV_NODISCARD;
/* The same for an open descriptor of a regular file, which EIF takes over,
 * also on error. */
int cv_eif_open_fd(struct cv_eif *eif, int fd, struct cv_error *err) CV_NODISCARD;
void cv_eif_close(struct cv_eif *eif);

/* First section of TYPE, NULL when there is none. */
const struct cv_eif_section *cv_eif_find(const struct cv_eif *eif, enum cv_eif_type type);
/* "kernel" "cmdline" "ramdisk" "signature" "metadata". */
const char *cv_eif_type_name(enum cv_eif_type type);

/* Exactly N bytes at absolute OFFSET of the file into P. CV_ERR_TRUNCATED when
 * the file has become shorter since it was opened. */
int cv_eif_read_at(const struct cv_eif *eif, uint64_t offset, void *p, size_t n,
                   struct cv_error *err) CV_NODISCARD;
/* The whole of a small section into OUT (emptied first); CV_ERR_LIMIT when it
 * is larger than OUT's limit. */
int cv_eif_read_section(const struct cv_eif *eif, const struct cv_eif_section *section,
                        struct cv_buf *out, struct cv_error *err) CV_NODISCARD;
/* Computes the CRC-32 over header and sections. *GOOD tells whether it is the
 * stored one. Reads the whole file, 64 KiB at a time. */
int cv_eif_check_crc(const struct cv_eif *eif, bool *good, struct cv_error *err) CV_NODISCARD;

#endif
