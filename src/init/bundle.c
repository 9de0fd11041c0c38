/* SPDX-License-Identifier: Apache-2.0 */
#include "init/bundle.h"

#include <string.h>

void cv_bundle_init(struct cv_bundle *b, const struct cv_boot_settings *settings)
{
    memset(b, 0, sizeof *b);
    b->n = settings->source_count;
    for (size_t i = 0; i < b->n; i++) {
        b->item[i].source = &settings->source[i];
        cv_buf_init(&b->item[i].object, CV_S3EC_MAX_BODY);
    }
}

void cv_bundle_free(struct cv_bundle *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct cv_bundle_item *item = &b->item[i];
        cv_secrets_free(&item->secrets);
        cv_secret_free(&item->plaintext);
        cv_s3ec_meta_free(&item->meta);
        cv_s3ec_pairs_free(&item->metadata);
        cv_buf_free(&item->object);
    }
    b->n = 0;
}

static int refuse(const struct cv_bundle_item *item, const char *what, const char *name,
                  struct cv_error *err)
{
    char quoted[120];
    return cv_error_set(err, CV_ERR_DENIED, "%s may not %s %s: the image's %s does not list it",
                        item->source->location, what,
                        cv_error_quote(quoted, sizeof quoted, name, strlen(name)),
                        what[0] == 's' ? "allow_env" : "allow_path");
}

static int check_item(struct cv_bundle_item *item, const struct cv_boot_settings *settings,
                      struct cv_error *err)
{
    cv_secrets_free(&item->secrets);
    memset(&item->secrets, 0, sizeof item->secrets);
    int rc = cv_secrets_decode(&item->secrets, cv_secret_view(&item->plaintext), err);
    if (rc != 0) {
        cv_error_wrap(err, "%s", item->source->location);
        return rc;
    }
    for (size_t i = 0; i < item->secrets.env_count; i++) {
        const char *name = item->secrets.env[i].name;
        if (!cv_boot_allows_env(settings, item->source, name))
            return refuse(item, "set the variable", name, err);
    }
    for (size_t i = 0; i < item->secrets.file_count; i++) {
        const char *path = item->secrets.file[i].path;
        if (!cv_boot_allows_path(settings, item->source, path))
            return refuse(item, "write the file", path, err);
    }
    return 0;
}

int cv_bundle_check(struct cv_bundle *b, const struct cv_boot_settings *settings,
                    const struct cv_bundle *old, struct cv_error *err)
{
    for (size_t i = 0; i < b->n; i++) {
        if (old != NULL && old->n == b->n && b->item[i].version < old->item[i].version)
            return cv_error_set(err, CV_ERR_DENIED,
                                "%s: version %llu is older than %llu, which runs",
                                b->item[i].source->location, (unsigned long long)b->item[i].version,
                                (unsigned long long)old->item[i].version);
        int rc = check_item(&b->item[i], settings, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

const struct cv_secret_file *cv_bundle_file(const struct cv_bundle *b, const char *path)
{
    for (size_t i = b->n; i-- > 0;) {
        const struct cv_secrets *s = &b->item[i].secrets;
        for (size_t j = 0; j < s->file_count; j++) {
            if (strcmp(s->file[j].path, path) == 0)
                return &s->file[j];
        }
    }
    return NULL;
}
