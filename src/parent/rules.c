/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "aws/endpoint.h"

static struct cv_parent_rule *next_rule(struct cv_parent_rules *rules)
{
    if (rules->n == CV_PARENT_RULES_MAX)
        return NULL;
    struct cv_parent_rule *r = &rules->v[rules->n];
    memset(r, 0, sizeof *r);
    return r;
}

static int full(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_LIMIT, "more than %d hosts are allowed", CV_PARENT_RULES_MAX);
}

/* An IPv6 address can be written in many ways: in one (RFC 5952) here. */
static void canonical(char host[CV_ADDR_HOST])
{
    struct in6_addr six;
    if (inet_pton(AF_INET6, host, &six) == 1)
        inet_ntop(AF_INET6, &six, host, CV_ADDR_HOST);
}

int cv_parent_rules_add(struct cv_parent_rules *rules, const char *text, struct cv_error *err)
{
    char target[CV_ADDR_TEXT];
    const char *eq = strchr(text, '=');
    size_t n = eq != NULL ? (size_t)(eq - text) : strlen(text);
    struct cv_parent_rule *r = next_rule(rules);
    if (r == NULL)
        return full(err);
    r->below = strncmp(text, "*.", 2) == 0;
    const char *start = text + (r->below ? 2 : 0);
    n -= r->below ? 2 : 0;
    if (n >= sizeof target)
        return cv_error_set(err, CV_ERR_INVALID, "a host and port are shorter than that");
    memcpy(target, start, n);
    target[n] = 0;
    int rc = cv_hostport_parse(r->host, &r->port, target, 0, err);
    if (rc == 0)
        canonical(r->host);
    if (rc == 0 && r->below && cv_host_is_ip(r->host))
        rc = cv_error_set(err, CV_ERR_INVALID, "there are no names below the address %s", r->host);
    if (rc == 0 && eq != NULL) {
        r->mapped = true;
        rc = cv_addr_parse(&r->to, eq + 1, err);
        if (rc == 0 && r->to.kind == CV_ADDR_TCP && !cv_host_is_ip(r->to.host))
            rc = cv_error_set(err, CV_ERR_INVALID,
                              "the address after '=' needs an IP address, not a name");
    }
    if (rc == 0)
        rules->n++;
    return rc;
}

int cv_parent_rules_add_region(struct cv_parent_rules *rules, const char *region,
                               struct cv_error *err)
{
    static const char *const services[] = {"kms", "s3"};
    static const unsigned flags[] = {0, CV_AWS_FIPS, CV_AWS_DUALSTACK,
                                     CV_AWS_FIPS | CV_AWS_DUALSTACK};
    for (size_t s = 0; s < 2; s++) {
        for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++) {
            struct cv_aws_endpoint e;
            int rc = cv_aws_endpoint_compute(&e, services[s], region, flags[f], err);
            if (rc != 0)
                return rc;
            for (size_t below = 0; below <= s; below++) {
                struct cv_parent_rule *r = next_rule(rules);
                if (r == NULL)
                    return full(err);
                (void)snprintf(r->host, sizeof r->host, "%s", e.host);
                r->port = e.port;
                r->below = below == 1;
                rules->n++;
            }
        }
    }
    return 0;
}

static bool fits(const struct cv_parent_rule *r, const char *host)
{
    size_t n = strlen(host), suffix = strlen(r->host);
    if (!r->below)
        return strcasecmp(host, r->host) == 0;
    return n > suffix + 1 && host[n - suffix - 1] == '.' &&
           strcasecmp(host + n - suffix, r->host) == 0;
}

const struct cv_parent_rule *cv_parent_rules_find(const struct cv_parent_rules *rules,
                                                  const char *host, uint16_t port)
{
    for (size_t i = 0; i < rules->n; i++) {
        if (rules->v[i].port == port && fits(&rules->v[i], host))
            return &rules->v[i];
    }
    return NULL;
}

int cv_parent_connect_parse(char host[CV_ADDR_HOST], uint16_t *port, struct cv_bytes line,
                            struct cv_error *err)
{
    static const char verb[] = "CONNECT ";
    char target[CV_PARENT_CONNECT_MAX];
    size_t skip = sizeof verb - 1;
    if (line.n >= CV_PARENT_CONNECT_MAX)
        return cv_error_set(err, CV_ERR_LIMIT, "the line is longer than %d bytes",
                            CV_PARENT_CONNECT_MAX);
    if (line.n <= skip || memcmp(line.p, verb, skip) != 0 || memchr(line.p, 0, line.n) != NULL)
        return cv_error_set(err, CV_ERR_INVALID, "expected CONNECT host:port");
    memcpy(target, line.p + skip, line.n - skip);
    target[line.n - skip] = 0;
    int rc = cv_hostport_parse(host, port, target, 0, err);
    if (rc == 0)
        canonical(host);
    return rc;
}
