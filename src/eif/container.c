/* SPDX-License-Identifier: Apache-2.0 */
/* A container image's layers into the tree, each checked against its digests. */
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "eif/source.h"

void cv_image_free(struct cv_image *image)
{
    for (size_t i = 0; i < image->count; i++) {
        free(image->layers[i].member);
    }
    free(image->layers);
    free(image->config_digest);
    free(image->name);
    json_decref(image->manifest);
    json_decref(image->config);
    memset(image, 0, sizeof *image);
}

int cv_image_take_diffs(struct cv_image *image, struct cv_error *err)
{
    json_t *ids = json_object_get(json_object_get(image->config, "rootfs"), "diff_ids");
    if (image->count == 0 && (ids == NULL || json_is_null(ids))) {
        return 0; /* Go writes an empty list as null */
    }
    if (!json_is_array(ids) || json_array_size(ids) != image->count) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the container image has %zu layers, and its "
                            "configuration tells the digests of %zu",
                            image->count, json_array_size(ids));
    }
    for (size_t i = 0; i < image->count; i++) {
        image->layers[i].diff = json_string_value(json_array_get(ids, i));
        if (image->layers[i].diff == NULL) {
            return cv_error_set(err, CV_ERR_INVALID, "a layer's digest is no text");
        }
    }
    return 0;
}

/* ---- layers ---- */

static int compare_digest(const uint8_t sum[32], const char *want, size_t index, const char *what,
                          struct cv_error *err)
{
    char hex[65];
    cv_hex_encode(hex, sum, 32);
    if (strncmp(want, "sha256:", 7) != 0) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "layer %zu has a digest other than SHA-256",
                            index + 1);
    }
    if (strcmp(want + 7, hex) != 0) {
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "layer %zu has not the digest that the container "
                            "image tells (%s): it is damaged or was exchanged",
                            index + 1, what);
    }
    return 0;
}

static int apply_layer(struct cv_source *s, struct cv_store *st, const struct cv_layer *layer,
                       size_t index, struct cv_error *err)
{
    int fd;
    uint64_t offset, size;
    int rc = cv_store_find(s, st, layer->member, &fd, &offset, &size, err);
    if (rc == 0 && layer->size != 0 && layer->size != size) {
        rc = cv_error_set(err, CV_ERR_INVALID, "it has %llu bytes, and %llu are announced",
                          (unsigned long long)size, (unsigned long long)layer->size);
    }
    struct cv_input in;
    if (rc == 0) {
        rc = cv_input_open(&in, fd, offset, size, layer->digest != NULL, true, err);
    }
    if (rc != 0) {
        return rc;
    }
    in.ample = cv_source_ample(s);
    uint8_t raw[32], plain[32];
    cv_tree_next_layer(&s->tree);
    rc = cv_source_apply_tar(s, &in, true, false, err);
    if (rc == 0) {
        rc = cv_input_finish(&in, layer->digest != NULL ? raw : NULL, plain, err);
    }
    cv_input_close(&in);
    if (rc == 0 && layer->digest != NULL) {
        rc = compare_digest(raw, layer->digest, index, "blob", err);
    }
    return rc == 0 ? compare_digest(plain, layer->diff, index, "diff_id", err) : rc;
}

/* ---- configuration ---- */

static bool is_text_list(const json_t *o)
{
    if (o == NULL || json_is_null(o)) {
        return true;
    }
    size_t i;
    json_t *v;
    bool good = json_is_array(o);
    json_array_foreach (o, i, v) {
        good = good && json_is_string(v);
    }
    return good;
}

static bool is_text(const json_t *o)
{
    return o == NULL || json_is_null(o) || json_is_string(o);
}

static int check_config(const json_t *config, const char *arch, struct cv_error *err)
{
    const char *is = json_string_value(json_object_get(config, "architecture"));
    const char *os = json_string_value(json_object_get(config, "os"));
    if (os != NULL && strcmp(os, "linux") != 0) {
        return cv_error_set(err, CV_ERR_INVALID, "the container image is not for Linux");
    }
    if (is != NULL && strcmp(is, arch) != 0) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the container image is for %.20s, and the "
                            "enclave image for %s (--arch)",
                            is, arch);
    }
    const json_t *c = json_object_get(config, "config");
    if (c != NULL && !json_is_object(c) && !json_is_null(c)) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the container image's configuration is "
                            "malformed");
    }
    static const char *const lists[] = {"Entrypoint", "Cmd", "Env"};
    static const char *const texts[] = {"User", "WorkingDir", "StopSignal"};
    for (size_t i = 0; i < 3; i++) {
        if (!is_text_list(json_object_get(c, lists[i])) || !is_text(json_object_get(c, texts[i]))) {
            return cv_error_set(err, CV_ERR_INVALID,
                                "%s or %s of the container image is "
                                "malformed",
                                lists[i], texts[i]);
        }
    }
    return 0;
}

/* The part of docker image inspect that an archive tells. */
static json_t *inspect(const struct cv_image *image)
{
    static const char *const same[][2] = {{"created", "Created"},
                                          {"architecture", "Architecture"},
                                          {"os", "Os"},
                                          {"author", "Author"},
                                          {"config", "Config"}};
    json_t *o = json_object();
    (void)json_object_set_new(o, "Id", json_string(image->config_digest));
    json_t *tags = json_array();
    if (image->name != NULL) {
        (void)json_array_append_new(tags, json_string(image->name));
    }
    (void)json_object_set_new(o, "RepoTags", tags);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        json_t *v = json_object_get(image->config, same[i][0]);
        if (v != NULL) {
            (void)json_object_set(o, same[i][1], v);
        }
    }
    json_t *ids = json_object_get(json_object_get(image->config, "rootfs"), "diff_ids");
    (void)json_object_set_new(o, "RootFS",
                              json_pack("{s:s, s:O}", "Type", "layers", "Layers", ids));
    return o;
}

/* "registry:5000/team/app:1.2@sha256:…" without tag and digest. */
static char *repository(const char *name)
{
    size_t n = strcspn(name, "@");
    const char *slash = memrchr(name, '/', n);
    const char *base = slash != NULL ? slash + 1 : name;
    const char *colon = memchr(base, ':', n - (size_t)(base - name));
    return strndup(name, colon != NULL ? (size_t)(colon - name) : n);
}

static int keep(struct cv_source *s, const struct cv_image *image, struct cv_error *err)
{
    s->config = json_incref(json_object_get(image->config, "config"));
    s->info = inspect(image);
    if (image->name != NULL) {
        s->name = repository(image->name);
    }
    const char *id = strchr(image->config_digest, ':');
    s->version = strdup(id != NULL ? id + 1 : image->config_digest);
    return s->info != NULL && s->version != NULL ? 0
                                                 : cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

static int read_image(struct cv_source *s, struct cv_store *st, struct cv_image *image,
                      struct cv_error *err)
{
    int rc = cv_store_has(s, st, "manifest.json") ? cv_image_read_docker(s, st, image, err)
                                                  : cv_image_read_oci(s, st, image, err);
    if (rc == 0) {
        rc = check_config(image->config, s->options->arch, err);
    }
    if (rc == 0) {
        rc = cv_image_take_diffs(image, err);
    }
    for (size_t i = 0; rc == 0 && i < image->count; i++) {
        rc = apply_layer(s, st, &image->layers[i], i, err);
        if (rc != 0) {
            cv_error_wrap(err, "layer %zu of %zu", i + 1, image->count);
        }
    }
    return rc == 0 ? keep(s, image, err) : rc;
}

int cv_source_read_container(struct cv_source *s, struct cv_store *st, struct cv_error *err)
{
    struct cv_image image = {.count = 0};
    int rc = read_image(s, st, &image, err);
    cv_image_free(&image);
    return rc;
}
