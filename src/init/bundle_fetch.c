/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "aws/s3.h"
#include "init/bundle.h"

/* x-amz-meta-… among the headers. */
static int take_metadata(struct cv_s3ec_pairs *out, const struct cv_http_message *m,
                         struct cv_error *err)
{
    size_t n = strlen(CV_S3EC_PREFIX);
    for (size_t i = 0; i < m->nheaders; i++) {
        if (strncasecmp(m->headers[i].name, CV_S3EC_PREFIX, n) != 0)
            continue;
        int rc = cv_s3ec_pairs_add(out, m->headers[i].name + n, m->headers[i].value, true);
        if (rc != 0)
            return cv_error_set(err, rc, "its metadata: %s", cv_strerror(rc));
    }
    return 0;
}

/* KEY.instruction holds what the object's metadata lack. */
static int fetch_instruction(struct cv_bundle_item *item, const struct cv_opener *o,
                             const struct cv_s3_uri *object, int64_t deadline, struct cv_error *err)
{
    struct cv_s3_uri uri = *object;
    struct cv_http_message m;
    struct cv_aws_error aws;
    size_t n = strlen(uri.key);
    if (n + sizeof ".instruction" > sizeof uri.key)
        return cv_error_set(err, CV_ERR_LIMIT, "its instruction file's name is too long");
    memcpy(uri.key + n, ".instruction", sizeof ".instruction");
    uri.version[0] = '\0';
    int rc = cv_s3_get(o->s3, &uri, &m, &aws, deadline, err);
    if (rc == 0)
        rc = cv_s3ec_instruction_parse(&item->metadata, cv_buf_view(&m.body), err);
    cv_http_message_free(&m);
    if (rc != 0)
        cv_error_wrap(err, "instruction file");
    return rc;
}

static int fetch_s3(struct cv_bundle_item *item, const struct cv_opener *o, int64_t deadline,
                    struct cv_error *err)
{
    struct cv_s3_uri uri;
    struct cv_http_message m;
    struct cv_aws_error aws;
    int rc = cv_s3_uri_parse(&uri, item->source->location, err);
    if (rc != 0)
        return rc;
    rc = cv_s3_get(o->s3, &uri, &m, &aws, deadline, err);
    if (rc == 0)
        rc = take_metadata(&item->metadata, &m, err);
    if (rc == 0 && cv_buf_append(&item->object, m.body.p, m.body.n) != 0)
        rc = cv_error_set(err, CV_ERR_LIMIT, "the object is too large");
    cv_http_message_free(&m);
    if (rc == 0 && cv_s3ec_needs_instruction(&item->metadata))
        rc = fetch_instruction(item, o, &uri, deadline, err);
    item->body = cv_buf_view(&item->object);
    return rc;
}

static int fetch_local(struct cv_bundle_item *item, const struct cv_opener *o, int64_t deadline,
                       struct cv_error *err)
{
    struct cv_control_message m;
    int rc = cv_control_ask(o->control, "file", item->source->location, &m, deadline, err);
    if (rc == 0 && cv_buf_append(&item->object, m.content.p, m.content.n) != 0)
        rc = cv_error_set(err, CV_ERR_NOMEM, "no memory");
    cv_control_message_free(&m);
    return rc != 0
               ? rc
               : cv_config_unpack(&item->metadata, &item->body, cv_buf_view(&item->object), err);
}

static void forget(struct cv_bundle_item *item)
{
    cv_s3ec_pairs_free(&item->metadata);
    memset(&item->metadata, 0, sizeof item->metadata);
    cv_buf_reset(&item->object);
    item->body = (struct cv_bytes){NULL, 0};
}

int cv_bundle_fetch(struct cv_bundle *b, const struct cv_opener *o, int64_t deadline,
                    struct cv_error *err)
{
    for (size_t i = 0; i < b->n; i++) {
        struct cv_bundle_item *item = &b->item[i];
        if (item->fetched)
            continue;
        forget(item);
        int rc = item->source->type == CV_BOOT_S3 ? fetch_s3(item, o, deadline, err)
                                                  : fetch_local(item, o, deadline, err);
        if (rc != 0) {
            cv_error_wrap(err, "%s", item->source->location);
            return rc;
        }
        item->fetched = true;
    }
    return 0;
}
