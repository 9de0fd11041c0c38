/* SPDX-License-Identifier: Apache-2.0 */
/* What the whole process has. */
#ifndef CV_INIT_INIT_H
#define CV_INIT_INIT_H

#include <sys/types.h>

#include "init/build.h"
#include "init/bundle.h"
#include "init/clock.h"
#include "init/control.h"
#include "init/environment.h"
#include "init/forward.h"
#include "init/logs.h"

enum cv_stage {
    CV_STAGE_START,
    CV_STAGE_CLOCK,
    CV_STAGE_NETWORK,
    CV_STAGE_FETCH,
    CV_STAGE_ATTEST,
    CV_STAGE_DECRYPT,
    CV_STAGE_CHECK,
    CV_STAGE_APPLY,
    CV_STAGE_EXEC,
    CV_STAGES,
};
const char *cv_stage_name(enum cv_stage stage);

#define CV_STAGE_STATUS 64 /* exit status of a failed boot: this and the stage */

struct cv_init {
    struct cv_init_options options;
    struct cv_boot_settings settings;
    struct cv_parent parent;
    int64_t deadline; /* of the boot */
    enum cv_stage stage;
    bool booting; /* until the application runs */
    int signals;  /* signalfd */
    bool debug;   /* PCR0 is zero */
    struct cv_nsm *nsm;
    struct cv_rsa *rsa;
    struct cv_buf roots; /* PEM */
    struct cv_logs *logs;
    struct cv_control *control;
    struct cv_clock *clock;
    struct cv_egress egress;
    struct cv_forward *forward;
    struct cv_aws_provider *provider;
    struct cv_aws_transport *transport;
    struct cv_aws_client *s3;
    struct cv_kms *kms;
    struct cv_opener opener;
    json_t *parents_variables;
    int root;                 /* "/" of the image */
    struct cv_bundle *bundle; /* in use */
    struct cv_environment env;
    pid_t application;
};

/* Boots: every stage up to and with exec. On an error I->stage is the one that
 * failed. */
int cv_init_boot(struct cv_init *i, struct cv_error *err) CV_NODISCARD;
/* Looks after the application until it has ended; its status as of waitpid(2). */
int cv_init_supervise(struct cv_init *i);
/* Ends threads and frees; what was said to the parent is sent first. */
void cv_init_close(struct cv_init *i);

/* ---- the stages (init/start.c, network.c, secrets.c, apply.c) ---- */

/* Settings, devices, measurements, the application's root, file systems. */
int cv_start_machine(struct cv_init *i, struct cv_error *err) CV_NODISCARD;
int cv_start_network(struct cv_init *i, struct cv_error *err) CV_NODISCARD;
/* Clients of KMS and S3. */
int cv_secrets_clients(struct cv_init *i, struct cv_error *err) CV_NODISCARD;
/* fetch, attest, decrypt, check into B, each told to the parent; until DEADLINE.
 * OLD as for cv_bundle_check(). */
int cv_secrets_obtain(struct cv_init *i, struct cv_bundle *b, const struct cv_bundle *old,
                      int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* The environment that B gives, over the image's and the parent's. */
int cv_apply_environment(struct cv_environment *env, const struct cv_init *i,
                         const struct cv_bundle *b, struct cv_error *err) CV_NODISCARD;
/* Writes B's files that differ from OLD's (may be NULL), removes those that are
 * no more. *CHANGED tells how many. */
int cv_apply_files(const struct cv_init *i, const struct cv_bundle *b, const struct cv_bundle *old,
                   unsigned *changed, struct cv_error *err) CV_NODISCARD;

/* Extends the register of the settings with what B and the parent gave, and locks
 * it, before the application can (sealed/applied.h). */
int cv_apply_measure(const struct cv_init *i, const struct cv_bundle *b,
                     struct cv_error *err) CV_NODISCARD;

/* ---- what stages have in common (init/stages.c) ---- */

void cv_stage_begin(struct cv_init *i, enum cv_stage stage);
void cv_stage_end(struct cv_init *i, enum cv_stage stage);
/* Runs STEP, again and again with growing pauses while its error may pass and
 * DEADLINE has not. DENIED_PASSES: so may a denial (S3 hides absent objects so). */
typedef int (*cv_stage_step)(struct cv_init *i, void *ctx, int64_t deadline, struct cv_error *err);
int cv_stage_try(struct cv_init *i, enum cv_stage stage, cv_stage_step step, void *ctx,
                 bool denied_passes, int64_t deadline, struct cv_error *err) CV_NODISCARD;

#endif
