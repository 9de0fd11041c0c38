/* SPDX-License-Identifier: Apache-2.0 */
/* Stage "network": names, addresses and forwarders. */
#include <stdio.h>

#include "common/file.h"
#include "init/files.h"
#include "init/init.h"
#include "init/system.h"

#define HOSTS "/etc/hosts"
#define HOSTS_MAX (1u << 20)

static int write_hosts(struct cv_init *i, struct cv_error *err)
{
    static const struct cv_file_owner owner = {.mode = 0644};
    CV_CLEANUP(cv_buf_free) struct cv_buf old, text;
    cv_buf_init(&old, HOSTS_MAX);
    cv_buf_init(&text, 2 * HOSTS_MAX);
    int rc = cv_file_read(&old, HOSTS, err);
    if (rc == CV_ERR_NOT_FOUND)
        rc = 0;
    if (rc == 0 && cv_egress_hosts(&i->egress, cv_buf_view(&old), i->settings.hostname, &text) != 0)
        rc = cv_error_set(err, CV_ERR_LIMIT, HOSTS " would be too long");
    return rc != 0 ? rc : cv_files_write(i->root, HOSTS, &owner, cv_buf_view(&text), err);
}

static int add_addresses(struct cv_init *i, struct cv_error *err)
{
    unsigned number = 0;
    for (size_t k = 0; k < i->egress.n; k++) {
        const struct cv_egress_entry *e = &i->egress.entry[k];
        int rc = e->is_ip ? cv_system_local_address(e->address, ++number, err) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

int cv_start_network(struct cv_init *i, struct cv_error *err)
{
    int rc = cv_egress_plan(&i->egress, &i->settings.egress, err);
    if (rc == 0)
        rc = write_hosts(i, err);
    if (rc == 0)
        rc = add_addresses(i, err);
    if (rc == 0)
        rc = cv_forward_start(&i->forward, &i->parent, &i->egress, &i->settings.ports, err);
    return rc;
}
