/* SPDX-License-Identifier: Apache-2.0 */
/* Whether settings are sound. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "settings/arn.h"
#include "settings/boot_private.h"

static int bad(struct cv_error *err, const char *what, const char *value)
{
    char quoted[160];
    return cv_error_set(err, CV_ERR_CONFIG, "%s \"%s\"", what,
                        cv_error_quote(quoted, sizeof quoted, value, strlen(value)));
}

static bool port(const char *text, size_t n)
{
    uint64_t v;
    char copy[8];
    if (n == 0 || n >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, n);
    copy[n] = 0;
    return cv_boot_decimal(&v, copy) && v >= 1 && v <= 65535;
}

static bool port_pair(const char *text)
{
    size_t n = strcspn(text, ":");
    return port(text, n) && (text[n] == 0 || port(text + n + 1, strlen(text + n + 1)));
}

/* EXTRA: one more character that may stand in it, or 0. */
static bool name_with(const char *p, size_t n, char extra)
{
    if (n == 0 || n > 253 || p[0] == '.' || p[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || (extra != 0 && c == extra))) {
            return false;
        }
    }
    return true;
}

static bool host_name(const char *p, size_t n)
{
    return name_with(p, n, 0);
}

/* An IPv6 address that a packet can be sent to from anywhere. */
static bool ipv6(const char *p, size_t n)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr a;
    if (n >= sizeof copy) {
        return false;
    }
    memcpy(copy, p, n);
    copy[n] = 0;
    return inet_pton(AF_INET6, copy, &a) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&a) &&
           !IN6_IS_ADDR_MULTICAST(&a) && !IN6_IS_ADDR_LINKLOCAL(&a) && !IN6_IS_ADDR_V4MAPPED(&a);
}

/* "name:port", "192.0.2.1:port", "[2001:db8::1]:port" */
static bool host_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !port(colon + 1, strlen(colon + 1))) {
        return false;
    }
    size_t n = (size_t)(colon - text);
    return n > 2 && text[0] == '[' ? text[n - 1] == ']' && ipv6(text + 1, n - 2)
                                   : name_with(text, n, '_'); /* services are named so */
}

static bool s3_uri(const char *text)
{
    if (strncmp(text, "s3://", 5) != 0) {
        return false;
    }
    const char *bucket = text + 5;
    size_t n = strcspn(bucket, "/");
    return n >= 3 && n <= 63 && host_name(bucket, n) && bucket[n] == '/' && bucket[n + 1] != 0 &&
           strlen(bucket + n + 1) <= 1024;
}

static int check_source(const struct cv_boot_settings *s, const struct cv_boot_source *source,
                        struct cv_error *err)
{
    if (source->type == CV_BOOT_S3 && !s3_uri(source->location)) {
        return bad(err, "not an address like s3://bucket/key:", source->location);
    }
    if (source->type == CV_BOOT_LOCAL && strlen(source->location) > 1024) {
        return bad(err, "a path that is too long:", source->location);
    }
    for (size_t i = 0; i < source->allow_env.count; i++) {
        const char *rule = source->allow_env.item[i];
        size_t n = strlen(rule);
        if (n > 1 && rule[n - 1] == '*') {
            n--;
        }
        if (!cv_boot_env_name(rule, n)) {
            return bad(err, "not the name of a variable:", rule);
        }
    }
    for (size_t i = 0; i < source->allow_path.count; i++) {
        if (!cv_boot_path_plain(source->allow_path.item[i])) {
            return bad(err, "not an absolute, plain path:", source->allow_path.item[i]);
        }
    }
    if (s->publisher_key == NULL && source->allow_env.count + source->allow_path.count == 0) {
        return bad(err,
                   "without a publisher key an allow list is needed, or who may use the KMS "
                   "key could set anything:",
                   source->location);
    }
    return 0;
}

static int check_lists(const struct cv_boot_settings *s, struct cv_error *err)
{
    for (size_t i = 0; i < s->env.count; i++) {
        const char *e = s->env.item[i];
        if (strchr(e, '=') == NULL || e[0] == '=') {
            return bad(err, "not NAME=value:", e);
        }
    }
    for (size_t i = 0; i < s->ports.count; i++) {
        if (!port_pair(s->ports.item[i])) {
            return bad(err, "not a port, or PORT:PORT:", s->ports.item[i]);
        }
    }
    for (size_t i = 0; i < s->egress.count; i++) {
        if (!host_port(s->egress.item[i])) {
            return bad(err, "not HOST:PORT or [IPV6]:PORT:", s->egress.item[i]);
        }
    }
    for (size_t i = 0; i < s->untrusted_env.count; i++) {
        const char *name = s->untrusted_env.item[i];
        if (!cv_boot_env_name(name, strlen(name))) {
            return bad(err, "not the name of a variable:", name);
        }
    }
    for (size_t i = 0; i < s->context.count; i++) {
        if (strchr(s->context.item[i], '=') == NULL || s->context.item[i][0] == '=') {
            return bad(err, "not a key=value pair of an encryption context:", s->context.item[i]);
        }
    }
    for (size_t i = 0; i < s->cmk.count; i++) {
        struct cv_kms_arn arn;
        if (cv_kms_arn_parse(&arn, cv_bytes_str(s->cmk.item[i])) != 0) {
            return bad(err, "not the ARN of a KMS key:", s->cmk.item[i]);
        }
        if (s->region != NULL && !cv_bytes_equal_str(arn.region, s->region)) {
            return bad(err, "not in the region of this image's settings:", s->cmk.item[i]);
        }
    }
    return 0;
}

int cv_boot_check(const struct cv_boot_settings *s, struct cv_error *err)
{
    int rc = check_lists(s, err);
    for (size_t i = 0; rc == 0 && i < s->source_count; i++) {
        rc = check_source(s, &s->source[i], err);
    }
    if (rc != 0) {
        return rc;
    }
    if (s->source_count != 0 && s->cmk.count == 0) {
        return cv_error_set(err, CV_ERR_CONFIG,
                            "an encrypted configuration needs cmk: the KMS "
                            "key that it must have been encrypted under");
    }
    if (s->region != NULL && !cv_region_valid(cv_bytes_str(s->region))) {
        return bad(err, "not a region:", s->region);
    }
    if (s->workdir != NULL && s->workdir[0] != '/') {
        return bad(err, "not an absolute path:", s->workdir);
    }
    if (s->hostname != NULL &&
        (!host_name(s->hostname, strlen(s->hostname)) || strlen(s->hostname) > 63)) {
        return bad(err, "not a host name:", s->hostname);
    }
    if (s->boot_deadline_ms == 0 || s->boot_deadline_ms > 86400000) {
        return cv_error_set(err, CV_ERR_CONFIG, "the boot deadline must be from 1 ms to one day");
    }
    if (s->heartbeat != NULL && strcmp(s->heartbeat, "required") != 0 &&
        strcmp(s->heartbeat, "off") != 0) {
        return bad(err, "heartbeat is required or off, not", s->heartbeat);
    }
    if (s->minimum_format < 2 || s->minimum_format > 3) {
        return cv_error_set(err, CV_ERR_CONFIG, "minimum_format is 2 or 3");
    }
    if (s->config_pcr != 0 && (s->config_pcr < CV_BOOT_CONFIG_PCR || s->config_pcr > 31)) {
        return cv_error_set(err, CV_ERR_CONFIG,
                            "config_pcr must be a register of the enclave's own, 16 to 31, or 0");
    }
    /* 3 on Nitro, 2 where the parent is the host of a virtual machine. */
    if (s->parent_cid < 2 || s->parent_cid > UINT32_MAX - 1) {
        return cv_error_set(err, CV_ERR_CONFIG, "the parent's CID must be 2 or more");
    }
    return 0;
}
