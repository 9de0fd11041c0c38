/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claviger-local up: the whole of what the daemon needs, in one folder. What
 * the files of it share.
 */
#ifndef CV_LOCAL_UP_H
#define CV_LOCAL_UP_H

#include <sys/types.h>

#include "common/bytes.h"
#include "local/kms_state.h"
#include "local/nsm_standin.h"

#define CV_UP_PATH 4096
#define CV_UP_SETTINGS_MAX 8
#define CV_UP_ROLE "claviger-local"
#define CV_UP_ALIAS "alias/claviger"
#define CV_UP_REGION "us-west-2"
#define CV_UP_ACCOUNT "111122223333"

struct cv_up_options {
    const char *dir;     /* absolute */
    const char *region;  /* NULL = that of the folder, or CV_UP_REGION */
    const char *enclave; /* the signer's program */
    bool has_pcr0;
    uint8_t pcr0[CV_LOCAL_PCR_BYTES];
    bool unpinned, no_restart, accept_image, debug_mode, json_log, background;
    unsigned sealed_version;                  /* 1 or 2; 0 = as the folder has it, 2 in a new one */
    const char *settings[CV_UP_SETTINGS_MAX]; /* further lines of enclave.conf */
    unsigned setting_count;
};

/* What is known once the folder is prepared. */
struct cv_up_plan {
    struct cv_up_options options;
    char region[64];
    char key_arn[CV_LOCAL_KMS_ARN];
    char role_arn[160];
    uint8_t pcr0[CV_LOCAL_PCR_BYTES]; /* as the enclave will measure */
};

/* DIR/NAME into OUT; cut paths are refused when the folder is prepared. */
const char *cv_up_path(char out[CV_UP_PATH], const struct cv_up_plan *plan, const char *name);

/* Makes or completes the folder: kms.json, enclave.conf, signatory.yaml,
 * credentials. What is there already is kept. */
int cv_up_prepare(struct cv_up_plan *plan, const struct cv_up_options *options,
                  struct cv_error *err) CV_NODISCARD;

/* The key policy (JSON, to be freed by the caller): the account root
 * administers; the role may Decrypt and GenerateDataKey from an enclave that
 * measures PCR0, and nothing else. */
char *cv_up_policy_new(const char *account, const char *role_arn, const char *pcr0_hex);
/* POLICY with Encrypt for the role added or taken away, and PCR0_HEX (NULL =
 * none) accepted as well. *OUT NULL when nothing changes. CV_ERR_INVALID when
 * it is not a policy that `up` wrote. */
int cv_up_policy_adjust(char **out, const char *policy, const char *role_arn, bool encrypt,
                        const char *pcr0_hex) CV_NODISCARD;
/* True when POLICY accepts an enclave of PCR0_HEX. */
bool cv_up_policy_accepts(const char *policy, const char *pcr0_hex);

int cv_up_write_enclave_conf(const struct cv_up_plan *plan, struct cv_error *err) CV_NODISCARD;
int cv_up_write_signatory_yaml(const struct cv_up_plan *plan, const struct cv_local_principal *role,
                               struct cv_error *err) CV_NODISCARD;
/* Profiles for AWS's command line: [default] the administrator, [enclave] the role. */
int cv_up_write_credentials(const struct cv_up_plan *plan, const struct cv_local_principal *admin,
                            const struct cv_local_principal *role,
                            struct cv_error *err) CV_NODISCARD;

/* Which process returns from cv_up_background(). */
enum cv_up_side {
    CV_UP_FAILED,  /* the stack did not come up, as ERR or its log, shown, says */
    CV_UP_STARTED, /* the one that called: the stack has said that it is ready */
    CV_UP_SERVES   /* a new one, without a terminal: it is to be the stack */
};

/* Forks. The new process logs to DIR/up.log, and its "ready" goes to the other. */
enum cv_up_side cv_up_background(const char *dir, struct cv_error *err) CV_NODISCARD;

/* Prints "ready"; from then on a stack in the background prints nowhere. */
void cv_up_is_ready(bool background);

/* Takes DIR/up.lock and writes our process id into it. CV_ERR_BUSY when another has it. */
int cv_up_lock(int *lock, const char *dir, struct cv_error *err) CV_NODISCARD;

/* Ends the stack of DIR and waits until it is gone. CV_ERR_NOT_FOUND: there is none. */
int cv_up_stop(const char *dir, struct cv_error *err) CV_NODISCARD;

/* Starts the stand-ins and the enclave, keeps them going, and ends them on
 * SIGTERM or SIGINT. Prints "ready" once all answer. SIGNALS: a signalfd of
 * SIGTERM, SIGINT and SIGCHLD, which are blocked. */
int cv_up_run(const struct cv_up_plan *plan, int signals, struct cv_error *err) CV_NODISCARD;

#endif
