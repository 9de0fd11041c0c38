/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: signatory.yaml as it stands, plus keys of our own.
 *
 * docs/configuration.md lists every key. Each value may hold $VAR or ${VAR}.
 * All problems are found in one pass and told with line and column; nothing
 * that is written there is ignored in silence.
 */
#ifndef CV_SIGNER_CONFIG_H
#define CV_SIGNER_CONFIG_H

#include "common/secret.h"
#include "signer/names.h"
#include "tezos/keytext.h"
#include "transport/addr.h"
#include "yaml/yaml.h"

#define CV_CONFIG_DEFAULT_BASE_DIR "/var/lib/signatory"
#define CV_CONFIG_DEFAULT_ADDRESS ":6732"
#define CV_CONFIG_DEFAULT_UTILITY ":9583"
#define CV_CONFIG_DEFAULT_CONNECTIONS 8192
#define CV_CONFIG_DEFAULT_BODY (1024u * 1024) /* JSON text of hex: half of it is message */
#define CV_CONFIG_DEFAULT_IDLE 75
#define CV_CONFIG_DEFAULT_REQUEST 30
#define CV_CONFIG_DEFAULT_BURST 100
#define CV_CONFIG_DEFAULT_CID 16
#define CV_CONFIG_DEFAULT_ENCLAVE_PORT 2000
#define CV_CONFIG_DEFAULT_PROXY_PORT 8000

/* Public keys in the order of the file. */
struct cv_config_keys {
    struct cv_public_key *key;
    size_t count;
    bool given; /* the setting is there, if only as an empty list */
};

struct cv_config_strings {
    char **item;
    size_t count;
    bool given;
};

/* Credentials as written; what is missing comes from the environment or the
 * instance (aws/credentials.h). */
struct cv_config_credentials {
    bool given;
    char *access_key_id;
    struct cv_secret secret_access_key;
    struct cv_secret session_token;
    char *region;
};

enum cv_config_storage { CV_CONFIG_STORAGE_FILE, CV_CONFIG_STORAGE_AWS };

#define CV_CONFIG_PCRS 32
#define CV_CONFIG_PCR_LEN 48 /* SHA-384 */

/* What an enclave has to be. */
struct cv_config_expected {
    bool given;        /* a register, or an image */
    uint32_t pcr_mask; /* bit N: pcr[N] is expected */
    uint8_t pcr[CV_CONFIG_PCRS][CV_CONFIG_PCR_LEN];
    char *image; /* path of an EIF; NULL */
    char *root;  /* path of the root certificate that is trusted; NULL = AWS's */
};

/* One vault of driver nitro. */
struct cv_config_vault {
    char *name;
    unsigned line, column;
    struct cv_addr enclave; /* vsock:CID:PORT, or what enclave_address says */
    bool cid_defaulted;     /* nobody named a CID: Signatory's 16 is used */
    bool cid_auto;          /* nitro-cli is asked before each connection */
    char *enclave_name;     /* which enclave then; NULL = the one there is */
    char *encryption_key_id;
    /* from credentials, the key's ARN, the environment, the proxy's host; may be "" */
    char *region;
    char *proxy_remote_host; /* NULL = no built-in proxy */
    uint16_t proxy_remote_port;
    struct cv_addr proxy_local; /* where the built-in proxy listens */
    unsigned sealed_version;    /* 1 or 2 */
    bool verify_signatures;     /* each one, though the enclave says what it is about */
    struct cv_config_expected expected;
    struct cv_config_credentials credentials;
    enum cv_config_storage storage;
    char *storage_path;  /* file */
    char *storage_table; /* aws */
    struct cv_config_credentials storage_credentials;
};

enum cv_config_watermark {
    CV_CONFIG_WATERMARK_FILE,
    CV_CONFIG_WATERMARK_MEM,
    CV_CONFIG_WATERMARK_AWS
};

struct cv_config_jwt_credentials {
    struct cv_secret password;
    struct cv_secret secret;
    unsigned expiry_minutes; /* 0 = 60 */
};

struct cv_config_jwt_user {
    char *name;
    struct cv_config_jwt_credentials now;
    bool rotating; /* new_data is given */
    struct cv_config_jwt_credentials next;
    bool has_old_expiry;
    int64_t old_expiry_ms; /* Unix time until which the old ones are good */
};

/* Limits of our own on each manager operation of a batch; mutez. */
struct cv_config_limits {
    bool given;
    bool has_max_fee, has_max_amount;
    uint64_t max_fee, max_amount;
    struct cv_config_strings destinations;
};

/* TLS of the main server, and caps of both; ours. */
struct cv_config_tls {
    char *certificate; /* PEM files; NULL = plain HTTP */
    char *key;
    char *client_ca; /* NULL = no client certificates */
};
struct cv_config_caps {
    uint64_t connections;         /* open at once */
    uint64_t body_bytes;          /* of one request */
    uint64_t idle_seconds;        /* without a byte */
    uint64_t request_seconds;     /* for the whole of a request to arrive */
    uint64_t requests_per_second; /* of one client address; 0 = no limit */
    uint64_t burst;               /* requests that may come at once */
};

/* One key under `tezos`. */
struct cv_config_key {
    struct cv_pkh pkh;
    char text[CV_PKH_TEXT_SIZE];
    unsigned line, column;
    bool default_policy; /* nothing was written: block and (pre)attestation */
    uint32_t requests;   /* 1 << enum cv_request_kind, allowed */
    uint64_t operations; /* 1 << index of cv_operation_names, allowed in generic */
    struct cv_config_strings allowed_chains; /* "Net…", checked */
    bool allow_proof_of_possession;
    bool allow_other_source;
    bool log_payloads;
    struct cv_config_limits limits;
    struct cv_config_keys authorized_keys;
    struct cv_config_strings jwt_users;
    struct cv_config_strings client_certificates; /* SHA-256, 64 hex digits, lower case */
};

struct cv_config {
    char *base_dir;
    struct cv_addr address;
    struct cv_addr utility_address;
    struct cv_config_keys authorized_keys;
    struct cv_config_tls tls;
    struct cv_config_caps caps;
    bool metrics_client_ip; /* label authentication failures with the address */
    struct cv_config_jwt_user *jwt_users;
    size_t jwt_user_count;
    struct cv_config_vault *vaults; /* in the order of the file */
    size_t vault_count;
    enum cv_config_watermark watermark;
    struct cv_config_credentials watermark_credentials;
    char *watermark_table;
    char *policy_hook; /* URL, NULL = none */
    struct cv_config_keys policy_hook_keys;
    char *policy_hook_ca; /* PEM file, NULL = the system's */
    int64_t policy_hook_timeout_ms;
    struct cv_config_key *keys; /* in the order of the file */
    size_t key_count;
};

struct cv_config_options {
    const char *base_dir; /* beats the file's; NULL */
    bool lenient;         /* unknown keys are warnings */
};

/* Both lists are filled; messages begin with the file's name. */
struct cv_config_report {
    struct cv_yaml_problems errors;
    struct cv_yaml_problems warnings;
};

/* Reads PATH ("" = no file, defaults and the environment). 0 with *OUT, or
 * CV_ERR_CONFIG with at least one error in REPORT, CV_ERR_NOMEM. PATH outlives
 * REPORT. */
int cv_config_load(struct cv_config **out, const char *path,
                   const struct cv_config_options *options,
                   struct cv_config_report *report) CV_NODISCARD;
/* The same from text in memory; NAME stands for the file in messages. */
int cv_config_parse(struct cv_config **out, struct cv_bytes text, const char *name,
                    const struct cv_config_options *options,
                    struct cv_config_report *report) CV_NODISCARD;
/* Wipes what is secret; harmless on NULL. Fits CV_CLEANUP. */
void cv_config_free(struct cv_config **config);

/* NULL when there is none of that name. */
/* The CIDs of all vaults' enclaves, at most ROOM: by them the built-in proxies
 * know their clients. 0 when one is not fixed, has no CID, or there are more. */
size_t cv_config_cids(const struct cv_config *config, uint32_t *cids, size_t room);
const struct cv_config_vault *cv_config_vault_find(const struct cv_config *config,
                                                   const char *name);
/* By public key hash; NULL. */
const struct cv_config_key *cv_config_key_find(const struct cv_config *config,
                                               const struct cv_pkh *pkh);

#endif
