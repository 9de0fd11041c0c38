/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI image layout: index.json, blobs/ALGORITHM/HEX, descriptors
 * {mediaType, digest, size, platform, annotations} (OCI image specification). */
#include <stdlib.h>
#include <string.h>

#include "eif/source.h"

#define MAX_INDEX_DEPTH 4u

static int bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_INVALID, "the OCI image is malformed: %s", what);
}

static bool media_is(const json_t *descriptor, const char *const types[])
{
    const char *type = json_string_value(json_object_get(descriptor, "mediaType"));
    for (size_t i = 0; type != NULL && types[i] != NULL; i++) {
        if (strcmp(type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *const index_types[] = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json", NULL};
static const char *const manifest_types[] = {"application/vnd.oci.image.manifest.v1+json",
                                             "application/vnd.docker.distribution.manifest.v2+json",
                                             NULL};

/* The digest and the blob's name of a descriptor. */
static int descriptor_of(const json_t *d, const char **digest, char name[96], uint64_t *size,
                         struct cv_error *err)
{
    *digest = json_string_value(json_object_get(d, "digest"));
    json_int_t n = json_integer_value(json_object_get(d, "size"));
    if (*digest == NULL || n < 0 || !json_is_integer(json_object_get(d, "size"))) {
        return bad(err, "a descriptor lacks digest or size");
    }
    if (strncmp(*digest, "sha256:", 7) != 0 || strlen(*digest) != 71 ||
        strspn(*digest + 7, "0123456789abcdef") != 64) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "the OCI image has a digest other than "
                            "SHA-256");
    }
    snprintf(name, 96, "blobs/sha256/%s", *digest + 7);
    *size = (uint64_t)n;
    return 0;
}

static bool platform_fits(const json_t *d, const char *arch)
{
    const json_t *p = json_object_get(d, "platform");
    const char *os = json_string_value(json_object_get(p, "os"));
    const char *is = json_string_value(json_object_get(p, "architecture"));
    return (os == NULL || strcmp(os, "linux") == 0) && (is == NULL || strcmp(is, arch) == 0);
}

/* The name under which tools store an image; the longer form wins. */
static const char *name_of(const json_t *d)
{
    const json_t *a = json_object_get(d, "annotations");
    const char *full = json_string_value(json_object_get(a, "io.containerd.image.name"));
    return full != NULL
               ? full
               : json_string_value(json_object_get(a, "org.opencontainers.image.ref.name"));
}

static bool name_fits(const json_t *d, const char *asked)
{
    static const char *const keys[] = {"io.containerd.image.name",
                                       "org.opencontainers.image.ref.name"};
    const char *digest = json_string_value(json_object_get(d, "digest"));
    bool fits = asked == NULL || (digest != NULL && strcmp(digest, asked) == 0);
    for (size_t i = 0; i < 2 && !fits; i++) {
        const char *name =
            json_string_value(json_object_get(json_object_get(d, "annotations"), keys[i]));
        size_t n = name != NULL ? strlen(name) : 0, m = asked != NULL ? strlen(asked) : 0;
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
        fits = n >= m && strcmp(name + (n - m), asked) == 0 && (n == m || name[n - m - 1] == '/');
    }
    return fits;
}

/* What lies beside images and is none: signatures, attestations, lists of parts. */
static bool is_artifact(const json_t *d)
{
    const json_t *a = json_object_get(d, "annotations");
    const char *kind = json_string_value(json_object_get(a, "kind"));
    return json_object_get(d, "artifactType") != NULL ||
           json_object_get(a, "vnd.docker.reference.type") != NULL ||
           (kind != NULL && strncmp(kind, "dev.cosignproject.cosign/", 25) == 0 &&
            strcmp(kind + 25, "image") != 0 && strcmp(kind + 25, "imageIndex") != 0);
}

/* Made for every processor of its architecture: amd64 without variant or of "v1",
 * arm64 without or of "v8". */
static bool is_baseline(const json_t *d)
{
    const char *variant =
        json_string_value(json_object_get(json_object_get(d, "platform"), "variant"));
    return variant == NULL || variant[0] == 0 || strcmp(variant, "v1") == 0 ||
           strcmp(variant, "v8") == 0;
}

static bool same_digest(const json_t *a, const json_t *b)
{
    const char *x = json_string_value(json_object_get(a, "digest"));
    const char *y = json_string_value(json_object_get(b, "digest"));
    return x != NULL && y != NULL && strcmp(x, y) == 0;
}

/* Counts what fits. An image under several names is one image, and of those for
 * several generations of a processor the one for all counts. */
struct choice {
    const json_t *one;
    size_t named, fits;
    bool baseline;
};

static void consider(struct choice *c, const json_t *d, const char *arch)
{
    c->named++;
    if (!platform_fits(d, arch) || (c->one != NULL && same_digest(c->one, d))) {
        return;
    }
    bool baseline = is_baseline(d);
    if (c->one == NULL || (baseline && !c->baseline)) {
        *c = (struct choice){d, c->named, 1, baseline};
    } else if (baseline == c->baseline) {
        c->fits++;
    }
}

/* The one descriptor of LIST that fits. */
static int choose(const json_t *list, const struct cv_source *s, bool by_name,
                  const json_t **chosen, struct cv_error *err)
{
    size_t i;
    json_t *d;
    struct choice c = {.one = NULL};
    if (!json_is_array(list)) {
        return bad(err, "no list of manifests");
    }
    json_array_foreach (list, i, d) {
        bool known = media_is(d, index_types) || media_is(d, manifest_types);
        if (known && !is_artifact(d) && (!by_name || name_fits(d, s->options->image))) {
            consider(&c, d, s->options->arch);
        }
    }
    *chosen = c.one;
    if (c.fits == 1) {
        return 0;
    }
    if (c.fits == 0) {
        return c.named != 0 ? cv_error_set(err, CV_ERR_NOT_FOUND,
                                           "the OCI image has nothing for linux/%s (--arch)",
                                           s->options->arch)
                            : cv_error_set(err, CV_ERR_NOT_FOUND,
                                           "the OCI image has no manifest of the name that is "
                                           "asked for");
    }
    return cv_error_set(err, CV_ERR_INVALID,
                        "the OCI layout holds %zu images: choose one with --image", c.fits);
}

static int read_layers(struct cv_image *image, struct cv_error *err)
{
    const json_t *layers = json_object_get(image->manifest, "layers");
    size_t n = json_array_size(layers);
    if (!json_is_array(layers) || n > CV_SOURCE_MAX_LAYERS) {
        return bad(err, "its list of layers");
    }
    image->layers = calloc(n + 1, sizeof *image->layers);
    if (image->layers == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    for (; image->count < n; image->count++) {
        struct cv_layer *layer = &image->layers[image->count];
        const json_t *d = json_array_get(layers, image->count);
        const char *type = json_string_value(json_object_get(d, "mediaType"));
        char name[96];
        int rc = descriptor_of(d, &layer->digest, name, &layer->size, err);
        if (rc == 0 && type != NULL && strstr(type, "encrypted") != NULL) {
            rc = cv_error_set(err, CV_ERR_UNSUPPORTED, "the OCI image's layers are encrypted");
        }
        if (rc != 0) {
            return rc;
        }
        layer->member = strdup(name);
        if (layer->member == NULL) {
            return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
        }
    }
    return 0;
}

/* Down from index.json to the manifest; each document checked by the digest in
 * the one above. */
static int find_manifest(struct cv_source *s, struct cv_store *st, struct cv_image *image,
                         struct cv_error *err)
{
    json_t *doc = NULL;
    int rc = cv_store_json(s, st, "index.json", NULL, 0, &doc, err);
    for (unsigned depth = 0; rc == 0; depth++) {
        const json_t *d = NULL;
        rc = depth == MAX_INDEX_DEPTH
                 ? bad(err, "indices within indices")
                 : choose(json_object_get(doc, "manifests"), s, depth == 0, &d, err);
        const char *digest = NULL;
        char name[96];
        uint64_t size = 0;
        if (rc == 0) {
            rc = descriptor_of(d, &digest, name, &size, err);
        }
        if (rc == 0 && image->name == NULL && name_of(d) != NULL) {
            image->name = strdup(name_of(d));
        }
        json_t *next = NULL;
        if (rc == 0) {
            rc = cv_store_json(s, st, name, digest, size, &next, err);
        }
        bool last = rc == 0 && media_is(d, manifest_types);
        json_decref(doc);
        doc = next;
        if (last) {
            image->manifest = doc;
            return 0;
        }
    }
    json_decref(doc);
    return rc;
}

int cv_image_read_oci(struct cv_source *s, struct cv_store *st, struct cv_image *image,
                      struct cv_error *err)
{
    int rc = find_manifest(s, st, image, err);
    const char *digest;
    char name[96];
    uint64_t size;
    if (rc == 0) {
        rc = descriptor_of(json_object_get(image->manifest, "config"), &digest, name, &size, err);
    }
    if (rc == 0) {
        rc = cv_store_json(s, st, name, digest, size, &image->config, err);
    }
    if (rc != 0) {
        return rc;
    }
    image->config_digest = strdup(digest);
    return image->config_digest != NULL ? read_layers(image, err)
                                        : cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}
