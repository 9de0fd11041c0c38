/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics for `claviger proxy`: a small server in a thread of its own. */
#ifndef CV_CLI_PROXY_METRICS_H
#define CV_CLI_PROXY_METRICS_H

#include "proxy/proxy.h"

struct cv_proxy_metrics;

/* Listens at ADDRESS ("tcp:127.0.0.1:9100"). CONFIGS and PROXIES, COUNT each,
 * are borrowed until it is stopped. */
int cv_proxy_metrics_start(struct cv_proxy_metrics **out, const char *address,
                           const struct cv_proxy_config *configs, struct cv_proxy **proxies,
                           size_t count, struct cv_error *err) CV_NODISCARD;
/* Harmless on NULL. */
void cv_proxy_metrics_stop(struct cv_proxy_metrics **m);

#endif
