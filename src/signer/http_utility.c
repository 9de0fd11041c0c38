/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of the utility server. */
#include "signer/server_impl.h"

static void healthz(struct cv_http *h, const char *argument)
{
    const struct cv_server *s = h->server;
    bool ready = !s->draining;
    (void)argument;
    for (size_t i = 0; i < s->o.vault_count; i++) {
        ready = ready && cv_vault_state(s->o.vaults[i]) == CV_VAULT_UP;
    }
    if (cv_buf_append_str(&h->reply, ready ? "{\"ready\":true}\n" : "{\"ready\":false}\n") != 0) {
        ready = false;
    }
    cv_http_answer(h, ready ? 200 : 503, "application/json; charset=utf-8");
}

const struct cv_route cv_utility_routes[] = {
    {"GET", "/healthz", false, healthz},
};
const size_t cv_utility_route_count = sizeof(cv_utility_routes) / sizeof(cv_utility_routes[0]);
