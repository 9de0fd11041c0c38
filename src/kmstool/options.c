/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: kmstool_enclave_cli's flags and ours. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmstool/build.h"
#include "kmstool/kmstool.h"

#define DEFAULT_REGION "us-east-1" /* kmstool_enclave_cli's */
#define DEFAULT_CID 3              /* the parent instance */
#define DEFAULT_PORT 8000
#define DEFAULT_TIMEOUT 30

static const char help_text[] =
    "usage: %s COMMAND [OPTION]...\n"
    "\n"
    "Calls AWS KMS from inside a Nitro Enclave. What KMS returns is encrypted for an RSA\n"
    "key of this process, whose public half stands in the attestation document that goes\n"
    "with the request.\n"
    "\n"
    "  decrypt    --ciphertext BASE64 | --ciphertext-file FILE, [--key-id ID]\n"
    "             [--encryption-algorithm NAME]\n"
    "  genkey     --key-id ID --key-spec AES-256|AES-128\n"
    "  genrandom  --length 1..1024\n"
    "  encrypt    --key-id ID --plaintext-file FILE | --plaintext BASE64\n"
    "             (KMS sees the plaintext, and TLS ends inside this enclave)\n"
    "  attest     [--nonce BASE64] [--user-data BASE64]\n"
    "\n"
    "Where and who:\n"
    "  --region NAME                 default: AWS_REGION, AWS_DEFAULT_REGION, us-east-1\n"
    "  --proxy-port N, --proxy-cid N port and CID of the vsock proxy (8000, 3)\n"
    "  --proxy ADDRESS               the same as vsock:CID:PORT, or unix:PATH\n"
    "  --endpoint URL                instead of https://kms.REGION.amazonaws.com\n"
    "  --ca-file FILE                default: AWS_CA_BUNDLE, the image's own bundle\n"
    "  --credentials-stdin           JSON as IMDS gives it on standard input\n"
    "  --credentials-fd N            the same on an open descriptor\n"
    "                                default: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,\n"
    "                                AWS_SESSION_TOKEN\n"
    "  --aws-access-key-id ID, --aws-secret-access-key KEY, --aws-session-token TOKEN\n"
    "                                as kmstool_enclave_cli; other processes can read them\n"
    "\n"
    "Others:\n"
    "  --encryption-context NAME=VALUE  may be repeated; for decrypt, encrypt, genkey\n"
    "  --timeout SECONDS             for everything (30)\n"
    "  --nsm PATH                    default /dev/nsm\n"
    "  --json                        one JSON object instead of lines\n"
    "  --verbose                     say what is done\n"
    "  --version, --help\n"
    "\n"
    "Exit status: 0, 1 for a failure, 2 for wrong usage; under the name\n"
    "kmstool_enclave_cli 255 and 1, as there.\n"
    "\n"
    "Example: claviger-kmstool decrypt --credentials-stdin --ciphertext-file key.bin < "
    "creds.json\n";

enum {
    REGION = 256,
    PROXY_PORT,
    PROXY_CID,
    PROXY,
    ENDPOINT,
    CA_FILE,
    CRED_STDIN,
    CRED_FD,
    ACCESS_KEY,
    SECRET_KEY,
    TOKEN,
    CIPHERTEXT,
    CIPHERTEXT_FILE,
    PLAINTEXT,
    PLAINTEXT_FILE,
    KEY_ID,
    ALGORITHM,
    KEY_SPEC,
    LENGTH,
    CONTEXT,
    NONCE,
    USER_DATA,
    TIMEOUT,
    NSM,
    JSON,
    VERBOSE,
    VERSION,
    HELP,
};

static const struct option flags[] = {
    {"region", required_argument, NULL, REGION},
    {"proxy-port", required_argument, NULL, PROXY_PORT},
    {"proxy-cid", required_argument, NULL, PROXY_CID},
    {"proxy", required_argument, NULL, PROXY},
    {"endpoint", required_argument, NULL, ENDPOINT},
    {"ca-file", required_argument, NULL, CA_FILE},
    {"credentials-stdin", no_argument, NULL, CRED_STDIN},
    {"credentials-fd", required_argument, NULL, CRED_FD},
    {"aws-access-key-id", required_argument, NULL, ACCESS_KEY},
    {"aws-secret-access-key", required_argument, NULL, SECRET_KEY},
    {"aws-session-token", required_argument, NULL, TOKEN},
    {"ciphertext", required_argument, NULL, CIPHERTEXT},
    {"ciphertext-file", required_argument, NULL, CIPHERTEXT_FILE},
    {"plaintext", required_argument, NULL, PLAINTEXT},
    {"plaintext-file", required_argument, NULL, PLAINTEXT_FILE},
    {"key-id", required_argument, NULL, KEY_ID},
    {"encryption-algorithm", required_argument, NULL, ALGORITHM},
    {"key-spec", required_argument, NULL, KEY_SPEC},
    {"length", required_argument, NULL, LENGTH},
    {"encryption-context", required_argument, NULL, CONTEXT},
    {"nonce", required_argument, NULL, NONCE},
    {"user-data", required_argument, NULL, USER_DATA},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"nsm", required_argument, NULL, NSM},
    {"json", no_argument, NULL, JSON},
    {"verbose", no_argument, NULL, VERBOSE},
    {"version", no_argument, NULL, VERSION},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

/* Which commands take a flag; 0 stands for all. */
static int commands_of(int flag)
{
    switch (flag) {
    case CIPHERTEXT:
    case CIPHERTEXT_FILE:
        return CV_KMSTOOL_DECRYPT;
    case ALGORITHM:
        return CV_KMSTOOL_DECRYPT;
    case PLAINTEXT:
    case PLAINTEXT_FILE:
        return CV_KMSTOOL_ENCRYPT;
    case KEY_ID:
        return CV_KMSTOOL_DECRYPT | CV_KMSTOOL_ENCRYPT | CV_KMSTOOL_GENKEY;
    case KEY_SPEC:
        return CV_KMSTOOL_GENKEY;
    case LENGTH:
        return CV_KMSTOOL_GENRANDOM;
    case CONTEXT:
        return CV_KMSTOOL_DECRYPT | CV_KMSTOOL_ENCRYPT | CV_KMSTOOL_GENKEY;
    case NONCE:
    case USER_DATA:
        return CV_KMSTOOL_ATTEST;
    case NSM:
    case JSON:
    case VERBOSE:
    case VERSION:
    case HELP:
        return CV_KMSTOOL_ALL;
    default:
        return CV_KMSTOOL_KMS;
    }
}

static int usage(const struct cv_kmstool_options *o, const char *fmt, ...) CV_PRINTF(2, 3);

static int usage(const struct cv_kmstool_options *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("Error: ", stderr);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs("\nSee --help.\n", stderr);
    return o->compatible ? 1 : 2;
}

static bool number(unsigned *out, const char *text, unsigned min, unsigned max)
{
    size_t n = strlen(text);
    if (n == 0 || n > 10 || strspn(text, "0123456789") != n)
        return false;
    unsigned long long v = strtoull(text, NULL, 10);
    if (v < min || v > max)
        return false;
    *out = (unsigned)v;
    return true;
}

static bool find_command(struct cv_kmstool_options *o, const char *name)
{
    static const struct {
        const char *name;
        enum cv_kmstool_command command;
    } table[] = {
        {"decrypt", CV_KMSTOOL_DECRYPT},     {"genkey", CV_KMSTOOL_GENKEY},
        {"genrandom", CV_KMSTOOL_GENRANDOM}, {"encrypt", CV_KMSTOOL_ENCRYPT},
        {"attest", CV_KMSTOOL_ATTEST},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0) {
            o->command = table[i].command;
            o->name = table[i].name;
            return true;
        }
    return false;
}

static int add_context(struct cv_kmstool_options *o, char *text)
{
    char *eq = strchr(text, '=');
    if (eq == NULL || eq == text)
        return usage(o, "--encryption-context wants NAME=VALUE");
    if (o->ncontext == CV_KMSTOOL_CONTEXT_MAX)
        return usage(o, "more than %d pairs of --encryption-context", CV_KMSTOOL_CONTEXT_MAX);
    *eq = '\0';
    o->context[o->ncontext++] = (struct cv_aws_param){text, eq + 1};
    return -1;
}

/* Where the text of FLAG goes; NULL when it is no text that is taken as it stands. */
static const char **text_of(struct cv_kmstool_options *o, int flag)
{
    switch (flag) {
    case REGION:
        return &o->region;
    case ENDPOINT:
        return &o->endpoint;
    case CA_FILE:
        return &o->ca_file;
    case NSM:
        return &o->nsm;
    case CIPHERTEXT:
        return &o->ciphertext;
    case CIPHERTEXT_FILE:
        return &o->ciphertext_file;
    case PLAINTEXT:
        return &o->plaintext;
    case PLAINTEXT_FILE:
        return &o->plaintext_file;
    case KEY_ID:
        return &o->key_id;
    case ALGORITHM:
        return &o->encryption_algorithm;
    case KEY_SPEC:
        return &o->key_spec;
    case NONCE:
        return &o->nonce;
    case USER_DATA:
        return &o->user_data;
    default:
        return NULL;
    }
}

/* -1, or the exit status when VALUE is not what FLAG wants. */
static int take(struct cv_kmstool_options *o, int flag, char *value)
{
    struct cv_error err;
    unsigned fd;
    cv_error_clear(&err);
    const char **text = text_of(o, flag);
    if (text != NULL) {
        *text = value;
        return -1;
    }
    switch (flag) {
    case ACCESS_KEY:
        o->access_key_id = value;
        break;
    case SECRET_KEY:
        o->secret_access_key = value;
        break;
    case TOKEN:
        o->session_token = value;
        break;
    case CRED_STDIN:
        o->credentials_stdin = true;
        break;
    case JSON:
        o->json = true;
        break;
    case VERBOSE:
        o->verbose = true;
        break;
    case CONTEXT:
        return add_context(o, value);
    case PROXY:
        if (cv_addr_parse(&o->proxy, value, &err) != 0)
            return usage(o, "--proxy: %s", cv_error_top(&err));
        break;
    case PROXY_PORT:
        if (!number(&o->proxy.port, value, 0, UINT32_MAX))
            return usage(o, "--proxy-port wants a vsock port");
        break;
    case PROXY_CID:
        if (!number(&o->proxy.cid, value, 0, UINT32_MAX))
            return usage(o, "--proxy-cid wants a CID");
        break;
    case CRED_FD:
        if (!number(&fd, value, 0, 1 << 20))
            return usage(o, "--credentials-fd wants the number of an open descriptor");
        o->credentials_fd = (int)fd;
        break;
    case LENGTH:
        if (!number(&o->length, value, 1, CV_KMS_RANDOM_MAX))
            return usage(o, "--length is a number from 1 to %d", CV_KMS_RANDOM_MAX);
        break;
    case TIMEOUT:
        if (!number(&o->timeout_s, value, 1, 3600))
            return usage(o, "--timeout is a number of seconds from 1 to 3600");
        break;
    default:
        return usage(o, "an unknown option");
    }
    return -1;
}

/* What each command cannot do without. */
static int check(const struct cv_kmstool_options *o)
{
    switch (o->command) {
    case CV_KMSTOOL_DECRYPT:
        if ((o->ciphertext == NULL) == (o->ciphertext_file == NULL))
            return usage(o, "decrypt wants --ciphertext or --ciphertext-file");
        if (o->encryption_algorithm != NULL && o->key_id == NULL)
            return usage(o, "--encryption-algorithm wants --key-id too");
        break;
    case CV_KMSTOOL_GENKEY:
        if (o->key_id == NULL || o->key_spec == NULL)
            return usage(o, "genkey wants --key-id and --key-spec");
        if (strcmp(o->key_spec, "AES-256") != 0 && strcmp(o->key_spec, "AES_256") != 0 &&
            strcmp(o->key_spec, "AES-128") != 0 && strcmp(o->key_spec, "AES_128") != 0)
            return usage(o, "--key-spec is AES-256 or AES-128");
        break;
    case CV_KMSTOOL_GENRANDOM:
        if (o->length == 0)
            return usage(o, "genrandom wants --length");
        break;
    case CV_KMSTOOL_ENCRYPT:
        if (o->key_id == NULL || (o->plaintext == NULL) == (o->plaintext_file == NULL))
            return usage(o, "encrypt wants --key-id, and --plaintext or --plaintext-file");
        break;
    case CV_KMSTOOL_ATTEST:
        break;
    }
    if (!cv_aws_region_valid(o->region))
        return usage(o, "--region: this is no AWS region");
    if ((o->access_key_id == NULL) != (o->secret_access_key == NULL))
        return usage(o, "--aws-access-key-id and --aws-secret-access-key go together");
    return -1;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && *v != '\0' ? v : NULL;
}

static void defaults(struct cv_kmstool_options *o)
{
    if (o->region == NULL)
        o->region = env("AWS_REGION");
    if (o->region == NULL)
        o->region = env("AWS_DEFAULT_REGION");
    if (o->region == NULL)
        o->region = DEFAULT_REGION;
    if (o->ca_file == NULL)
        o->ca_file = env("AWS_CA_BUNDLE");
}

static int say(int rc, const char *program, int flag)
{
    if (flag == VERSION)
        printf("claviger-kmstool %s (%s build)\n", CV_VERSION, cv_kmstool_build.name);
    else
        printf(help_text, program);
    return fflush(stdout) == 0 ? rc : 1;
}

int cv_kmstool_parse(struct cv_kmstool_options *o, int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *program = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "claviger-kmstool";
    int flag, rc = -1;
    *o = (struct cv_kmstool_options){
        .proxy = {.kind = CV_ADDR_VSOCK, .cid = DEFAULT_CID, .port = DEFAULT_PORT},
        .timeout_s = DEFAULT_TIMEOUT,
        .credentials_fd = -1,
        .compatible = strcmp(program, "kmstool_enclave_cli") == 0,
    };
    const char *first = argc > 1 ? argv[1] : "";
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return say(o->compatible ? 1 : 0, program, HELP);
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0)
        return say(o->compatible ? 1 : 0, program, VERSION);
    if (argc < 2)
        return usage(o, "a command is missing: decrypt, genkey, genrandom, encrypt or attest");
    if (!find_command(o, argv[1]))
        return usage(o, "there is no such command: decrypt, genkey, genrandom, encrypt or attest");
    argc--;
    argv++;
    opterr = 0;
    while (rc == -1 && (flag = getopt_long(argc, argv, ":hV", flags, NULL)) != -1) {
        if (flag == 'h' || flag == HELP)
            return say(o->compatible ? 1 : 0, program, HELP);
        if (flag == 'V' || flag == VERSION)
            return say(o->compatible ? 1 : 0, program, VERSION);
        if (flag == ':' || flag == '?')
            return usage(o, flag == ':' ? "an option has no value" : "an unknown option");
        if ((commands_of(flag) & (int)o->command) == 0)
            return usage(o, "%s takes no such option", o->name);
        rc = take(o, flag, optarg);
    }
    if (rc == -1 && optind < argc)
        return usage(o, "an argument that no option wants");
    defaults(o);
    return rc == -1 ? check(o) : rc;
}
