/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the key policy that ties a KMS key to enclaves: administrators keep
 * the key, the role may open and make data keys from these images alone, and
 * what would lead around it is denied to everybody.
 */
#ifndef CV_POLICY_WRITE_H
#define CV_POLICY_WRITE_H

#include "policy/policy.h"

#define CV_POLICY_REGISTERS 32
#define CV_POLICY_REGISTER_HEX 97 /* of 48 bytes, with its NUL */

/* The registers that an image must have. */
struct cv_policy_image {
    uint32_t mask; /* bit N: register N */
    char pcr[CV_POLICY_REGISTERS][CV_POLICY_REGISTER_HEX];
};

struct cv_policy_spec {
    const char *const *admins; /* ARNs or account ids; none = the accounts of the principals */
    size_t n_admins;
    const char *const *principals; /* roles (or users) whose credentials the enclave uses */
    size_t n_principals;
    const struct cv_policy_image *images; /* any one of them is enough */
    size_t n_images;
    const struct cv_policy_attr *context; /* encryption context that every call must carry */
    size_t n_context;
    /* Of configurations that enclaves open at boot: they alone may GenerateDataKey,
     * without attestation, and the enclaves only Decrypt. None: a signer's key. */
    const char *const *publishers;
    size_t n_publishers;
    bool encrypt; /* version 1 sealing: the principals may Encrypt, without attestation */
};

/* Appends the policy as JSON, a member a line. CV_ERR_INVALID, naming it, for
 * an ARN that is none, no principal, no image, or an image without registers;
 * CV_ERR_LIMIT when it is longer than KMS takes. What was written is parsed and
 * evaluated once more before it is given: an un-attested Decrypt that were
 * allowed is CV_ERR_INTERNAL. */
int cv_policy_write(struct cv_buf *out, const struct cv_policy_spec *spec,
                    struct cv_error *err) CV_NODISCARD;

#endif
