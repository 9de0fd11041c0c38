/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a name's addresses are good for. getaddrinfo(3) does not tell, so
 * the name server is asked once more, for the records alone.
 */
#ifndef CV_TRANSPORT_RESOLVE_TTL_H
#define CV_TRANSPORT_RESOLVE_TTL_H

#include "common/bytes.h"
#include "transport/resolve.h"

/* Seconds that FOUND, the addresses of HOST, are good for: the smallest TTL of
 * the answer that holds one of them, CNAMEs on the way included (RFC 1035
 * section 3.2.1). CV_RESOLVE_TTL_UNKNOWN when no name server says so: the name
 * may stand in /etc/hosts. Takes a few seconds at most. */
int32_t cv_resolve_ttl(const char *host, const struct cv_resolved *found);

/* The same of one ANSWER as it came over the network. */
int32_t cv_dns_answer_ttl(struct cv_bytes answer, const struct cv_resolved *found);

#endif
