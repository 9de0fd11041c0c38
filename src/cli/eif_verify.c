/* SPDX-License-Identifier: Apache-2.0 */
/* claviger eif verify */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/eif_show.h"
#include "common/hex.h"
#include "eif/signature.h"

struct wanted {
    struct cv_option_list pcr;
    const char *pcrs_file;
    const char *certificate;
    bool signature;
};

static int compare(const struct cv_eif_pcrs *pcrs, long index, const char *hex,
                   struct cv_error *err)
{
    const uint8_t *const have[] = {pcrs->pcr0, pcrs->pcr1, pcrs->pcr2};
    const uint8_t *is = index >= 0 && index <= 2       ? have[index]
                        : index == 8 && pcrs->has_pcr8 ? pcrs->pcr8
                                                       : NULL;
    uint8_t want[CV_EIF_PCR_LEN];
    size_t n;
    if (cv_hex_decode(want, sizeof want, &n, cv_bytes_str(hex)) != 0 || n != sizeof want) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the expected PCR%ld is not 96 hexadecimal "
                            "digits",
                            index);
    }
    if (is == NULL) {
        return cv_error_set(err, CV_ERR_DENIED,
                            index == 8 ? "a PCR8 is expected, and the image is not signed"
                                       : "an image has no PCR%ld of its own",
                            index);
    }
    if (memcmp(is, want, sizeof want) != 0) {
        char got[2 * CV_EIF_PCR_LEN + 1];
        cv_hex_encode(got, is, CV_EIF_PCR_LEN);
        return cv_error_set(err, CV_ERR_DENIED, "PCR%ld is %s, not the expected one", index, got);
    }
    return 0;
}

static int check_list(const struct wanted *want, const struct cv_eif_pcrs *pcrs,
                      struct cv_error *err)
{
    for (size_t i = 0; i < want->pcr.count; i++) {
        char *end;
        long index = strtol(want->pcr.item[i], &end, 10);
        if (end == want->pcr.item[i] || *end != '=') {
            return cv_error_set(err, CV_ERR_INVALID, "--pcr wants NUMBER=HEX");
        }
        int rc = compare(pcrs, index, end + 1, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* nitro-cli's JSON: {"Measurements": {"PCR0": …}} or the inner object. */
static int check_file(const char *path, const struct cv_eif_pcrs *pcrs, struct cv_error *err)
{
    json_error_t why;
    json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    json_t *m = json_object_get(o, "Measurements");
    m = m != NULL ? m : o;
    int rc = json_is_string(json_object_get(m, "PCR0"))
                 ? 0
                 : cv_error_set(err, CV_ERR_INVALID, "%s holds no measurements: %.120s", path,
                                o == NULL ? why.text : "no PCR0");
    static const int indices[] = {0, 1, 2, 8};
    for (size_t i = 0; rc == 0 && i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "PCR%d", indices[i]);
        const char *hex = json_string_value(json_object_get(m, name));
        rc = hex != NULL ? compare(pcrs, indices[i], hex, err) : 0;
    }
    json_decref(o);
    return rc;
}

static int check_signature(const struct cv_eif *eif, const struct cv_eif_pcrs *pcrs, int64_t at,
                           const struct wanted *want, struct cv_error *err)
{
    if (!pcrs->has_pcr8) {
        return want->signature || want->certificate != NULL
                   ? cv_error_set(err, CV_ERR_DENIED, "the image is not signed")
                   : 0;
    }
    CV_CLEANUP(cv_eif_signature_free) struct cv_eif_signature s;
    int rc = cv_eif_signature_read(&s, eif, err);
    if (rc == 0) {
        rc = cv_eif_signature_verify(&s, pcrs->pcr0, at, err);
    }
    if (rc != 0 || want->certificate == NULL) {
        return rc;
    }
    uint8_t pcr8[CV_EIF_PCR_LEN];
    rc = cv_eif_pcr_of_certificate(pcr8, want->certificate, err);
    if (rc == 0 && memcmp(pcr8, pcrs->pcr8, sizeof pcr8) != 0) {
        rc = cv_error_set(err, CV_ERR_DENIED, "the image is signed with another certificate");
    }
    return rc;
}

static int verify(const char *path, int64_t at, const struct wanted *want, struct cv_eif_pcrs *pcrs,
                  struct cv_error *err)
{
    struct cv_eif eif;
    int rc = cv_eif_open(&eif, path, err);
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
    if (rc == 0) {
        rc = check_signature(&eif, pcrs, at, want, err);
    }
    cv_eif_close(&eif);
    if (rc == 0) {
        rc = check_list(want, pcrs, err);
    }
    if (rc == 0 && want->pcrs_file != NULL) {
        rc = check_file(want->pcrs_file, pcrs, err);
    }
    return rc;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct wanted want = {.pcr.count = 0};
    const char *option = NULL, *time = NULL, *path;
    int operands;
    const struct cv_option options[] = {
        {"eif-path", 0, CV_OPT_TEXT, &option},
        {"time", 0, CV_OPT_TEXT, &time},
        {"pcr", 0, CV_OPT_LIST, &want.pcr},
        {"pcrs", 0, CV_OPT_TEXT, &want.pcrs_file},
        {"signing-certificate", 0, CV_OPT_TEXT, &want.certificate},
        {"require-signature", 0, CV_OPT_FLAG, &want.signature},
    };
    int64_t at;
    if (!cv_options_parse(&cv_cmd_eif_verify, options, sizeof options / sizeof options[0], argc,
                          argv, &operands) ||
        !cv_eif_show_path(&cv_cmd_eif_verify, &path, option, operands, argv) ||
        !cv_eif_show_time(&cv_cmd_eif_verify, &at, time)) {
        return CV_EXIT_USAGE;
    }
    struct cv_error err;
    cv_error_clear(&err);
    struct cv_eif_pcrs pcrs;
    if (verify(path, at, &want, &pcrs, &err) != 0) {
        return cv_cli_fail(&err, "%s is refused", path);
    }
    if (!cli->json) {
        (void)printf("good: %s\n", pcrs.has_pcr8 ? "whole, and signed by its certificate's key"
                                                 : "whole, not signed");
    }
    cv_eif_show_measurements(cli, &pcrs);
    return cv_cli_finish();
}

const struct cv_command cv_cmd_eif_verify = {
    .name = "eif verify",
    .summary = "check that an enclave image is whole, validly signed, and the expected one",
    .usage = "[--pcr N=HEX]... [--pcrs FILE] [--signing-certificate PEM] [--require-signature] "
             "[--time now|RFC3339] IMAGE.eif",
    .help = "Checks structure, checksum and, when there is one, the signature with its\n"
            "certificate's validity; then what is expected. Exit status 1 on any refusal.\n"
            "\n"
            "  --pcr N=HEX                 PCR0, 1, 2 or 8 must be HEX; may be repeated\n"
            "  --pcrs FILE                 measurements in nitro-cli's JSON\n"
            "  --signing-certificate FILE  the certificate that must have signed it\n"
            "  --require-signature         refuse an image without signature\n"
            "  --time TIME                 when the certificate has to be valid (now)\n"
            "\n"
            "Example: claviger eif verify --require-signature --pcrs signer.json signer.eif\n",
    .run = run,
};
