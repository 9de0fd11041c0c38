/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts an enclave may reach through its parent, and where they are. */
#ifndef CV_PARENT_RULES_H
#define CV_PARENT_RULES_H

#include "common/bytes.h"
#include "transport/addr.h"

struct cv_parent_rule {
    char host[CV_ADDR_HOST]; /* name or IP address */
    bool below;              /* any name below HOST ("*.HOST"), and not HOST itself */
    uint16_t port;
    bool mapped; /* it is at TO, whatever the resolver says */
    struct cv_addr to;
};

#define CV_PARENT_RULES_MAX 192
struct cv_parent_rules {
    struct cv_parent_rule v[CV_PARENT_RULES_MAX];
    size_t n;
};

/* Adds "[*.]HOST:PORT[=ADDRESS]", ADDRESS as in transport/addr.h. CV_ERR_INVALID
 * with a sentence, CV_ERR_LIMIT. */
int cv_parent_rules_add(struct cv_parent_rules *rules, const char *text,
                        struct cv_error *err) CV_NODISCARD;
/* Adds the endpoints of KMS and S3 in REGION: plain, FIPS, dual-stack, and for
 * S3 every bucket's own name. */
int cv_parent_rules_add_region(struct cv_parent_rules *rules, const char *region,
                               struct cv_error *err) CV_NODISCARD;
/* The first rule that allows HOST:PORT; names are compared in any case. NULL. */
const struct cv_parent_rule *cv_parent_rules_find(const struct cv_parent_rules *rules,
                                                  const char *host, uint16_t port);

/* The first line of a tunnel without its newline, "CONNECT host:port".
 * CV_ERR_INVALID, CV_ERR_LIMIT: what is wrong with it. */
#define CV_PARENT_CONNECT_MAX 300 /* bytes of the line with its newline */
int cv_parent_connect_parse(char host[CV_ADDR_HOST], uint16_t *port, struct cv_bytes line,
                            struct cv_error *err) CV_NODISCARD;

#endif
