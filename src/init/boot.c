/* SPDX-License-Identifier: Apache-2.0 */
/* From the kernel to the application, stage by stage. */
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "init/application.h"
#include "init/init.h"
#include "init/machine.h"

#define SAY_MS 3000 /* for the last words to the parent */

/* Log and control connection exist whatever has failed before: the parent is to
 * learn of it. */
static int start_voices(struct cv_init *i, struct cv_error *err)
{
    struct cv_error ignored;
    const struct cv_control_config config = {.parent = &i->parent,
                                             .version = CV_VERSION,
                                             .build = cv_init_build.name,
                                             .pcr0 = i->opener.pcr[0],
                                             .debug = i->debug};
    struct cv_control_config c = config;
    cv_error_clear(&ignored);
    int rc = cv_aws_provider_static(&i->provider, NULL, err);
    c.provider = i->provider;
    if (rc == 0)
        rc = cv_logs_start(&i->logs, &i->parent, cv_init_build.machine && i->debug, err);
    return rc != 0 ? rc : cv_control_start(&i->control, &c, err);
}

static int stage_start(struct cv_init *i, struct cv_error *err)
{
    struct cv_error voices;
    cv_error_clear(&voices);
    int rc = cv_start_machine(i, err);
    i->deadline = cv_deadline((int64_t)i->settings.boot_deadline_ms);
    int rc2 = start_voices(i, &voices);
    if (rc2 != 0) {
        if (rc == 0)
            *err = voices;
        return rc != 0 ? rc : rc2;
    }
    cv_log(CV_LOG_INFO, "claviger-init", "version", CV_VERSION, "build", cv_init_build.name, "pcr0",
           i->opener.pcr[0], NULL);
    if (cv_init_build.development)
        cv_log(CV_LOG_WARN, "DEVELOPMENT BUILD: for tests on one machine", NULL);
    cv_stage_begin(i, CV_STAGE_START);
    return rc == 0 ? cv_machine_heartbeat(&i->parent, &i->settings, i->deadline, err) : rc;
}

static int stage_clock(struct cv_init *i, struct cv_error *err)
{
    return cv_clock_start(&i->clock, i->nsm, cv_init_build.machine, err);
}

static int stage_apply(struct cv_init *i, struct cv_error *err)
{
    unsigned files;
    int rc = cv_apply_environment(&i->env, i, i->bundle, err);
    if (rc == 0)
        rc = cv_apply_files(i, i->bundle, NULL, &files, err);
    return rc != 0 ? rc : cv_apply_measure(i, i->bundle, err);
}

static int stage_exec(struct cv_init *i, struct cv_error *err)
{
    const struct cv_application a = {&i->settings, cv_logs_pipe(i->logs, 0),
                                     cv_logs_pipe(i->logs, 1)};
    if (cv_now_ms() > i->deadline)
        return cv_error_set(err, CV_ERR_TIMEOUT, "the time for the boot is over");
    return cv_application_start(&i->application, &a, &i->env, err);
}

static int run_stage(struct cv_init *i, enum cv_stage stage,
                     int (*run)(struct cv_init *i, struct cv_error *err), struct cv_error *err)
{
    i->stage = stage;
    cv_stage_begin(i, stage);
    int rc = run(i, err);
    if (rc == 0)
        cv_stage_end(i, stage);
    return rc;
}

int cv_init_boot(struct cv_init *i, struct cv_error *err)
{
    i->stage = CV_STAGE_START;
    i->application = -1;
    i->booting = true;
    i->bundle = calloc(1, sizeof *i->bundle);
    if (i->bundle == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    int rc = stage_start(i, err);
    if (rc != 0)
        return rc;
    cv_stage_end(i, CV_STAGE_START);
    cv_bundle_init(i->bundle, &i->settings);
    rc = run_stage(i, CV_STAGE_CLOCK, stage_clock, err);
    if (rc == 0)
        rc = run_stage(i, CV_STAGE_NETWORK, cv_start_network, err);
    if (rc == 0)
        rc = cv_secrets_clients(i, err);
    if (rc == 0)
        rc = cv_secrets_obtain(i, i->bundle, NULL, i->deadline, err);
    if (rc == 0)
        rc = run_stage(i, CV_STAGE_APPLY, stage_apply, err);
    if (rc == 0)
        rc = run_stage(i, CV_STAGE_EXEC, stage_exec, err);
    i->booting = false;
    return rc;
}

void cv_init_close(struct cv_init *i)
{
    cv_forward_stop(&i->forward);
    cv_clock_stop(&i->clock);
    cv_logs_stop(&i->logs, SAY_MS);
    cv_control_stop(&i->control, SAY_MS);
    cv_aws_client_free(&i->s3);
    cv_kms_free(&i->kms);
    cv_aws_transport_free(&i->transport);
    cv_aws_provider_free(&i->provider);
    if (i->bundle != NULL)
        cv_bundle_free(i->bundle);
    free(i->bundle);
    cv_environment_free(&i->env);
    json_decref(i->parents_variables);
    if (i->rsa != NULL)
        cv_rsa_free(i->rsa);
    if (i->nsm != NULL)
        cv_nsm_close(i->nsm);
    cv_egress_free(&i->egress);
    cv_buf_free(&i->roots);
    cv_boot_free(&i->settings);
}
