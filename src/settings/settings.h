/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of the enclave signer. They are part of its image, hence of its
 * measurement: what is decided here the parent instance cannot change.
 *
 * Later sources win: the defaults; the environment of the image (names of
 * tee-signer: PROXY_PORT, PROXY_CID, LISTEN_PORT, ENDPOINT); the settings file
 * (/etc/claviger/enclave.conf, enclave.conf(5)).
 */
#ifndef CV_SETTINGS_SETTINGS_H
#define CV_SETTINGS_SETTINGS_H

#include "settings/arn.h"

#define CV_SETTINGS_FILE "/etc/claviger/enclave.conf"
#define CV_SETTINGS_CMKS 16  /* pinned keys at most */
#define CV_SETTINGS_TEXT 256 /* of a path, an address or an endpoint, with the NUL */

/* What the build of the program is: a development build also takes
 * listen_address, proxy_address, nsm_address, and an endpoint over http. */
enum cv_settings_build { CV_SETTINGS_RELEASE, CV_SETTINGS_DEVELOPMENT };

struct cv_settings {
    char cmk_arn[CV_SETTINGS_CMKS][CV_ARN_MAX]; /* pinned keys */
    size_t cmk_count;                           /* 0 = not pinned */
    char region[CV_REGION_MAX];      /* "" = as Initialize says; that of the pinned keys if any */
    char endpoint[CV_SETTINGS_TEXT]; /* URL of KMS; "" = https://kms.REGION.amazonaws.com */
    char ca_file[CV_SETTINGS_TEXT];  /* PEM roots for KMS; "" = those built in */
    uint32_t parent_cid;             /* of the proxy: 3 */
    uint32_t proxy_port;             /* 8000 */
    uint32_t listen_port;            /* 2000 */
    bool plain_import;               /* take ImportUnencrypted: on */
    bool seal_v1;                    /* may write version 1 blobs: on */
    bool allow_debug;                /* serve in a debug-mode enclave (PCRs are zero): off */
    bool self_check;                 /* compute signatures twice: on */
    /* Development builds only, "unix:PATH", "tcp:HOST:PORT" or "vsock:CID:PORT";
     * "" = from the numbers above. */
    char listen_address[CV_SETTINGS_TEXT];
    char proxy_address[CV_SETTINGS_TEXT];
    char nsm_address[CV_SETTINGS_TEXT];
};

void cv_settings_default(struct cv_settings *s);

/* Overlays the environment. GET is getenv(3) or the like. As in tee-signer, an
 * empty or invalid variable is as good as none. */
void cv_settings_environment(struct cv_settings *s, char *(*get)(const char *name),
                             enum cv_settings_build build);

/* Overlays a settings file's text. Refused, with the line: an unknown key, a
 * key twice (but cmk_arn), a value of the wrong kind, a pinned ARN twice or
 * that is not a key's. Refused at the end: a region that is not that of every
 * pinned key. CV_ERR_CONFIG. On an error *S is not to be used. */
int cv_settings_parse(struct cv_settings *s, struct cv_bytes text, const char *name,
                      enum cv_settings_build build, struct cv_error *err) CV_NODISCARD;

/* All of it: defaults, environment, file. PATH NULL means CV_SETTINGS_FILE,
 * which may be absent; a PATH that was named must exist. */
int cv_settings_load(struct cv_settings *s, const char *path, enum cv_settings_build build,
                     struct cv_error *err) CV_NODISCARD;

/* True when ARN is one of the pinned keys, or none is pinned. */
bool cv_settings_allows_cmk(const struct cv_settings *s, struct cv_bytes arn);

#endif
