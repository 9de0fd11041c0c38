/* SPDX-License-Identifier: Apache-2.0 */
/* The file of AWS's vsock-proxy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/allowlist.h"
#include "yaml/yaml.h"

static void read_entry(struct cv_yaml_problems *p, const struct cv_yaml_node *node,
                       struct cv_allowlist_entry *e)
{
    static const char *const keys[] = {"address", "port", NULL};
    const struct cv_yaml_node *address = cv_yaml_get(node, "address");
    const struct cv_yaml_node *port = cv_yaml_get(node, "port");
    const char *text = "";
    uint64_t number = 0;
    if (!cv_yaml_check_keys(p, node, keys))
        return;
    if (address == NULL || port == NULL) {
        cv_yaml_problem(p, node, "an entry has an address and a port");
        return;
    }
    if (cv_yaml_text(p, address, &text) && !cv_host_is_ip(text) && !cv_host_is_name(text))
        cv_yaml_problem(p, address, "this is neither a host name nor an IP address");
    else
        snprintf(e->host, sizeof e->host, "%s", text);
    if (cv_yaml_uint(p, port, &number, 1, 65535))
        e->port = (uint16_t)number;
}

static int read_root(struct cv_allowlist *out, struct cv_yaml_problems *p,
                     const struct cv_yaml_node *root)
{
    static const char *const keys[] = {"allowlist", NULL};
    const struct cv_yaml_node *list = cv_yaml_get(root, "allowlist");
    (void)cv_yaml_check_keys(p, root, keys);
    if (list == NULL) {
        cv_yaml_problem(p, NULL, "there is no allowlist");
        return 0;
    }
    if (!cv_yaml_is(p, list, CV_YAML_SEQUENCE))
        return 0;
    if (list->count > CV_ALLOWLIST_MAX) {
        cv_yaml_problem(p, list, "more than %d entries", CV_ALLOWLIST_MAX);
        return 0;
    }
    out->entries = calloc(list->count + 1, sizeof *out->entries);
    if (out->entries == NULL)
        return CV_ERR_NOMEM;
    for (const struct cv_yaml_node *n = list->first; n != NULL; n = n->next)
        read_entry(p, n, &out->entries[out->n++]);
    return 0;
}

int cv_allowlist_read(struct cv_allowlist *out, const char *path, struct cv_error *err)
{
    struct cv_yaml_problems *p = calloc(1, sizeof *p);
    struct cv_yaml_doc *doc = NULL;
    memset(out, 0, sizeof *out);
    if (p == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the allowlist");
    cv_yaml_problems_init(p, path);
    int rc = cv_yaml_parse_file(&doc, path, p);
    if (rc == 0)
        rc = read_root(out, p, cv_yaml_root(doc));
    if (p->count != 0)
        rc = cv_yaml_problems_error(p, err);
    else if (rc != 0)
        cv_error_set(err, rc, "reading the allowlist %s: %s", path, cv_strerror(rc));
    cv_yaml_free(doc);
    free(p);
    if (rc != 0)
        cv_allowlist_free(out);
    return rc;
}
