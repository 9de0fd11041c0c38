/* SPDX-License-Identifier: Apache-2.0 */
/* What enclave.yaml says, laid over the container's configuration and tree. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eif/enclave_yaml.h"

#define MAX_ACCOUNTS (1u << 20) /* bytes of /etc/passwd and /etc/group */

static int replace_list(struct cv_boot_list *list, const struct cv_boot_list *from)
{
    int rc = 0;
    for (size_t i = 0; i < list->count; i++) {
        free(list->item[i]);
    }
    free(list->item);
    *list = (struct cv_boot_list){NULL, 0};
    for (size_t i = 0; rc == 0 && i < from->count; i++) {
        rc = cv_boot_list_add(list, from->item[i]);
    }
    return rc;
}

static int apply_sources(struct cv_boot_settings *to, const struct cv_boot_settings *from)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < from->source_count; i++) {
        if (to->source_count == CV_BOOT_MAX_SOURCES) {
            return CV_ERR_LIMIT;
        }
        struct cv_boot_source *s = &to->source[to->source_count++];
        *s = (struct cv_boot_source){.type = from->source[i].type};
        rc = cv_boot_text_set(&s->location, from->source[i].location);
        if (rc == 0) {
            rc = replace_list(&s->allow_env, &from->source[i].allow_env);
        }
        if (rc == 0) {
            rc = replace_list(&s->allow_path, &from->source[i].allow_path);
        }
    }
    return rc;
}

int cv_enclave_config_apply(const struct cv_enclave_config *config,
                            struct cv_boot_settings *settings, struct cv_error *err)
{
    const struct cv_boot_settings *from = &config->settings;
    const struct {
        char **to;
        const char *from;
    } texts[] = {{&settings->user, from->user},
                 {&settings->workdir, from->workdir},
                 {&settings->hostname, from->hostname},
                 {&settings->region, from->region},
                 {&settings->publisher_key, from->publisher_key},
                 {&settings->heartbeat, from->heartbeat}};
    const struct {
        struct cv_boot_list *to;
        const struct cv_boot_list *from;
    } lists[] = {{&settings->ports, &from->ports},
                 {&settings->egress, &from->egress},
                 {&settings->cmk, &from->cmk},
                 {&settings->context, &from->context},
                 {&settings->untrusted_env, &from->untrusted_env}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof texts / sizeof texts[0]; i++) {
        rc = texts[i].from != NULL ? cv_boot_text_set(texts[i].to, texts[i].from) : 0;
    }
    for (size_t i = 0; rc == 0 && i < sizeof lists / sizeof lists[0]; i++) {
        rc = lists[i].from->count != 0 ? replace_list(lists[i].to, lists[i].from) : 0;
    }
    if (rc == 0 && config->has_command) { /* ENTRYPOINT and CMD together */
        rc = replace_list(&settings->argv, &from->argv);
    }
    for (size_t i = 0; rc == 0 && i < from->env.count; i++) {
        rc = cv_boot_env_set(&settings->env, from->env.item[i]);
    }
    if (rc == 0) {
        rc = apply_sources(settings, from);
    }
    settings->minimum_version = from->minimum_version;
    settings->minimum_format = from->minimum_format;
    settings->allow_debug = from->allow_debug;
    if (config->has_cid) {
        settings->parent_cid = from->parent_cid;
    }
    if (config->has_deadline) {
        settings->boot_deadline_ms = from->boot_deadline_ms;
    }
    /* Where something is applied at boot that the image does not hold, others can
     * see what it was. */
    bool open = settings->source_count != 0 || settings->untrusted_env.count != 0;
    settings->config_pcr = config->has_config_pcr ? from->config_pcr
                           : open                 ? CV_BOOT_CONFIG_PCR
                                                  : 0;
    return rc == 0 ? 0 : cv_error_set(err, rc, "applying enclave.yaml");
}

/* ---- owners ---- */

static bool number(uint32_t *out, const char *text, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || v > UINT32_MAX) {
            return false;
        }
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    *out = (uint32_t)v;
    return n != 0 && v < UINT32_MAX;
}

/* The numbers in fields 3 and 4 of NAME's line in a file like /etc/passwd. */
static bool account(struct cv_source *s, const char *file, const char *name, size_t n,
                    uint32_t *third, uint32_t *fourth)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, MAX_ACCOUNTS);
    if (cv_source_read_file(s, file, &text, NULL) != 0 || text.n == 0) {
        return false;
    }
    for (const char *line = (const char *)text.p; line != NULL;
         line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, name, n) != 0 || line[n] != ':') {
            continue;
        }
        const char *at = line + n + 1;
        at += strcspn(at, ":\n");
        if (*at != ':') {
            continue;
        }
        size_t len = strcspn(++at, ":\n");
        if (!number(third, at, len)) {
            continue;
        }
        at += len;
        *fourth = 0;
        if (*at == ':') {
            at++;
            (void)number(fourth, at, strcspn(at, ":\n"));
        }
        return true;
    }
    return false;
}

static int resolve_owner(struct cv_source *s, const struct cv_enclave_file *f, uint32_t *uid,
                         uint32_t *gid, struct cv_error *err)
{
    *uid = *gid = 0;
    if (f->owner == NULL) {
        return 0;
    }
    size_t n = strcspn(f->owner, ":");
    const char *group = f->owner[n] == ':' ? f->owner + n + 1 : NULL;
    uint32_t members;
    bool good = number(uid, f->owner, n) || account(s, "etc/passwd", f->owner, n, uid, gid);
    if (good && group != NULL) {
        good = number(gid, group, strlen(group)) ||
               account(s, "etc/group", group, strlen(group), gid, &members);
    }
    char quoted[80];
    return good ? 0
                : cv_error_set(err, CV_ERR_CONFIG,
                               "the owner \"%s\" of %s is not known to the "
                               "image's /etc/passwd and /etc/group",
                               cv_error_quote(quoted, sizeof quoted, f->owner, strlen(f->owner)),
                               f->path);
}

int cv_enclave_config_put_files(const struct cv_enclave_config *config, struct cv_source *source,
                                struct cv_error *err)
{
    for (size_t i = 0; i < config->file_count; i++) {
        const struct cv_enclave_file *f = &config->files[i];
        uint32_t uid, gid;
        int rc = resolve_owner(source, f, &uid, &gid, err);
        if (rc == 0 && f->source != NULL) {
            rc = cv_source_put_host_file(source, f->path, f->mode, uid, gid, f->source, err);
        } else if (rc == 0) {
            rc = cv_source_put_file(source, f->path, f->mode, uid, gid,
                                    CV_BYTES(f->content, f->content_len), err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
