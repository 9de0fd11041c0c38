/* SPDX-License-Identifier: Apache-2.0 */
/* What a request says of its target and its length, where that can be said in
 * more than one way. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "signer/server_impl.h"

struct framing {
    const char *length;
    bool chunked, ambiguous;
};

static enum MHD_Result look(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *f = cls;
    (void)kind;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        f->ambiguous |= f->length != NULL && (value == NULL || strcmp(f->length, value) != 0);
        f->length = value;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        f->chunked = true;
    }
    return MHD_YES;
}

/* RFC 9112, 6.3: a proxy before us might take the other length for the true
 * one, and what it holds for a body be the next request here. */
bool cv_http_body_length(struct MHD_Connection *connection, unsigned long long *length)
{
    struct framing f = {.length = NULL};
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, look, &f);
    *length = f.length != NULL ? strtoull(f.length, NULL, 10) : 0;
    return !f.ambiguous && !(f.chunked && f.length != NULL);
}

/* RFC 9112, 3.2.2: servers accept the absolute form, which proxies are sent. */
const char *cv_http_path(const char *target)
{
    if (strncasecmp(target, "http://", 7) != 0 && strncasecmp(target, "https://", 8) != 0) {
        return target;
    }
    const char *path = strchr(strchr(target, ':') + 3, '/');
    return path != NULL ? path : "/";
}
