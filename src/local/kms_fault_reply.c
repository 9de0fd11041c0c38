/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that change a finished reply. */
#include "local/kms_call.h"

#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

static void replace(struct cv_local_kms_reply *r, const char *text)
{
    cv_buf_reset(&r->body);
    if (cv_buf_append_str(&r->body, text))
        r->status = 500;
}

static void garbage(struct cv_local_kms_reply *r)
{
    uint8_t raw[300];
    cv_random(raw, sizeof raw);
    cv_buf_reset(&r->body);
    if (cv_buf_append(&r->body, raw, sizeof raw))
        r->status = 500;
}

static void huge(struct cv_local_kms_reply *r)
{
    static const char start[] = "{\"Plaintext\":\"", end[] = "\"}";
    size_t filling = (2u << 20) - (sizeof start - 1) - (sizeof end - 1);
    replace(r, start);
    uint8_t *room = cv_buf_reserve(&r->body, filling);
    if (!room)
        return;
    memset(room, 'A', filling);
    cv_buf_commit(&r->body, filling);
    if (cv_buf_append_str(&r->body, end))
        r->status = 500;
}

/* Every value of a well-formed reply in another guise. */
static void retype(struct cv_local_kms_reply *r, const char *value)
{
    json_t *doc = json_loadb((const char *)r->body.p, r->body.n, 0, NULL);
    const char *name;
    json_t *old;
    char *text;
    json_object_foreach (doc, name, old)
        json_object_set_new(doc, name, json_loads(value, JSON_DECODE_ANY, NULL));
    text = json_dumps(doc, JSON_COMPACT);
    if (text)
        replace(r, text);
    free(text);
    json_decref(doc);
}

void cv_local_fault_apply(const struct cv_local_fault *f, struct cv_local_kms_reply *r)
{
    switch (f->kind) {
    case CV_FAULT_HTML:
        r->status = 503;
        r->content_type = "text/html";
        replace(r, "<html><body><h1>503 Service Unavailable</h1></body></html>\n");
        break;
    case CV_FAULT_STALL:
        r->delay_ms = f->argument;
        break;
    case CV_FAULT_HANG:
        r->sending = CV_LOCAL_SEND_HANG;
        break;
    case CV_FAULT_CLOSE:
        r->sending = CV_LOCAL_SEND_NOTHING;
        break;
    case CV_FAULT_HALF:
        r->sending = CV_LOCAL_SEND_HALF;
        break;
    case CV_FAULT_SLOW:
        r->sending = CV_LOCAL_SEND_SLOWLY;
        break;
    case CV_FAULT_GARBAGE:
        garbage(r);
        break;
    case CV_FAULT_EMPTY:
        replace(r, "");
        break;
    case CV_FAULT_EMPTY_OBJECT:
        replace(r, "{}");
        break;
    case CV_FAULT_TYPES:
        retype(r, "[1]");
        break;
    case CV_FAULT_BASE64:
        retype(r, "\"*not base64*\"");
        break;
    case CV_FAULT_HUGE:
        huge(r);
        break;
    default:
        break; /* acted already, where the operation's parts are made */
    }
}
