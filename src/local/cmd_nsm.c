/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local nsm: the NSM stand-in as a process, or for one document. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cbor/cbor.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "local/local.h"
#include "local/nsm_internal.h"

#define PATH_SIZE 4096
#define MAX_FILES 32

const char cv_local_nsm_usage[] =
    "usage: claviger-local nsm --dir DIR [OPTION]...\n"
    "\n"
    "A Nitro Security Module for development, on a UNIX socket. Its attestation\n"
    "documents chain up to a root in DIR (root.pem) that no verifier trusts by default.\n"
    "\n"
    "  --dir DIR            state directory; holds root.pem and root.key\n"
    "  --socket PATH        where to listen (default DIR/nsm.sock)\n"
    "  --measure FILE       may be repeated: PCR0 measures all these files in order,\n"
    "                       PCR1 the first, PCR2 the others, as SHA384(0^48 || SHA384(content))\n"
    "  --pcr0 HEX           value of PCR0 (96 hex digits), beats --measure\n"
    "  --pcr N=HEX          value of register N, may be repeated\n"
    "  --role-arn ARN       PCR3 = SHA384(0^48 || ARN)\n"
    "  --instance-id ID     PCR4 = SHA384(0^48 || ID)\n"
    "  --module-id ID       default: the instance id with -enc and 16 hex digits\n"
    "  --region NAME        region in the certificates' names (default local-1)\n"
    "  --debug-mode         PCR0, 1, 2 and 8 are zeros, as for enclaves in debug mode\n"
    "  --indefinite         payload as an indefinite-length map, as newer NSMs write it\n"
    "  --tagged             documents with COSE tag 18\n"
    "  --fault NAME         an NSM that is not sound, to test refusals: no-entropy, short-entropy,\n"
    "                       constant-entropy, repeated-entropy, no-random, no-documents,\n"
    "                       no-recipients, refuses, garbage\n"
    "  --document FILE      write one document to FILE ('-' = standard output) and leave;\n"
    "                       with --user-data HEX, --nonce HEX, --public-key FILE (DER)\n"
    "\n"
    "Prints 'ready' on standard output once it listens; ends on SIGTERM or SIGINT.\n"
    "example: claviger-local nsm --dir /tmp/nsm --measure build/bin/claviger-enclave-dev\n";

struct options {
    struct cv_local_nsm_config config;
    const char *dir;
    const char *socket;
    const char *files[MAX_FILES];
    size_t file_count;
    const char *document;
    struct cv_buf user_data, nonce;
    bool has_user_data, has_nonce;
    const char *public_key;
};

static int usage_error(const char *text, const char *what)
{
    fprintf(stderr, "claviger-local nsm: %s%s%s\n(claviger-local nsm --help shows the options)\n",
            text, what != NULL ? ": " : "", what != NULL ? what : "");
    return 2;
}

static bool set_pcr(struct cv_local_nsm_config *config, unsigned index, const char *hex)
{
    size_t n = 0;

    if (index >= CV_LOCAL_PCRS ||
        cv_hex_decode(config->pcr[index], CV_LOCAL_PCR_BYTES, &n, cv_bytes_str(hex)) != 0 ||
        n != CV_LOCAL_PCR_BYTES)
        return false;
    config->pcr_mask |= UINT32_C(1) << index;
    return true;
}

/* "N=HEX" */
static bool set_pcr_pair(struct cv_local_nsm_config *config, const char *text)
{
    char *end = NULL;

    errno = 0;
    unsigned long index = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '=' || text[0] < '0' || text[0] > '9' ||
        index >= CV_LOCAL_PCRS)
        return false;
    return set_pcr(config, (unsigned)index, end + 1);
}

static bool set_hex(struct cv_buf *buf, bool *has, const char *hex)
{
    uint8_t bytes[CV_LOCAL_NSM_REQUEST_MAX];
    size_t n = 0;

    *has = true;
    return cv_hex_decode(bytes, sizeof bytes, &n, cv_bytes_str(hex)) == 0 &&
           cv_buf_append(buf, bytes, n) == 0;
}

enum {
    O_DIR = 256,
    O_SOCKET,
    O_MEASURE,
    O_PCR0,
    O_PCR,
    O_ROLE,
    O_INSTANCE,
    O_MODULE,
    O_REGION,
    O_DEBUG,
    O_INDEFINITE,
    O_TAGGED,
    O_FAULT,
    O_NO_ENTROPY,
    O_DOCUMENT,
    O_USER_DATA,
    O_NONCE,
    O_PUBLIC_KEY
};

static const struct option long_options[] = {
    {"dir", required_argument, NULL, O_DIR},
    {"socket", required_argument, NULL, O_SOCKET},
    {"measure", required_argument, NULL, O_MEASURE},
    {"pcr0", required_argument, NULL, O_PCR0},
    {"pcr", required_argument, NULL, O_PCR},
    {"role-arn", required_argument, NULL, O_ROLE},
    {"instance-id", required_argument, NULL, O_INSTANCE},
    {"module-id", required_argument, NULL, O_MODULE},
    {"region", required_argument, NULL, O_REGION},
    {"debug-mode", no_argument, NULL, O_DEBUG},
    {"indefinite", no_argument, NULL, O_INDEFINITE},
    {"tagged", no_argument, NULL, O_TAGGED},
    {"fault", required_argument, NULL, O_FAULT},
    {"no-entropy", no_argument, NULL, O_NO_ENTROPY},
    {"document", required_argument, NULL, O_DOCUMENT},
    {"user-data", required_argument, NULL, O_USER_DATA},
    {"nonce", required_argument, NULL, O_NONCE},
    {"public-key", required_argument, NULL, O_PUBLIC_KEY},
    {NULL, 0, NULL, 0},
};

/* 0, or the exit status of a usage error. */
static int take_option(struct options *o, int c)
{
    switch (c) {
    case O_DIR:
        o->dir = optarg;
        break;
    case O_SOCKET:
        o->socket = optarg;
        break;
    case O_MEASURE:
        if (o->file_count == MAX_FILES)
            return usage_error("too many files to measure", NULL);
        o->files[o->file_count++] = optarg;
        break;
    case O_PCR0:
        if (!set_pcr(&o->config, 0, optarg))
            return usage_error("--pcr0 wants 96 hex digits", optarg);
        break;
    case O_PCR:
        if (!set_pcr_pair(&o->config, optarg))
            return usage_error("--pcr wants N=HEX with N from 0 to 31 and 96 hex digits", optarg);
        break;
    case O_ROLE:
        o->config.role_arn = optarg;
        break;
    case O_INSTANCE:
        o->config.instance_id = optarg;
        break;
    case O_MODULE:
        o->config.module_id = optarg;
        break;
    case O_REGION:
        o->config.region = optarg;
        break;
    case O_DEBUG:
        o->config.debug_mode = true;
        break;
    case O_INDEFINITE:
        o->config.indefinite = true;
        break;
    case O_TAGGED:
        o->config.tagged = true;
        break;
    case O_NO_ENTROPY:
        o->config.fault = CV_LOCAL_NSM_NO_ENTROPY;
        break;
    case O_FAULT:
        if (!cv_local_nsm_fault_find(&o->config.fault, optarg))
            return usage_error("--fault: there is no such fault", optarg);
        break;
    case O_DOCUMENT:
        o->document = optarg;
        break;
    case O_USER_DATA:
        if (!set_hex(&o->user_data, &o->has_user_data, optarg))
            return usage_error("--user-data wants hex digits", optarg);
        break;
    case O_NONCE:
        if (!set_hex(&o->nonce, &o->has_nonce, optarg))
            return usage_error("--nonce wants hex digits", optarg);
        break;
    case O_PUBLIC_KEY:
        o->public_key = optarg;
        break;
    default:
        return usage_error("unknown option, or one without its value", NULL);
    }
    return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
    int c;

    optind = 1;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        int status = take_option(o, c);
        if (status != 0)
            return status;
    }
    if (optind != argc)
        return usage_error("takes no operands", argv[optind]);
    if (o->dir == NULL)
        return usage_error("--dir DIR is needed", NULL);
    return 0;
}

static int measure(struct options *o, struct cv_error *err)
{
    const struct {
        unsigned index;
        size_t first, count;
    } registers[] = {
        {0, 0, o->file_count},
        {1, 0, 1},
        {2, 1, o->file_count - 1},
    };

    for (size_t i = 0; o->file_count > 0 && i < 3; i++) {
        unsigned index = registers[i].index;
        if (o->config.pcr_mask >> index & 1)
            continue;
        int rc = cv_local_measure(o->config.pcr[index], o->files + registers[i].first,
                                  registers[i].count, err);
        if (rc != 0)
            return rc;
        o->config.pcr_mask |= UINT32_C(1) << index;
    }
    return 0;
}

/* One Attestation request, its document to a file. */
static int write_document(const struct options *o, struct cv_local_nsm *nsm, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf key;
    uint8_t bytes[CV_LOCAL_NSM_RESPONSE_MAX];
    struct cv_local_nsm_request req = {.op = CV_LOCAL_ATTESTATION};
    struct cv_writer w;
    int rc = 0;

    cv_buf_init(&key, CV_LOCAL_NSM_FIELD_MAX);
    if (o->public_key != NULL && (rc = cv_file_read(&key, o->public_key, err)) != 0)
        return rc;
    if (o->has_user_data)
        req.user_data = CV_BYTES(o->user_data.n > 0 ? o->user_data.p : bytes, o->user_data.n);
    if (o->has_nonce)
        req.nonce = CV_BYTES(o->nonce.n > 0 ? o->nonce.p : bytes, o->nonce.n);
    if (o->public_key != NULL)
        req.public_key = cv_buf_view(&key);
    if (req.user_data.n > CV_LOCAL_NSM_FIELD_MAX || req.nonce.n > CV_LOCAL_NSM_FIELD_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "a field of a document has at most %d bytes",
                            CV_LOCAL_NSM_FIELD_MAX);
    cv_writer_init(&w, bytes, sizeof bytes);
    rc = cv_local_nsm_document(nsm, &req, &w, err);
    if (rc != 0)
        return rc;
    if (strcmp(o->document, "-") != 0)
        return cv_file_replace(o->document, cv_writer_view(&w), 0644, err);
    rc = cv_fd_write_all(STDOUT_FILENO, bytes, w.n);
    return rc == 0 ? 0 : cv_error_errno(err, rc, errno, "writing to standard output");
}

static void say_ready(void *ctx)
{
    cv_log(CV_LOG_INFO, "NSM stand-in listens", "socket", (const char *)ctx, NULL);
    puts("ready");
    fflush(stdout);
}

static int stop_signals(struct cv_error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        cv_error_errno(err, CV_ERR_IO, errno, "waiting for signals");
    return fd;
}

static void warn_zero(struct cv_local_nsm *nsm)
{
    static const uint8_t zeros[CV_LOCAL_PCR_BYTES];
    uint8_t pcr0[CV_LOCAL_PCR_BYTES];

    cv_local_nsm_pcr(nsm, 0, pcr0);
    if (memcmp(pcr0, zeros, sizeof zeros) == 0)
        cv_log(CV_LOG_WARN, "PCR0 is all zeros: verifiers take this for an enclave in debug mode",
               NULL);
}

static int serve(const struct options *o, struct cv_local_nsm *nsm, struct cv_error *err)
{
    char path[PATH_SIZE];

    const char *given = o->socket;
    if (given != NULL && strncmp(given, "unix:", 5) == 0)
        given += 5;
    if (given == NULL ? cv_path_join(path, sizeof path, o->dir, "nsm.sock") != 0
                      : (size_t)snprintf(path, sizeof path, "%s", given) >= sizeof path)
        return cv_error_set(err, CV_ERR_LIMIT, "the path of the socket is too long");
    int stop_fd = stop_signals(err);
    if (stop_fd < 0)
        return CV_ERR_IO;
    warn_zero(nsm);
    int rc = cv_local_nsm_serve(nsm, path, stop_fd, say_ready, path, err);
    close(stop_fd);
    return rc;
}

static int run(struct options *o, struct cv_error *err)
{
    struct cv_local_pki *pki = NULL;
    struct cv_local_nsm *nsm = NULL;
    int rc;

    if ((rc = measure(o, err)) == 0 && (rc = cv_local_pki_open(&pki, o->dir, err)) == 0 &&
        (rc = cv_local_nsm_new(&nsm, &o->config, pki, err)) == 0)
        rc = o->document != NULL ? write_document(o, nsm, err) : serve(o, nsm, err);
    cv_local_nsm_free(nsm);
    cv_local_pki_close(pki);
    return rc;
}

int cv_local_cmd_nsm(int argc, char **argv)
{
    struct options *o = calloc(1, sizeof *o);
    struct cv_error err;

    if (o == NULL)
        return 1;
    cv_error_clear(&err);
    cv_buf_init(&o->user_data, CV_LOCAL_NSM_REQUEST_MAX);
    cv_buf_init(&o->nonce, CV_LOCAL_NSM_REQUEST_MAX);
    int status = parse(o, argc, argv);
    if (status == 0 && run(o, &err) != 0) {
        char text[1024];
        fprintf(stderr, "claviger-local nsm: %s\n", cv_error_format(text, sizeof text, &err));
        status = 1;
    }
    cv_buf_free(&o->user_data);
    cv_buf_free(&o->nonce);
    free(o);
    return status;
}
