/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claviger-kmstool: KMS from inside an enclave, one call a process, for images
 * that are not ours. It takes kmstool_enclave_cli's flags and prints what that
 * prints, and answers to its name.
 */
#ifndef CV_KMSTOOL_KMSTOOL_H
#define CV_KMSTOOL_KMSTOOL_H

#include "aws/kms.h"
#include "crypto/rsa.h"
#include "nsm/nsm.h"

#define CV_KMSTOOL_CONTEXT_MAX 32 /* pairs of an encryption context */

/* Which command, as a bit, so that a flag can name those that take it. */
enum cv_kmstool_command {
    CV_KMSTOOL_DECRYPT = 1,
    CV_KMSTOOL_GENKEY = 2,
    CV_KMSTOOL_GENRANDOM = 4,
    CV_KMSTOOL_ENCRYPT = 8,
    CV_KMSTOOL_ATTEST = 16,
};
#define CV_KMSTOOL_KMS 15 /* those that talk to KMS */
#define CV_KMSTOOL_ALL 31

struct cv_kmstool_options {
    enum cv_kmstool_command command;
    const char *name; /* of the command */
    bool compatible;  /* called kmstool_enclave_cli: its exit statuses */
    bool json;
    bool verbose;
    const char *region;   /* never NULL after parsing */
    const char *endpoint; /* a URL, or NULL */
    const char *ca_file;  /* or NULL */
    const char *nsm;      /* or NULL */
    struct cv_addr proxy;
    unsigned timeout_s;
    char *access_key_id, *secret_access_key, *session_token; /* in argv: wiped there */
    bool credentials_stdin;
    int credentials_fd; /* -1 = none */
    const char *ciphertext, *ciphertext_file;
    const char *plaintext, *plaintext_file;
    const char *key_id, *encryption_algorithm, *key_spec;
    const char *nonce, *user_data;
    unsigned length;
    struct cv_aws_param context[CV_KMSTOOL_CONTEXT_MAX];
    size_t ncontext;
};

/* -1 to go on, else the exit status. */
int cv_kmstool_parse(struct cv_kmstool_options *o, int argc, char **argv);

/* From the flags, standard input, a descriptor, or the environment; the copies
 * in argv are wiped. */
int cv_kmstool_credentials(struct cv_aws_credentials *out, const struct cv_kmstool_options *o,
                           struct cv_error *err) CV_NODISCARD;
/* Base64 of a flag, or the bytes of a file ("-" = standard input), into secret
 * memory. WHAT names it in errors; at most MAX bytes. */
int cv_kmstool_input(struct cv_secret *out, const char *what, const char *base64, const char *file,
                     size_t max, struct cv_error *err) CV_NODISCARD;

/* What a command found out; empty members are not printed. */
struct cv_kmstool_output {
    struct cv_bytes ciphertext, plaintext, document;
    const char *key_id, *request_id;
};
/* "CIPHERTEXT: …", "PLAINTEXT: …", "DOCUMENT: …" a line each, or one JSON object. */
int cv_kmstool_print(const struct cv_kmstool_options *o, const struct cv_kmstool_output *out,
                     struct cv_error *err) CV_NODISCARD;

/* Runs the command. */
int cv_kmstool_run(const struct cv_kmstool_options *o, struct cv_error *err) CV_NODISCARD;

#endif
