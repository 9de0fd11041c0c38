/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/secret.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

void cv_process_no_dumps(void)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        abort();
    /* LeakSanitizer traces its own process at exit, so its builds stay
     * dumpable. */
    if (!UNDER_SANITIZER && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        abort();
}

void cv_process_harden(void)
{
    cv_process_no_dumps();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        abort();
}
