/* SPDX-License-Identifier: Apache-2.0 */
/* claviger eif describe */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/eif_show.h"
#include "eif/describe.h"

/* An image's own texts must not steer the terminal. */
struct shown {
    char text[160];
};

static struct shown text_of(const json_t *o, const char *key)
{
    struct shown out = {"-"};
    const char *s = json_string_value(json_object_get(o, key));
    if (s != NULL) {
        cv_error_quote(out.text, sizeof out.text, s, strlen(s));
    }
    return out;
}

static void print_sections(const struct cv_eif *eif)
{
    for (unsigned i = 0; i < eif->count; i++) {
        (void)printf("section %-2u     %-9s %" PRIu64 " bytes\n", i,
                     cv_eif_type_name(eif->sections[i].type), eif->sections[i].size);
    }
}

static void print_text(const struct cv_eif *eif, const json_t *o)
{
    const json_t *meta = json_object_get(o, "Metadata");
    (void)printf("image          %s, version %s\n", text_of(o, "ImageName").text,
                 text_of(o, "ImageVersion").text);
    (void)printf("format         version %u, %s\n", eif->version,
                 (eif->flags & CV_EIF_FLAG_ARM64) != 0 ? "aarch64" : "x86_64");
    (void)printf("built          %s by %s %s, kernel %s %s\n", text_of(meta, "BuildTime").text,
                 text_of(meta, "BuildTool").text, text_of(meta, "BuildToolVersion").text,
                 text_of(meta, "OperatingSystem").text, text_of(meta, "KernelVersion").text);
    print_sections(eif);
    const char *name;
    json_t *v;
    json_object_foreach (json_object_get(o, "Measurements"), name, v) {
        if (name[0] == 'P') {
            (void)printf("%s           %s\n", name, json_string_value(v));
        }
    }
    (void)printf("checksum       %s\n",
                 json_is_true(json_object_get(o, "CheckCRC")) ? "good" : "WRONG: damaged");
    const json_t *cert = json_object_get(o, "SigningCertificate");
    if (cert == NULL) {
        (void)printf("signature      none\n");
        return;
    }
    (void)printf("signature      %s\n", json_is_true(json_object_get(o, "SignatureCheck"))
                                            ? "good"
                                            : "BAD: \"claviger eif verify\" says why");
    (void)printf("certificate    %s, from %s to %s\n",
                 text_of(json_object_get(cert, "IssuerName"), "commonName").text,
                 text_of(cert, "NotBefore").text, text_of(cert, "NotAfter").text);
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *option = NULL, *time = NULL, *path;
    int operands;
    const struct cv_option options[] = {{"eif-path", 0, CV_OPT_TEXT, &option},
                                        {"time", 0, CV_OPT_TEXT, &time}};
    int64_t at;
    if (!cv_options_parse(&cv_cmd_eif_describe, options, 2, argc, argv, &operands) ||
        !cv_eif_show_path(&cv_cmd_eif_describe, &path, option, operands, argv) ||
        !cv_eif_show_time(&cv_cmd_eif_describe, &at, time)) {
        return CV_EXIT_USAGE;
    }
    struct cv_error err;
    cv_error_clear(&err);
    struct cv_eif eif;
    if (cv_eif_open(&eif, path, &err) != 0) {
        return cv_cli_fail(&err, "describing the image");
    }
    json_t *o;
    bool good;
    if (cv_eif_describe(&eif, at, &o, &good, &err) != 0) {
        cv_eif_close(&eif);
        return cv_cli_fail(&err, "describing %s", path);
    }
    if (cli->json) {
        cv_eif_show_json(o);
    } else {
        print_text(&eif, o);
        json_decref(o);
    }
    cv_eif_close(&eif);
    return cv_cli_finish();
}

const struct cv_command cv_cmd_eif_describe = {
    .name = "eif describe",
    .summary = "show what an enclave image holds and measures",
    .usage = "[--time now|RFC3339] IMAGE.eif",
    .help = "Shows the sections, the metadata, the measurements and the signature of an image.\n"
            "With --json the fields are those of nitro-cli describe-eif. A wrong checksum or\n"
            "signature is shown, and is no failure here: see claviger eif verify.\n"
            "\n"
            "  --time TIME      when the certificate has to be valid (now)\n"
            "  --eif-path FILE  the image, as nitro-cli has it\n"
            "\n"
            "Example: claviger eif describe --json signer.eif\n",
    .run = run,
};
