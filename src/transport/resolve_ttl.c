/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/resolve_ttl.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX 4096 /* glibc asks for no larger ones over UDP */
#define TRY_SECONDS 1   /* for each name server, once: the addresses are known already */

static bool is_one_of(const struct cv_resolved *found, int type, const uint8_t *data, size_t n)
{
    char text[INET6_ADDRSTRLEN];
    bool four = type == ns_t_a;
    if (n != (four ? sizeof(struct in_addr) : sizeof(struct in6_addr)) ||
        inet_ntop(four ? AF_INET : AF_INET6, data, text, sizeof text) == NULL)
        return false;
    for (size_t i = 0; i < found->n; i++)
        if (strcmp(found->addr[i].host, text) == 0)
            return true;
    return false;
}

int32_t cv_dns_answer_ttl(struct cv_bytes answer, const struct cv_resolved *found)
{
    ns_msg msg;
    ns_rr rr;
    uint32_t least = INT32_MAX; /* RFC 2181 section 8: 31 bits */
    bool ours = false;
    if (answer.n > ANSWER_MAX || ns_initparse(answer.p, (int)answer.n, &msg) != 0 ||
        ns_msg_getflag(msg, ns_f_rcode) != ns_r_noerror)
        return CV_RESOLVE_TTL_UNKNOWN;
    for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
        if (ns_parserr(&msg, ns_s_an, i, &rr) != 0)
            return CV_RESOLVE_TTL_UNKNOWN;
        int type = (int)ns_rr_type(rr);
        if (ns_rr_class(rr) != ns_c_in ||
            (type != ns_t_a && type != ns_t_aaaa && type != ns_t_cname))
            continue;
        /* Greater ones count as none (RFC 2181 section 8). */
        uint32_t ttl = ns_rr_ttl(rr) > INT32_MAX ? 0 : ns_rr_ttl(rr);
        least = ttl < least ? ttl : least;
        ours = ours ||
               (type != ns_t_cname && is_one_of(found, type, ns_rr_rdata(rr), ns_rr_rdlen(rr)));
    }
    return ours ? (int32_t)least : CV_RESOLVE_TTL_UNKNOWN;
}

static bool has_family(const struct cv_resolved *found, bool v6)
{
    for (size_t i = 0; i < found->n; i++)
        if ((strchr(found->addr[i].host, ':') != NULL) == v6)
            return true;
    return false;
}

int32_t cv_resolve_ttl(const char *host, const struct cv_resolved *found)
{
    static const struct {
        int type;
        bool v6;
    } kinds[] = {{ns_t_a, false}, {ns_t_aaaa, true}};
    struct __res_state state;
    uint8_t answer[ANSWER_MAX];
    int32_t least = CV_RESOLVE_TTL_UNKNOWN;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0)
        return least;
    state.retrans = TRY_SECONDS;
    state.retry = 1;
    for (size_t i = 0; i < 2; i++) {
        if (!has_family(found, kinds[i].v6))
            continue;
        /* With the search list, as getaddrinfo has it. */
        int n = res_nsearch(&state, host, ns_c_in, kinds[i].type, answer, sizeof answer);
        int32_t ttl = n > 0 && n <= ANSWER_MAX
                          ? cv_dns_answer_ttl(CV_BYTES(answer, (size_t)n), found)
                          : CV_RESOLVE_TTL_UNKNOWN;
        if (ttl >= 0 && (least < 0 || ttl < least))
            least = ttl;
    }
    res_nclose(&state);
    return least;
}
