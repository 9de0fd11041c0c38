/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sealed/s3ec.h"

static const char *bare(const char *name)
{
    size_t n = strlen(CV_S3EC_PREFIX);
    return strncasecmp(name, CV_S3EC_PREFIX, n) == 0 ? name + n : name;
}

int cv_s3ec_pairs_add(struct cv_s3ec_pairs *p, const char *name, const char *value, bool fold)
{
    if (p->n == CV_S3EC_MAX_PAIRS || strlen(name) > CV_S3EC_MAX_TEXT ||
        strlen(value) > CV_S3EC_MAX_TEXT) {
        return CV_ERR_LIMIT;
    }
    for (size_t i = 0; i < p->n; i++) {
        if (fold ? strcasecmp(bare(p->pair[i].name), bare(name)) == 0
                 : strcmp(p->pair[i].name, name) == 0) {
            return CV_ERR_EXISTS;
        }
    }
    struct cv_s3ec_pair pair = {strdup(name), strdup(value)};
    if (pair.name == NULL || pair.value == NULL) {
        free(pair.name);
        free(pair.value);
        return CV_ERR_NOMEM;
    }
    p->pair[p->n++] = pair;
    return 0;
}

const char *cv_s3ec_pairs_get(const struct cv_s3ec_pairs *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcasecmp(bare(p->pair[i].name), name) == 0) {
            return p->pair[i].value;
        }
    }
    return NULL;
}

void cv_s3ec_pairs_free(struct cv_s3ec_pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->pair[i].name);
        free(p->pair[i].value);
    }
    p->n = 0;
}
