/* SPDX-License-Identifier: Apache-2.0 */
/* claviger eif sign */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/eif_kms.h"
#include "cli/eif_show.h"
#include "common/file.h"
#include "eif/sign.h"

#define MAX_SIGNATURE_FILE CV_EIF_MAX_SIGNATURE

struct request {
    const char *path, *out, *certificate, *key, *attach, *tbs;
};

static int sign_in_kms(struct cv_buf *section, const uint8_t *pcr0, const struct request *r,
                       struct cv_error *err)
{
    struct cv_eif_kms kms;
    int rc = cv_eif_kms_open(&kms, r->key, err);
    if (rc == 0) {
        struct cv_eif_remote_key key = cv_eif_kms_key(&kms);
        rc = cv_eif_sign_remote(section, pcr0, r->certificate, &key, err);
    }
    cv_eif_kms_close(&kms);
    return rc;
}

static int make_section(struct cv_buf *section, const uint8_t *pcr0, const struct request *r,
                        struct cv_error *err)
{
    if (r->key != NULL && cv_eif_kms_names(r->key)) {
        return sign_in_kms(section, pcr0, r, err);
    }
    if (r->attach == NULL) {
        return cv_eif_sign_section(section, pcr0, r->certificate, r->key, err);
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf sig;
    cv_buf_init(&sig, MAX_SIGNATURE_FILE);
    int rc = cv_file_read(&sig, r->attach, err);
    return rc == 0 ? cv_eif_sign_attach(section, pcr0, r->certificate, cv_buf_view(&sig), err) : rc;
}

static int write_tbs(const uint8_t *pcr0, const struct request *r, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 1024);
    int rc = cv_eif_sign_tbs(&text, pcr0, r->certificate, err);
    return rc == 0 ? cv_file_replace(r->tbs, cv_buf_view(&text), 0644, err) : rc;
}

static int sign(const struct request *r, struct cv_eif_pcrs *pcrs, struct cv_error *err)
{
    struct cv_eif eif;
    int rc = cv_eif_open(&eif, r->path, err);
    if (rc != 0) {
        return rc;
    }
    bool good = false;
    rc = cv_eif_check_crc(&eif, &good, err);
    if (rc == 0 && !good) {
        rc = cv_error_set(err, CV_ERR_INVALID,
                          "the checksum (CRC-32) is wrong: the image is "
                          "damaged");
    }
    if (rc == 0) {
        rc = cv_eif_measure(&eif, pcrs, err);
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf section;
    cv_buf_init(&section, CV_EIF_MAX_SIGNATURE);
    if (rc == 0 && r->tbs != NULL) {
        rc = write_tbs(pcrs->pcr0, r, err);
    } else if (rc == 0) {
        rc = make_section(&section, pcrs->pcr0, r, err);
        if (rc == 0) {
            rc = cv_eif_write_signed(&eif, cv_buf_view(&section), r->out, err);
        }
    }
    cv_eif_close(&eif);
    if (rc == 0 && r->tbs == NULL) {
        rc = cv_eif_measure_path(r->out, pcrs, err);
    }
    return rc;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct request r = {.out = NULL};
    const char *option = NULL, *kms_key = NULL;
    int operands;
    const struct cv_option options[] = {
        {"eif-path", 0, CV_OPT_TEXT, &option},
        {"output", 'o', CV_OPT_TEXT, &r.out},
        {"signing-certificate", 0, CV_OPT_TEXT, &r.certificate},
        {"private-key", 0, CV_OPT_TEXT, &r.key},
        {"kms-key", 0, CV_OPT_TEXT, &kms_key},
        {"attach", 0, CV_OPT_TEXT, &r.attach},
        {"to-be-signed", 0, CV_OPT_TEXT, &r.tbs},
    };
    if (!cv_options_parse(&cv_cmd_eif_sign, options, sizeof options / sizeof options[0], argc, argv,
                          &operands) ||
        !cv_eif_show_path(&cv_cmd_eif_sign, &r.path, option, operands, argv)) {
        return CV_EXIT_USAGE;
    }
    if ((r.certificate == NULL && r.attach == NULL) ||
        (r.key != NULL) + (kms_key != NULL) + (r.attach != NULL) + (r.tbs != NULL) != 1) {
        return cv_cli_usage(&cv_cmd_eif_sign,
                            "--signing-certificate is needed, and one of --private-key, --kms-key, "
                            "--to-be-signed, --attach");
    }
    if (kms_key != NULL && !cv_eif_kms_names(kms_key)) {
        return cv_cli_usage(&cv_cmd_eif_sign, "--kms-key wants the ARN of a key");
    }
    r.key = kms_key != NULL ? kms_key : r.key;
    if (r.out == NULL) {
        r.out = r.path;
    }
    struct cv_error err;
    cv_error_clear(&err);
    struct cv_eif_pcrs pcrs;
    if (sign(&r, &pcrs, &err) != 0) {
        return cv_cli_fail(&err, "signing %s", r.path);
    }
    if (r.tbs == NULL) {
        (void)fprintf(stderr, "Enclave Image successfully signed.\n");
    }
    cv_eif_show_measurements(cli, &pcrs);
    return cv_cli_finish();
}

const struct cv_command cv_cmd_eif_sign = {
    .name = "eif sign",
    .summary = "sign an enclave image, again too, or attach a signature made elsewhere",
    .usage =
        "--signing-certificate PEM (--private-key PEM | --kms-key ARN | --to-be-signed FILE | --attach FILE) "
        "[-o OUT.eif] IMAGE.eif",
    .help =
        "Signs PCR0 of an image as nitro-cli does; an existing signature is replaced. PCR8\n"
        "is that of the certificate. PCR0, 1 and 2 do not change.\n"
        "\n"
        "  --signing-certificate FILE  certificate in PEM, of an EC key on P-256, P-384, P-521\n"
        "  --private-key FILE          its key in PEM, without a passphrase; or the ARN, as below\n"
        "  --kms-key ARN               its key in KMS (ECC_NIST_P256, P384 or P521, SIGN_VERIFY);\n"
        "                              needs kms:GetPublicKey and kms:Sign\n"
        "  --to-be-signed FILE         write the bytes that an offline key or an HSM has to\n"
        "                              sign (ECDSA with SHA-256, 384 or 512 by the curve)\n"
        "  --attach FILE               that signature: DER, r||s, a COSE_Sign1, or a whole\n"
        "                              signature section (signature.cbor of eif extract)\n"
        "  -o, --output FILE           where to write (default: the image itself)\n"
        "\n"
        "Example: claviger eif sign --signing-certificate c.pem --private-key k.pem app.eif\n",
    .run = run,
};
