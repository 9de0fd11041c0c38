/* SPDX-License-Identifier: Apache-2.0 */
/* claviger eif pcr */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/eif_show.h"
#include "common/hex.h"

/* One register that nitro-cli's pcr command computes. */
static enum cv_exit single(const struct cv_cli *cli, const char *name,
                           int (*compute)(uint8_t *, const char *, struct cv_error *),
                           const char *argument)
{
    struct cv_error err;
    cv_error_clear(&err);
    uint8_t pcr[CV_EIF_PCR_LEN];
    if (compute(pcr, argument, &err) != 0) {
        return cv_cli_fail(&err, "computing the %s", name);
    }
    char hex[2 * CV_EIF_PCR_LEN + 1];
    cv_hex_encode(hex, pcr, sizeof pcr);
    if (cli->json) {
        cv_eif_show_json(json_pack("{s:s}", name, hex));
    } else {
        (void)printf("%s  %s\n", name, hex);
    }
    return cv_cli_finish();
}

static enum cv_exit of_image(const struct cv_cli *cli, const char *path, bool no_check)
{
    struct cv_error err;
    cv_error_clear(&err);
    struct cv_eif_pcrs pcrs;
    int rc;
    if (no_check) {
        struct cv_eif eif;
        rc = cv_eif_open(&eif, path, &err);
        if (rc == 0) {
            rc = cv_eif_measure(&eif, &pcrs, &err);
            cv_eif_close(&eif);
        }
    } else {
        rc = cv_eif_measure_path(path, &pcrs, &err);
    }
    if (rc != 0) {
        return cv_cli_fail(&err, "measuring the image");
    }
    cv_eif_show_measurements(cli, &pcrs);
    return cv_cli_finish();
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *input = NULL, *cert = NULL, *role = NULL, *instance = NULL, *option = NULL;
    bool no_check = false;
    int operands;
    const struct cv_option options[] = {
        {"eif-path", 0, CV_OPT_TEXT, &option},          {"input", 0, CV_OPT_TEXT, &input},
        {"signing-certificate", 0, CV_OPT_TEXT, &cert}, {"role-arn", 0, CV_OPT_TEXT, &role},
        {"instance-id", 0, CV_OPT_TEXT, &instance},     {"no-check", 0, CV_OPT_FLAG, &no_check},
    };
    if (!cv_options_parse(&cv_cmd_eif_pcr, options, sizeof options / sizeof options[0], argc, argv,
                          &operands)) {
        return CV_EXIT_USAGE;
    }
    int asked = operands + (option != NULL) + (input != NULL) + (cert != NULL) + (role != NULL) +
                (instance != NULL);
    if (asked != 1) {
        return cv_cli_usage(&cv_cmd_eif_pcr, "name one image, or one of --input, "
                                             "--signing-certificate, --role-arn, --instance-id");
    }
    if (input != NULL) {
        return single(cli, "PCR", cv_eif_pcr_of_file, input);
    }
    if (cert != NULL) {
        return single(cli, "PCR8", cv_eif_pcr_of_certificate, cert);
    }
    if (role != NULL) {
        return single(cli, "PCR3", cv_eif_pcr_of_text, role);
    }
    if (instance != NULL) {
        return single(cli, "PCR4", cv_eif_pcr_of_text, instance);
    }
    return of_image(cli, option != NULL ? option : argv[1], no_check);
}

const struct cv_command cv_cmd_eif_pcr = {
    .name = "eif pcr",
    .summary = "print the measurements (PCRs) of an image, a file, a certificate, a role",
    .usage = "IMAGE.eif | --input FILE | --signing-certificate PEM | --role-arn ARN | "
             "--instance-id ID",
    .help = "Prints PCR0, PCR1 and PCR2 of an image, and PCR8 when it is signed, after checking\n"
            "that it would start: checksum, signature, validity of the certificate.\n"
            "\n"
            "  --no-check                  measure, whatever checksum and signature are\n"
            "  --input FILE                register of a file's content\n"
            "  --signing-certificate FILE  PCR8 of a certificate, PEM or DER\n"
            "  --role-arn ARN              PCR3 of an instance role (not an instance profile)\n"
            "  --instance-id ID            PCR4 of an instance\n"
            "  --eif-path FILE             the image\n"
            "\n"
            "Example: claviger eif pcr --json signer.eif\n",
    .run = run,
};
