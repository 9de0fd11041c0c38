/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/endpoint.h"

#include <stdio.h>
#include <string.h>

/* The partitions by the start of a region's name; botocore's endpoints.json.
 * Longer starts come first, "aws" has the rest. */
static const struct partition {
    const char *start;
    const char *name;
    const char *suffix;
    const char *dual_suffix; /* NULL: no dual-stack endpoints */
} partitions[] = {
    {"cn-", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    {"us-gov-", "aws-us-gov", "amazonaws.com", "api.aws"},
    {"us-isob-", "aws-iso-b", "sc2s.sgov.gov", NULL},
    {"us-isof-", "aws-iso-f", "csp.hci.ic.gov", NULL},
    {"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk", NULL},
    {"us-iso-", "aws-iso", "c2s.ic.gov", NULL},
    {"eusc-", "aws-eusc", "amazonaws.eu", NULL},
    {"", "aws", "amazonaws.com", "api.aws"},
};

static const struct partition *partition_of(const char *region)
{
    const struct partition *p = partitions;
    while (strncmp(region, p->start, strlen(p->start)) != 0)
        p++;
    return p;
}

const char *cv_aws_partition(const char *region)
{
    return partition_of(region)->name;
}

bool cv_aws_region_valid(const char *region)
{
    size_t n = strlen(region);
    if (n == 0 || n > 63 || strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != n)
        return false;
    return region[0] != '-' && region[n - 1] != '-';
}

/* In GovCloud the plain endpoints of these are the FIPS ones (botocore's rules). */
static bool fips_already(const struct partition *p, const char *service)
{
    return strcmp(p->name, "aws-us-gov") == 0 &&
           (strcmp(service, "dynamodb") == 0 || strcmp(service, "sts") == 0);
}

int cv_aws_endpoint_compute(struct cv_aws_endpoint *out, const char *service, const char *region,
                            unsigned flags, struct cv_error *err)
{
    memset(out, 0, sizeof *out);
    if (!cv_aws_region_valid(region))
        return cv_error_set(err, CV_ERR_INVALID,
                            "this is no AWS region: it has lower-case letters, digits and hyphens");
    const struct partition *p = partition_of(region);
    bool s3 = strcmp(service, "s3") == 0, dual = (flags & CV_AWS_DUALSTACK) != 0;
    const char *fips = (flags & CV_AWS_FIPS) != 0 ? "-fips" : "";
    int n;
    if (!dual && fips_already(p, service))
        fips = "";
    if (*fips != '\0' && s3 && strcmp(p->name, "aws-cn") == 0)
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "S3 has no FIPS endpoints in %s", region);
    if (dual && p->dual_suffix == NULL && !s3)
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "AWS has no dual-stack endpoints in %s",
                            region);
    if (!dual)
        n = snprintf(out->host, sizeof out->host, "%s%s.%s.%s", service, fips, region, p->suffix);
    else if (s3)
        n = snprintf(out->host, sizeof out->host, "s3%s.dualstack.%s.%s", fips, region, p->suffix);
    else
        n = snprintf(out->host, sizeof out->host, "%s%s.%s.%s", service, fips, region,
                     p->dual_suffix);
    if (n < 0 || (size_t)n >= sizeof out->host)
        return cv_error_set(err, CV_ERR_LIMIT, "the endpoint's name is too long");
    out->tls = true;
    out->port = 443;
    return 0;
}

static int parse(struct cv_aws_endpoint *out, const char *url, bool allow_http, const char **why)
{
    char authority[CV_ADDR_HOST + 16];
    memset(out, 0, sizeof *out);
    out->custom = true;
    if (strncmp(url, "https://", 8) == 0) {
        out->tls = true;
        url += 8;
    } else if (strncmp(url, "http://", 7) == 0) {
        *why = "only https is accepted";
        if (!allow_http)
            return CV_ERR_INVALID;
        url += 7;
    } else {
        *why = "expected https://HOST[:PORT]";
        return CV_ERR_INVALID;
    }
    size_t n = strcspn(url, "/?#");
    *why = "expected https://HOST[:PORT], nothing else";
    if (n == 0 || n >= sizeof authority || memchr(url, '@', n) != NULL)
        return CV_ERR_INVALID;
    memcpy(authority, url, n);
    authority[n] = '\0';
    if (cv_hostport_parse(out->host, &out->port, authority, out->tls ? 443 : 80, NULL) != 0)
        return CV_ERR_INVALID;
    const char *path = url + n;
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    *why = "its path has characters that are not accepted";
    if (len >= sizeof out->prefix || strstr(path, "/.") != NULL || strstr(path, "//") != NULL)
        return CV_ERR_INVALID;
    for (size_t i = 0; i < len; i++) {
        char c = path[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && strchr("-._~/", c) == NULL)
            return CV_ERR_INVALID;
    }
    memcpy(out->prefix, path, len);
    return 0;
}

int cv_aws_endpoint_parse(struct cv_aws_endpoint *out, const char *url, bool allow_http,
                          struct cv_error *err)
{
    const char *why = "";
    char quoted[160];
    int rc = parse(out, url, allow_http, &why);
    if (rc != 0)
        cv_error_set(err, rc, "endpoint \"%s\": %s",
                     cv_error_quote(quoted, sizeof quoted, url, strlen(url)), why);
    return rc;
}

char *cv_aws_endpoint_host(char out[CV_AWS_HOST_MAX], const struct cv_aws_endpoint *e)
{
    bool v6 = strchr(e->host, ':') != NULL;
    const char *l = v6 ? "[" : "", *r = v6 ? "]" : "";
    if (e->port == (e->tls ? 443 : 80))
        snprintf(out, CV_AWS_HOST_MAX, "%s%s%s", l, e->host, r);
    else
        snprintf(out, CV_AWS_HOST_MAX, "%s%s%s:%u", l, e->host, r, e->port);
    return out;
}
