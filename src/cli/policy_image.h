/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements for the policy commands, from images, files and options. */
#ifndef CV_CLI_POLICY_IMAGE_H
#define CV_CLI_POLICY_IMAGE_H

#include "claviger/attest.h"
#include "cli/command.h"
#include "policy/write.h"

struct cv_image_options {
    struct cv_option_list eif;  /* each an image */
    struct cv_option_list pcrs; /* each an image: nitro-cli's JSON */
    struct cv_option_list pcr;  /* N=HEX, of every image */
    const char *role_arn;       /* PCR3 of every image */
    const char *instance_id;    /* PCR4 of every image */
    const char *certificate;    /* PCR8 of every image */
    const char *use;            /* "0,8": registers taken from images; NULL = "0" */
    bool allow_debug;           /* zero registers are meant */
};

#define CV_IMAGE_OPTIONS(o)                                                                     \
    {"eif", 0, CV_OPT_LIST, &(o)->eif}, {"pcrs", 0, CV_OPT_LIST, &(o)->pcrs},                   \
        {"pcr", 0, CV_OPT_LIST, &(o)->pcr}, {"role-arn", 0, CV_OPT_TEXT, &(o)->role_arn},       \
        {"instance-id", 0, CV_OPT_TEXT, &(o)->instance_id},                                     \
        {"certificate", 0, CV_OPT_TEXT, &(o)->certificate}, {"use", 0, CV_OPT_TEXT, &(o)->use}, \
    {                                                                                           \
        "allow-debug", 0, CV_OPT_FLAG, &(o)->allow_debug                                        \
    }

#define CV_IMAGES_MAX 32

/* *N images, at most CV_IMAGES_MAX; at least one. CV_ERR_CONFIG for options
 * that make no sense together, or registers of zeros without --allow-debug. */
int cv_cli_images(struct cv_policy_image *out, size_t *n, const struct cv_image_options *o,
                  struct cv_error *err) CV_NODISCARD;
/* Those of the registers that POLICY expects which are in the mask USE. */
int cv_cli_image_from(struct cv_policy_image *out, const struct cv_attest_policy *policy,
                      uint32_t use, bool allow_zero, struct cv_error *err) CV_NODISCARD;
/* "K=V" of an argument; the two texts are the caller's, freed with free(). */
int cv_cli_context_pair(struct cv_policy_attr *out, const char *text,
                        struct cv_error *err) CV_NODISCARD;

#endif
