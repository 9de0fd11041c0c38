/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "signer/server_impl.h"

int cv_server_start(struct cv_server **out, const struct cv_server_options *options,
                    struct cv_error *err)
{
    *out = NULL;
    struct cv_server *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the server");
    }
    s->o = *options;
    s->main = (struct cv_endpoint){.server = s,
                                   .routes = cv_main_routes,
                                   .route_count = cv_main_route_count,
                                   .body_max = (size_t)options->config->caps.body_bytes};
    s->utility = (struct cv_endpoint){.server = s,
                                      .routes = cv_utility_routes,
                                      .route_count = cv_utility_route_count,
                                      .body_max = 4096};
    s->main.source.fd = s->utility.source.fd = -1;
    int rc = options->config->tls.certificate != NULL
                 ? cv_server_tls_new(&s->main.tls, &options->config->tls, err)
                 : 0;
    if (rc == 0) {
        rc = cv_endpoint_start(&s->main, "main", &options->config->address, err);
    }
    if (rc == 0) {
        rc = cv_endpoint_start(&s->utility, "utility", &options->config->utility_address, err);
    }
    if (rc != 0) {
        cv_server_stop(&s);
        return rc;
    }
    *out = s;
    return 0;
}

const struct cv_addr *cv_server_address(const struct cv_server *server)
{
    return &server->main.addr;
}

const struct cv_addr *cv_server_utility_address(const struct cv_server *server)
{
    return &server->utility.addr;
}

int cv_server_reload(struct cv_server *server, const struct cv_config *config, struct cv_error *err)
{
    if (server->main.tls != NULL && config->tls.certificate != NULL) {
        int rc = cv_server_tls_reload(server->main.tls, &config->tls, err);
        if (rc != 0) {
            return rc;
        }
    }
    server->o.config = config;
    return 0;
}

void cv_server_drain(struct cv_server *server)
{
    server->draining = true;
    cv_endpoint_quiesce(&server->main);
}

size_t cv_server_in_work(const struct cv_server *server)
{
    return server->waiting;
}

void cv_server_stop(struct cv_server **server)
{
    struct cv_server *s = *server;
    *server = NULL;
    if (s != NULL) {
        cv_endpoint_stop(&s->main);
        cv_endpoint_stop(&s->utility);
        cv_server_tls_free(&s->main.tls);
        cv_http_drop_spares(s);
        free(s);
    }
}
