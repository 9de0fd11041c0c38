/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-enclave: the signer inside the enclave (claviger-enclave(8)). */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "crypto/init.h"
#include "enclave/build.h"
#include "enclave/server.h"

static const char usage[] =
    "usage: claviger-enclave [--version | --help%s]\n"
    "\n"
    "Holds Tezos signing keys inside an AWS Nitro Enclave and signs with them. It listens on\n"
    "vsock port 2000; its settings are /etc/claviger/enclave.conf of the image, which is\n"
    "measured with the rest (claviger-enclave(8), enclave.conf(5)).\n"
    "%s";
static const char usage_settings[] =
    "\n"
    "  --settings FILE   read FILE instead (this is a development build)\n"
    "\n"
    "Example: claviger-enclave-dev --settings /tmp/dev/enclave.conf\n";

/* -1 to go on, else the exit status. */
static int parse(int argc, char **argv, const char **settings)
{
    bool dev = cv_enclave_build.settings_option;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
            printf("claviger-enclave %s (%s build)\n", CV_VERSION, cv_enclave_build.name);
            return 0;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf(usage, dev ? " | --settings FILE" : "", dev ? usage_settings : "");
            return 0;
        }
        if (dev && strcmp(argv[i], "--settings") == 0 && i + 1 < argc) {
            *settings = argv[++i];
            continue;
        }
        fprintf(stderr, "claviger-enclave: unknown or incomplete option %s\n", argv[i]);
        fprintf(stderr, usage, dev ? " | --settings FILE" : "", "");
        return 2;
    }
    return -1;
}

static int run(const char *settings, struct cv_error *err)
{
    static struct cv_enclave enclave;
    int rc = cv_crypto_init();
    if (rc != 0)
        return cv_error_set(err, rc, "starting the cryptographic libraries: %s", cv_strerror(rc));
    rc = cv_settings_load(&enclave.settings, settings, cv_enclave_build.settings, err);
    if (rc == 0)
        rc = cv_enclave_start(&enclave, err);
    if (rc == 0 && enclave.debug)
        cv_log(CV_LOG_WARN,
               "DEBUG MODE: the measurements of this enclave are zero, its keys are not protected",
               "allowed", enclave.settings.allow_debug ? "yes" : "no", NULL);
    if (rc == 0)
        rc = cv_server_run(&enclave, err);
    cv_enclave_stop(&enclave);
    return rc;
}

int main(int argc, char **argv)
{
    const char *settings = NULL;
    struct cv_error err;
    int status = parse(argc, argv, &settings);
    if (status >= 0)
        return status;
    cv_process_harden();
    cv_secret_policy(cv_enclave_build.lock);
    cv_log_setup(CV_LOG_INFO, false);
    cv_error_clear(&err);
    cv_log(CV_LOG_INFO, "claviger-enclave", "version", CV_VERSION, "build", cv_enclave_build.name,
           NULL);
    if (cv_enclave_build.settings == CV_SETTINGS_DEVELOPMENT)
        cv_log(CV_LOG_WARN, "DEVELOPMENT BUILD: for tests on one machine, never for real keys",
               NULL);
    if (run(settings, &err) == 0)
        return 0;
    cv_log_error(CV_LOG_ERROR, "claviger-enclave ends", &err);
    return 1;
}
