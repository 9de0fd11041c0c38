/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS as the machine is set up for it (library cv_aws_credentials, programs of
 * the parent only): environment, the shared files ~/.aws/config and
 * ~/.aws/credentials, container endpoint, instance metadata (IMDSv2 only).
 * AWS SDKs and Tools Reference Guide: "Standardized credential providers",
 * "Shared config and credentials files", "Service-specific endpoints".
 *
 * Order of credentials: explicit; environment; web identity of the
 * environment; profile (static, credential_process, web identity, role_arn
 * with source_profile or credential_source); container; IMDS. With a profile
 * named in the options the environment's keys are not looked at. What is
 * absent is passed over; what is there and broken, or was named and is
 * missing, is an error that names it.
 */
#ifndef CV_AWS_CONFIG_H
#define CV_AWS_CONFIG_H

#include "aws/client.h"

struct cv_aws_config;

struct cv_aws_options {  /* every member may be NULL or 0 */
    const char *profile; /* NULL: AWS_PROFILE, then "default" */
    const char *region;  /* NULL: AWS_REGION, AWS_DEFAULT_REGION, profile, IMDS */
    const char *ca_file; /* NULL: AWS_CA_BUNDLE, profile's ca_bundle, Mozilla's roots */
    const struct cv_aws_credentials *credentials; /* explicit ones, copied */
};

/* Reads environment and files. CV_ERR_CONFIG names file and line. */
int cv_aws_config_load(struct cv_aws_config **out, const struct cv_aws_options *options,
                       struct cv_error *err) CV_NODISCARD;
/* After everything that uses its transport or provider. Harmless on NULL. */
void cv_aws_config_free(struct cv_aws_config **config);

/* HTTPS as configured (cv_aws_curl_new); the config owns it. */
struct cv_aws_transport *cv_aws_config_transport(struct cv_aws_config *config);

/* The chain above behind a cache: renewed ahead of expiry in the background,
 * at the latest shortly before expiry by the caller, who waits; one fetch at a
 * time. When a renewal fails, what is at hand is used on: it is AWS that
 * decides whether it is good. cv_aws_credentials.source says which source won.
 * The config owns it. get() may block: never on an event loop's thread. */
struct cv_aws_provider *cv_aws_config_provider(struct cv_aws_config *config);

/* CV_ERR_CONFIG when no source names one, or it is malformed; asks IMDS last. */
int cv_aws_config_region(struct cv_aws_config *config, char out[CV_AWS_REGION_MAX + 1],
                         int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* SERVICE "kms", "dynamodb", "s3", "sts" in REGION. URL (may be NULL) beats
 * AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's services section,
 * its endpoint_url, and what is computed (FIPS, dual-stack, partition). */
int cv_aws_config_endpoint(struct cv_aws_config *config, struct cv_aws_endpoint *out,
                           const char *service, const char *region, const char *url,
                           struct cv_error *err) CV_NODISCARD;

/* AWS_MAX_ATTEMPTS, profile's max_attempts; 3, and 5 in the retry mode "legacy". */
unsigned cv_aws_config_max_attempts(const struct cv_aws_config *config);
/* AWS_RETRY_MODE or the profile's retry_mode (standard, adaptive, legacy) and the
 * number of attempts, into CC. CV_ERR_NOMEM. */
int cv_aws_config_retries(const struct cv_aws_config *config, struct cv_aws_client_config *cc,
                          struct cv_error *err) CV_NODISCARD;
/* Names the credential_process of the profile in use, and of those that it
 * leads to, to this process's helper (program/program.h) while that takes
 * commands. What is written into the files later is not run by it. */
int cv_aws_config_allow_programs(const struct cv_aws_config *config,
                                 struct cv_error *err) CV_NODISCARD;
/* The profile in use, for people. */
const char *cv_aws_config_profile(const struct cv_aws_config *config);

/* Region, endpoint (URL may be NULL), transport, provider and attempts together:
 * a client of SERVICE. REGION NULL: cv_aws_config_region(). */
int cv_aws_config_client(struct cv_aws_config *config, struct cv_aws_client **out,
                         const char *service, const char *region, const char *url, int64_t deadline,
                         struct cv_error *err) CV_NODISCARD;

#endif
