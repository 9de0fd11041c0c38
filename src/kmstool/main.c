/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>

#include "common/log.h"
#include "crypto/init.h"
#include "kmstool/build.h"
#include "kmstool/kmstool.h"

int main(int argc, char **argv)
{
    struct cv_kmstool_options o;
    struct cv_error err;
    char text[CV_ERROR_SENTENCE];
    cv_process_harden();
    cv_secret_policy(cv_kmstool_build.lock);
    (void)signal(SIGPIPE, SIG_IGN);
    int status = cv_kmstool_parse(&o, argc, argv);
    if (status >= 0)
        return status;
    cv_log_setup(o.verbose ? CV_LOG_DEBUG : CV_LOG_WARN, false);
    cv_error_clear(&err);
    int rc = cv_crypto_init();
    if (rc != 0)
        cv_error_set(&err, rc, "starting the cryptographic libraries: %s", cv_strerror(rc));
    else
        rc = cv_kmstool_run(&o, &err);
    if (rc == 0)
        return 0;
    fprintf(stderr, "Error: %s\n", cv_error_format(text, sizeof text, &err));
    return o.compatible ? 255 : 1;
}
