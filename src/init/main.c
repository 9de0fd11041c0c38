/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-init: the first process of an enclave (claviger-init(8)). */
#include "common/log.h"
#include "crypto/init.h"
#include "init/init.h"
#include "init/machine.h"

static int failed(struct cv_init *i, struct cv_error *err)
{
    char sentence[2048];
    cv_error_wrap(err, "stage %s", cv_stage_name(i->stage));
    cv_log_error(CV_LOG_ERROR, "the boot failed", err);
    if (i->control != NULL)
        cv_control_stage(i->control, cv_stage_name(i->stage), "failed",
                         cv_error_format(sentence, sizeof sentence, err));
    return CV_STAGE_STATUS + (int)i->stage;
}

static int ended(struct cv_init *i, int status)
{
    bool by_signal;
    int value, result = cv_machine_ended(status, &by_signal, &value);
    cv_control_send(i->control, json_pack("{s:s, s:i}", "type", "exit",
                                          by_signal ? "signal" : "status", value));
    return result;
}

static int run(struct cv_init *i)
{
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_crypto_init();
    if (rc != 0)
        rc = cv_error_set(&err, rc, "starting the cryptographic libraries: %s", cv_strerror(rc));
    else
        rc = cv_machine_signals(&i->signals, &err);
    if (rc == 0)
        rc = cv_init_boot(i, &err);
    int status = rc != 0 ? failed(i, &err) : ended(i, cv_init_supervise(i));
    cv_init_close(i);
    return status;
}

int main(int argc, char **argv)
{
    static struct cv_init init = {.root = -1, .signals = -1};
    int status = 0;
    if (!cv_init_build.prepare(&init.options, argc, argv, &status))
        return status;
    cv_process_no_dumps(); /* the application may have programs that change their user */
    cv_secret_policy(cv_init_build.lock);
    cv_log_setup(CV_LOG_INFO, false);
    cv_boot_init(&init.settings);
    cv_buf_init(&init.roots, 4u << 20);
    init.parent = (struct cv_parent){.cid = CV_BOOT_PARENT_CID, .folder = init.options.parent};
    status = run(&init);
    cv_machine_end();
    return status;
}
