/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of claviger-init: what the image decides about the application
 * and its boot-time secrets. They are part of the image, hence measured;
 * "claviger eif build" writes them from enclave.yaml and the container's
 * configuration, the init reads them. docs/protocol/measured-settings.md
 *
 * Text, one "key=value" a line, in the order of the table in that page. In
 * values a backslash is "\\", a newline "\n", any other control character
 * "\xHH". There is one way to write given settings, and the reader takes no
 * other order, but it needs no more than lines.
 */
#ifndef CV_SETTINGS_BOOT_H
#define CV_SETTINGS_BOOT_H

#include "common/bytes.h"

#define CV_BOOT_FILE "claviger/boot.conf" /* in the second ramdisk, beside rootfs/ */
#define CV_BOOT_CA_FILE "claviger/ca.pem" /* beside it: roots of TLS, instead of the rootfs's */
#define CV_BOOT_FORMAT "1"
#define CV_BOOT_MAX_TEXT (1u << 20) /* bytes of the file */
#define CV_BOOT_MAX_ITEMS 4096u     /* of one list */
#define CV_BOOT_MAX_SOURCES 16u
#define CV_BOOT_DEFAULT_DEADLINE_MS 120000u
#define CV_BOOT_PARENT_CID 3u
#define CV_BOOT_MINIMUM_FORMAT 2u
#define CV_BOOT_CONFIG_PCR 16u /* the first register that is the enclave's own */

struct cv_boot_list {
    char **item; /* NUL-terminated, owned */
    size_t count;
};

enum cv_boot_source_type { CV_BOOT_S3, CV_BOOT_LOCAL };

/* Where an encrypted configuration comes from, and what it may set. */
struct cv_boot_source {
    enum cv_boot_source_type type;
    char *location;                 /* s3://bucket/key, or the name of a file at the parent */
    struct cv_boot_list allow_env;  /* names; a last "*" stands for any rest */
    struct cv_boot_list allow_path; /* paths; a last component "*" for all below */
};

struct cv_boot_settings {
    struct cv_boot_list argv;   /* the application's whole command line */
    struct cv_boot_list env;    /* NAME=value: the image's, then enclave.yaml's over it */
    char *user;                 /* USER of the image: name or uid[:group or gid], or NULL */
    char *workdir;              /* absolute, or NULL for / */
    char *hostname;             /* or NULL */
    char *stop_signal;          /* "SIGTERM" or a number, or NULL */
    struct cv_boot_list ports;  /* "LISTEN" or "LISTEN:TARGET": vsock port, port inside */
    struct cv_boot_list egress; /* "HOST:PORT" the application may reach */
    struct cv_boot_source source[CV_BOOT_MAX_SOURCES];
    size_t source_count;
    struct cv_boot_list untrusted_env; /* names that the parent may set */
    struct cv_boot_list cmk;           /* key ARNs that may open the configurations */
    char *region;
    struct cv_boot_list context; /* "key=value" pairs that must be in the encryption context */
    uint64_t minimum_version;    /* of an encrypted configuration; 0 = none */
    char *publisher_key;         /* base64 of a SubjectPublicKeyInfo, or NULL */
    uint64_t parent_cid;         /* 3 */
    uint64_t boot_deadline_ms;   /* 120000 */
    bool allow_debug;
    char *heartbeat; /* what a missing one of nitro-cli's is: "required" (a failure), "off" (it
        is not waited for), or NULL (a warning) */
    uint64_t minimum_format; /* of an encrypted configuration: 2, or 3 for key commitment */
    uint64_t config_pcr;     /* register that says what was applied, 16 to 31; 0 = none */
};

void cv_boot_init(struct cv_boot_settings *s);
void cv_boot_free(struct cv_boot_settings *s);
/* A copy of TEXT to the list's end; CV_ERR_LIMIT, CV_ERR_NOMEM. */
int cv_boot_list_add(struct cv_boot_list *list, const char *text) CV_NODISCARD;
/* Sets NAME=value, replacing one of the same name in its place. */
int cv_boot_env_set(struct cv_boot_list *env, const char *assignment) CV_NODISCARD;
/* A copy of TEXT (NULL: none) in place of *FIELD. */
int cv_boot_text_set(char **field, const char *text) CV_NODISCARD;

/* The canonical text. CV_ERR_INVALID when the settings are not sound. */
int cv_boot_encode(struct cv_buf *out, const struct cv_boot_settings *s,
                   struct cv_error *err) CV_NODISCARD;
/* Reads it; S is initialised here, and freed by the caller also on error. */
int cv_boot_decode(struct cv_boot_settings *s, struct cv_bytes text,
                   struct cv_error *err) CV_NODISCARD;
/* What both check: names, numbers, paths; allow lists where no publisher key
 * stands behind the configuration; a key where there is one. CV_ERR_CONFIG. */
int cv_boot_check(const struct cv_boot_settings *s, struct cv_error *err) CV_NODISCARD;

/* --- Rules (settings/boot_rules.c) --- */

/* A variable's name that a configuration or the parent may set: printable ASCII
 * without space, "=" and "*", at most 255 bytes. */
bool cv_boot_env_name(const char *name, size_t n);
/* True for names that change how programs are found, loaded or interpreted
 * (PATH, LD_*, PYTHON*, NODE_OPTIONS …): they need their own full name in an
 * allow list; no "*" covers them. */
bool cv_boot_env_dangerous(const char *name);
/* May a configuration from SOURCE set the variable NAME? Listed names only;
 * with a publisher key and an empty list, all but the dangerous ones. */
bool cv_boot_allows_env(const struct cv_boot_settings *s, const struct cv_boot_source *source,
                        const char *name);
/* May it write the file PATH? The path must be absolute and plain (no "." or
 * "..", no "//"); /dev, /proc and /sys never. */
bool cv_boot_allows_path(const struct cv_boot_settings *s, const struct cv_boot_source *source,
                         const char *path);
/* May the parent set NAME? Only by its listed name. */
bool cv_boot_allows_untrusted(const struct cv_boot_settings *s, const char *name);
/* Absolute, plain, not the root. */
bool cv_boot_path_plain(const char *path);

#endif
