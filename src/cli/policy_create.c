/* SPDX-License-Identifier: Apache-2.0 */
/* claviger policy create */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/policy_image.h"
#include "common/file.h"

struct create_options {
    struct cv_image_options image;
    struct cv_option_list principals, admins, publishers, context;
    const char *output;
    bool allow_encrypt;
};

struct inputs {
    struct cv_policy_image images[CV_IMAGES_MAX];
    struct cv_policy_attr context[CV_OPTION_LIST_MAX];
    struct cv_policy_spec spec;
};

/* Without PCR0, 1, 2 or 8 nothing is said about the image itself. */
static void warn_about_images(const struct inputs *in)
{
    const uint32_t about_image = 0x107;
    for (size_t i = 0; i < in->spec.n_images; i++)
        if (!(in->images[i].mask & about_image)) {
            (void)fputs(
                "Note: no register of an image is demanded (PCR0, 1, 2 or 8): every enclave "
                "of that role or instance may use the key.\n",
                stderr);
            return;
        }
}

static int gather(struct inputs *in, const struct create_options *o, struct cv_error *err)
{
    struct cv_policy_spec *s = &in->spec;
    int rc = cv_cli_images(in->images, &s->n_images, &o->image, err);
    for (size_t i = 0; i < o->context.count && !rc; i++, s->n_context++)
        rc = cv_cli_context_pair(&in->context[i], o->context.item[i], err);
    s->images = in->images;
    s->context = in->context;
    s->principals = o->principals.item;
    s->n_principals = o->principals.count;
    if (!s->n_principals && o->image.role_arn) {
        s->principals = &o->image.role_arn;
        s->n_principals = 1;
    }
    s->admins = o->admins.item;
    s->n_admins = o->admins.count;
    s->publishers = o->publishers.item;
    s->n_publishers = o->publishers.count;
    s->encrypt = o->allow_encrypt;
    return rc;
}

static void release(struct inputs *in)
{
    for (size_t i = 0; i < CV_OPTION_LIST_MAX; i++) {
        free((void *)(uintptr_t)in->context[i].key);
        free((void *)(uintptr_t)in->context[i].value);
    }
    free(in);
}

static enum cv_exit give(const struct create_options *o, struct cv_bytes text, struct cv_error *err)
{
    if (o->output != NULL && strcmp(o->output, "-") != 0) {
        if (cv_file_replace(o->output, text, 0644, err) != 0)
            return cv_cli_fail(err, "writing the policy");
        return CV_EXIT_OK;
    }
    (void)fwrite(text.p, 1, text.n, stdout);
    return cv_cli_finish();
}

static enum cv_exit create(const struct create_options *o)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    struct inputs *in = calloc(1, sizeof *in);
    struct cv_error err;
    cv_error_clear(&err);
    cv_buf_init(&text, 2 * CV_POLICY_MAX);
    if (in == NULL)
        return cv_cli_fail(NULL, "no memory");
    int rc = gather(in, o, &err);
    if (rc == 0)
        rc = cv_policy_write(&text, &in->spec, &err);
    if (rc == 0)
        warn_about_images(in);
    release(in);
    if (rc == CV_ERR_CONFIG)
        return cv_cli_usage(&cv_cmd_policy_create, "%s", cv_error_top(&err));
    if (rc != 0)
        return cv_cli_fail(&err, "making the policy");
    return give(o, cv_buf_view(&text), &err);
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct create_options o = {.output = NULL};
    const struct cv_option options[] = {
        CV_IMAGE_OPTIONS(&o.image),
        {"principal", 0, CV_OPT_LIST, &o.principals},
        {"admin", 0, CV_OPT_LIST, &o.admins},
        {"publisher", 0, CV_OPT_LIST, &o.publishers},
        {"context", 0, CV_OPT_LIST, &o.context},
        {"allow-encrypt", 0, CV_OPT_FLAG, &o.allow_encrypt},
        {"output", 'o', CV_OPT_TEXT, &o.output},
    };
    (void)cli;
    if (!cv_options_parse(&cv_cmd_policy_create, options, sizeof options / sizeof options[0], argc,
                          argv, NULL))
        return CV_EXIT_USAGE;
    return create(&o);
}

const struct cv_command cv_cmd_policy_create = {
    .name = "policy create",
    .summary = "write a KMS key policy that binds a key to enclaves",
    .usage = "--principal ROLE-ARN (--eif IMAGE | --pcrs FILE | --pcr N=HEX | …)…",
    .help =
        "The principal may Decrypt and GenerateDataKey from these enclaves alone; everybody is\n"
        "denied Decrypt, GenerateDataKey* and DeriveSharedSecret without that attestation, and\n"
        "ReEncryptFrom, CreateGrant and Encrypt altogether. Administrators keep the key.\n"
        "\n"
        "  --principal ARN      role whose credentials the enclave uses (may be repeated);\n"
        "                       default: that of --role-arn\n"
        "  --eif IMAGE          registers of this image (may be repeated: any one of them)\n"
        "  --pcrs FILE          registers as nitro-cli prints them (may be repeated)\n"
        "  --use LIST           registers that are taken from images (default 0; 0,8 …)\n"
        "  --pcr N=HEX          of every image (may be repeated)\n"
        "  --role-arn ARN       of every image: the parent's IAM role (PCR3)\n"
        "  --instance-id ID     of every image: the parent instance (PCR4)\n"
        "  --certificate FILE   of every image: the signing certificate (PCR8)\n"
        "  --context NAME=VALUE encryption context that every call must carry (may be repeated)\n"
        "  --admin ARN          administrator, or an account (may be repeated); default: the\n"
        "                       account of the principal\n"
        "  --publisher ARN      who encrypts configurations for claviger-init: may GenerateDataKey\n"
        "                       without attestation, and the enclaves only Decrypt (repeatable)\n"
        "  --allow-encrypt      the principal may Encrypt, for version 1 sealing\n"
        "  --allow-debug        accept registers of zeros, which protect nothing\n"
        "  -o, --output FILE    default: standard output\n"
        "\n"
        "Example: claviger policy create --principal arn:aws:iam::111122223333:role/Signer "
        "--eif signer.eif\n",
    .run = run,
};
