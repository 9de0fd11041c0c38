/* SPDX-License-Identifier: Apache-2.0 */
/* The archive of docker save: manifest.json, a list of
 * {"Config": member, "RepoTags": [names], "Layers": [members]}. */
#include <stdlib.h>
#include <string.h>

#include "eif/source.h"

static int bad(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_INVALID,
                        "manifest.json is not that of a container archive (--type tar takes the "
                        "archive for the application's files)");
}

/* NAME is asked for as ASKED: the same, or without the default tag or the
 * default registry. */
static bool same_name(const char *name, const char *asked)
{
    static const char *const defaults[] = {"docker.io/library/", "docker.io/", ""};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(defaults[i]);
        const char *rest = strncmp(name, defaults[i], n) == 0 ? name + n : name;
        size_t len = strlen(asked);
        if (strcmp(rest, asked) == 0 ||
            (strncmp(rest, asked, len) == 0 && strcmp(rest + len, ":latest") == 0)) {
            return true;
        }
    }
    return false;
}

static const char *tag_of(const json_t *entry, const char *asked)
{
    size_t i;
    json_t *tag;
    json_array_foreach (json_object_get(entry, "RepoTags"), i, tag) {
        const char *name = json_string_value(tag);
        if (name != NULL && (asked == NULL || same_name(name, asked))) {
            return name;
        }
    }
    return NULL;
}

static int choose(const json_t *list, const char *asked, const json_t **entry, struct cv_error *err)
{
    if (!json_is_array(list) || json_array_size(list) == 0) {
        return bad(err);
    }
    *entry = json_array_get(list, 0);
    if (asked == NULL) {
        return json_array_size(list) == 1 ? 0
                                          : cv_error_set(err, CV_ERR_INVALID,
                                                         "the archive holds %zu images: choose one "
                                                         "with --image",
                                                         json_array_size(list));
    }
    size_t i;
    json_t *one;
    json_array_foreach (list, i, one) {
        const char *config = json_string_value(json_object_get(one, "Config"));
        if (tag_of(one, asked) != NULL ||
            (config != NULL && strncmp(asked, "sha256:", 7) == 0 &&
             strstr(config, asked + 7) != NULL && strlen(asked) == 71)) {
            *entry = one;
            return 0;
        }
    }
    return cv_error_set(err, CV_ERR_NOT_FOUND, "the archive holds no image of the name %.100s",
                        asked);
}

/* The id that the configuration's name is: "HEX.json" or "blobs/sha256/HEX". */
static char *digest_in_name(const char *member)
{
    const char *base = strrchr(member, '/');
    base = base != NULL ? base + 1 : member;
    char *digest;
    if (strspn(base, "0123456789abcdef") != 64 ||
        (base[64] != 0 && strcmp(base + 64, ".json") != 0) ||
        asprintf(&digest, "sha256:%.64s", base) < 0) {
        return NULL;
    }
    return digest;
}

static int read_layers(struct cv_image *image, const json_t *layers, struct cv_error *err)
{
    size_t n = json_array_size(layers);
    bool none = layers == NULL || json_is_null(layers);
    if ((!json_is_array(layers) && !none) || n > CV_SOURCE_MAX_LAYERS) {
        return bad(err);
    }
    image->layers = calloc(n + 1, sizeof *image->layers);
    if (image->layers == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    for (; image->count < n; image->count++) {
        const char *member = json_string_value(json_array_get(layers, image->count));
        if (member == NULL) {
            return bad(err);
        }
        image->layers[image->count].member = strdup(member);
        if (image->layers[image->count].member == NULL) {
            return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
        }
    }
    return 0;
}

int cv_image_read_docker(struct cv_source *s, struct cv_store *st, struct cv_image *image,
                         struct cv_error *err)
{
    int rc = cv_store_json(s, st, "manifest.json", NULL, 0, &image->manifest, err);
    const json_t *entry = NULL;
    if (rc == 0) {
        rc = choose(image->manifest, s->options->image, &entry, err);
    }
    if (rc != 0) {
        return rc;
    }
    const char *config = json_string_value(json_object_get(entry, "Config"));
    if (config == NULL) {
        return bad(err);
    }
    image->config_digest = digest_in_name(config);
    rc = cv_store_json(s, st, config, image->config_digest, 0, &image->config, err);
    if (rc == 0 && image->config_digest == NULL) {
        image->config_digest = strdup("unknown");
    }
    const char *tag = tag_of(entry, s->options->image);
    image->name = tag != NULL ? strdup(tag) : NULL;
    return rc == 0 ? read_layers(image, json_object_get(entry, "Layers"), err) : rc;
}
