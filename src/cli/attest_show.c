/* SPDX-License-Identifier: Apache-2.0 */
/* claviger attest show */
#include <stdio.h>

#include "cli/attest_document.h"
#include "cli/commands.h"
#include "cli/eif_show.h"

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf bytes = {0};
    struct cv_attest_document doc;
    struct cv_attest_error refused;
    struct cv_error err;
    int operands;

    if (!cv_options_parse(&cv_cmd_attest_show, NULL, 0, argc, argv, &operands))
        return CV_EXIT_USAGE;
    if (operands != 1)
        return cv_cli_usage(&cv_cmd_attest_show, "name one document");
    cv_error_clear(&err);
    if (cv_cli_document_load(&bytes, argv[1], &err) != 0)
        return cv_cli_fail(&err, "reading the document");
    if (cv_attest_parse_unverified(&doc, bytes.p, bytes.n, false, &refused) != CV_ATTEST_OK)
        return cv_cli_fail(NULL, "%s is no attestation document: %s", argv[1], refused.message);
    if (cli->json) {
        json_t *o = cv_cli_document_json(&doc);
        if (o == NULL)
            return cv_cli_fail(NULL, "no memory");
        json_object_set_new(o, "verified", json_false());
        cv_eif_show_json(o);
    } else {
        cv_cli_document_print(&doc);
        (void)fputs("Nothing of this was verified: see claviger attest verify.\n", stderr);
    }
    return cv_cli_finish();
}

const struct cv_command cv_cmd_attest_show = {
    .name = "attest show",
    .summary = "show what an attestation document says, without verifying it",
    .usage = "FILE",
    .help = "FILE is the document itself, or its base64 or hex; '-' is standard input.\n"
            "With --json everything in it, bytes as hex.\n\n"
            "Example: claviger attest show document.cbor\n",
    .run = run,
};
