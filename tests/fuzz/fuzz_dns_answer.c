/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of a name server, whose TTL is looked for. */
#include <string.h>

#include "transport/resolve_ttl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_resolved found = {.n = 2};
    strcpy(found.addr[0].host, "192.0.2.1");
    strcpy(found.addr[1].host, "2001:db8::1");
    int32_t ttl = cv_dns_answer_ttl(CV_BYTES(data, size), &found);
    if (ttl < CV_RESOLVE_TTL_UNKNOWN)
        __builtin_trap();
    return 0;
}
