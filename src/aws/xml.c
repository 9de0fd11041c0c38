/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/xml.h"

#include <stdio.h>
#include <string.h>

struct cv_bytes cv_xml_element(struct cv_bytes in, const char *tag)
{
    char open[40], close[40];
    int on = snprintf(open, sizeof open, "<%s>", tag);
    int cn = snprintf(close, sizeof close, "</%s>", tag);
    const uint8_t *p = in.n > 0 ? memmem(in.p, in.n, open, (size_t)on) : NULL;
    if (p == NULL)
        return CV_BYTES(NULL, 0);
    p += on;
    const uint8_t *end = memmem(p, in.n - (size_t)(p - in.p), close, (size_t)cn);
    return end == NULL ? CV_BYTES(NULL, 0) : CV_BYTES(p, (size_t)(end - p));
}

size_t cv_xml_unescape(char *text, size_t n)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        size_t step = 0;
        for (size_t k = 0; k < 5 && step == 0 && text[i] == '&'; k++) {
            size_t len = strlen(entities[k].name);
            if (n - i >= len && memcmp(text + i, entities[k].name, len) == 0) {
                text[out++] = entities[k].c;
                step = len;
            }
        }
        if (step == 0) {
            text[out++] = text[i];
            step = 1;
        }
        i += step;
    }
    return out;
}

int cv_xml_text(char *out, size_t size, struct cv_bytes in, const char *tag)
{
    struct cv_bytes e = cv_xml_element(in, tag);
    out[0] = '\0';
    if (e.n == 0)
        return CV_ERR_NOT_FOUND;
    if (e.n >= size || memchr(e.p, '\0', e.n) != NULL)
        return CV_ERR_LIMIT;
    memcpy(out, e.p, e.n);
    out[cv_xml_unescape(out, e.n)] = '\0';
    return 0;
}
