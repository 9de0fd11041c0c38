/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "json/json.h"
#include "watermark/signatory.h"

struct reading {
    enum cv_wm_signatory_version version;
    uint8_t chain[CV_MARK_CHAIN_LEN];
    cv_wm_put_fn *put;
    void *ctx;
    struct cv_error *err;
};

static int kind_of(enum cv_mark_kind *out, const char *name)
{
    static const struct {
        const char *name;
        enum cv_mark_kind kind;
    } names[] = {
        {"block", CV_MARK_BLOCK},
        {"preattestation", CV_MARK_PREATTESTATION},
        {"preendorsement", CV_MARK_PREATTESTATION},
        {"attestation", CV_MARK_ATTESTATION},
        {"endorsement", CV_MARK_ATTESTATION},
        {"attestation_with_dal", CV_MARK_ATTESTATION},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].name, name) == 0) {
            *out = names[i].kind;
            return CV_OK;
        }
    }
    return CV_ERR_INVALID;
}

static int fill(struct reading *rd, struct cv_mark *m, const json_t *v, const char *pkh)
{
    int64_t level = 0;
    int64_t round = 0;
    const char *hash = NULL;
    memset(m, 0, sizeof *m);
    if (cv_pkh_parse(&m->pkh, cv_bytes_str(pkh)) != CV_OK) {
        char quoted[64];
        return cv_error_set(rd->err, CV_ERR_INVALID, "\"%s\" is no public key hash",
                            cv_error_quote(quoted, sizeof quoted, pkh, strlen(pkh)));
    }
    int r = cv_json_get_int(v, "level", 0, INT32_MAX, &level, rd->err);
    if (r == CV_OK) {
        r = cv_json_opt_int(v, "round", 0, INT32_MAX, &round, 0, rd->err);
    }
    if (r == CV_OK) {
        r = cv_json_opt_str(v, "hash", &hash, NULL, rd->err);
    }
    if (r != CV_OK) {
        return r;
    }
    memcpy(m->chain, rd->chain, CV_MARK_CHAIN_LEN);
    m->level = (int32_t)level;
    m->round = (int32_t)round;
    if (hash != NULL) {
        enum cv_text_kind kind;
        uint8_t payload[CV_TEXT_PAYLOAD_MAX];
        size_t n = 0;
        r = cv_text_parse(&kind, payload, &n, cv_bytes_str(hash));
        if (r != CV_OK || kind != CV_TEXT_PAYLOAD_HASH || n != CV_MARK_HASH_LEN) {
            /* In the older versions another hash, by which no repeat is known. */
            return rd->version != CV_WM_SIGNATORY_V2
                       ? CV_OK
                       : cv_error_set(rd->err, CV_ERR_INVALID, "\"hash\" is no payload hash (vh…)");
        }
        memcpy(m->hash, payload, CV_MARK_HASH_LEN);
        m->has_hash = true;
    }
    return CV_OK;
}

static int one(struct reading *rd, const json_t *v, const char *pkh, const char *kind)
{
    struct cv_mark m;
    enum cv_mark_kind k;
    int r = kind_of(&k, kind);
    if (r != CV_OK) {
        char quoted[64];
        r = cv_error_set(rd->err, r, "\"%s\" is no kind of watermark",
                         cv_error_quote(quoted, sizeof quoted, kind, strlen(kind)));
    } else if ((r = fill(rd, &m, v, pkh)) == CV_OK) {
        m.kind = k;
        return rd->put(rd->ctx, &m);
    }
    cv_error_wrap(rd->err, "watermark of %.64s, %.32s", pkh, kind);
    return r;
}

/* Version 1 had one mark a key, ordered by (level, round, order): what comes
 * after its order at the same level and round was not signed yet, what comes
 * before it may have been. */
static int one_v1(struct reading *rd, const json_t *v, const char *pkh)
{
    struct cv_mark m;
    int64_t order = 0;
    int r = fill(rd, &m, v, pkh);
    if (r == CV_OK) {
        r = cv_json_get_int(v, "order", 0, 255, &order, rd->err);
    }
    if (r != CV_OK) {
        cv_error_wrap(rd->err, "watermark of %.64s", pkh);
        return r;
    }
    int64_t at = order > 2 ? 2 : order;
    for (int kind = CV_MARK_BLOCK; kind < CV_MARK_KINDS && r == CV_OK; kind++) {
        struct cv_mark k = m;
        int64_t mine = kind - CV_MARK_BLOCK;
        k.kind = (enum cv_mark_kind)kind;
        k.has_hash = m.has_hash && mine == at;
        if (!k.has_hash) {
            memset(k.hash, 0, sizeof k.hash);
        }
        if (mine > at) {
            if (m.round > 0) {
                k.round = m.round - 1;
            } else if (m.level > 0) {
                k.level = m.level - 1;
                k.round = INT32_MAX;
            } else {
                continue;
            }
        }
        r = rd->put(rd->ctx, &k);
    }
    return r;
}

static int object_of(struct reading *rd, const json_t *v, const char *name)
{
    char quoted[64];
    return json_is_object(v)
               ? CV_OK
               : cv_error_set(rd->err, CV_ERR_INVALID, "\"%s\" is not an object",
                              cv_error_quote(quoted, sizeof quoted, name, strlen(name)));
}

/* Version 0 has kinds at the top, version 1 one mark right under the key. */
static enum cv_wm_signatory_version version_of(json_t *doc)
{
    const char *name;
    json_t *v;
    enum cv_mark_kind kind;
    json_object_foreach (doc, name, v) {
        if (kind_of(&kind, name) == CV_OK) {
            return CV_WM_SIGNATORY_V0;
        }
        if (json_object_get(v, "level") != NULL) {
            return CV_WM_SIGNATORY_V1;
        }
    }
    return CV_WM_SIGNATORY_V2;
}

static int walk(struct reading *rd, json_t *doc)
{
    const char *outer;
    const char *inner;
    json_t *v;
    json_t *w;
    if (rd->version == CV_WM_SIGNATORY_ANY) {
        rd->version = version_of(doc);
    }
    json_object_foreach (doc, outer, v) {
        int r = object_of(rd, v, outer);
        if (r == CV_OK && rd->version == CV_WM_SIGNATORY_V1) {
            r = one_v1(rd, v, outer);
        } else if (r == CV_OK) {
            json_object_foreach (v, inner, w) {
                if ((r = object_of(rd, w, inner)) == CV_OK) {
                    r = rd->version == CV_WM_SIGNATORY_V2 ? one(rd, w, outer, inner)
                                                          : one(rd, w, inner, outer);
                }
                if (r != CV_OK) {
                    break;
                }
            }
        }
        if (r != CV_OK) {
            return r;
        }
    }
    return CV_OK;
}

int cv_wm_signatory_parse(enum cv_wm_signatory_version version,
                          const uint8_t chain[CV_MARK_CHAIN_LEN], struct cv_bytes text,
                          cv_wm_put_fn *put, void *ctx, struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    struct reading rd = {.version = version, .put = put, .ctx = ctx, .err = err};
    memcpy(rd.chain, chain, CV_MARK_CHAIN_LEN);
    int r = cv_json_parse_object(&doc, text, CV_WM_SIGNATORY_FILE_MAX, "watermark file", err);
    return r == CV_OK ? walk(&rd, doc) : r;
}

/* "NetXdQprcVkpaWU.json" → its chain. */
static bool chain_of_name(uint8_t chain[CV_MARK_CHAIN_LEN], const char *path)
{
    const char *name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    const char *dot = strrchr(name, '.');
    char text[CV_CHAIN_TEXT_SIZE];
    if (dot == NULL || strcmp(dot, ".json") != 0 || (size_t)(dot - name) >= sizeof text) {
        return false;
    }
    memcpy(text, name, (size_t)(dot - name));
    text[dot - name] = '\0';
    return cv_chain_parse(chain, text) == CV_OK;
}

static int read_file(enum cv_wm_signatory_version version, const uint8_t chain[CV_MARK_CHAIN_LEN],
                     const char *path, cv_wm_put_fn *put, void *ctx, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_WM_SIGNATORY_FILE_MAX);
    int r = cv_file_read(&text, path, err);
    if (r == CV_OK && text.n > 0 &&
        (r = cv_wm_signatory_parse(version, chain, cv_buf_view(&text), put, ctx, err)) != CV_OK) {
        cv_error_wrap(err, "%s", path);
    }
    return r;
}

/* Counts what passes. */
struct counted {
    cv_wm_put_fn *put;
    void *ctx;
    size_t marks;
};

static int count_and_put(void *ctx, const struct cv_mark *mark)
{
    struct counted *c = ctx;
    c->marks++;
    return c->put(c->ctx, mark);
}

/* All Net….json of a directory; *FILES grows by those with marks. A missing
 * directory has none. */
static int read_dir(enum cv_wm_signatory_version version, const char *dir, unsigned *files,
                    cv_wm_put_fn *put, void *ctx, struct cv_error *err)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return errno == ENOENT ? CV_OK : cv_error_errno(err, CV_ERR_IO, errno, "opening %s", dir);
    }
    int r = CV_OK;
    for (struct dirent *e; r == CV_OK && (e = readdir(d)) != NULL;) {
        char path[PATH_MAX];
        uint8_t chain[CV_MARK_CHAIN_LEN];
        if (!chain_of_name(chain, e->d_name)) {
            continue;
        }
        if ((r = cv_path_join(path, sizeof path, dir, e->d_name)) == CV_OK) {
            struct counted c = {.put = put, .ctx = ctx};
            r = read_file(version, chain, path, count_and_put, &c, err);
            *files += c.marks > 0 ? 1 : 0;
        }
    }
    closedir(d);
    return r;
}

int cv_wm_signatory_migrate(const char *base_dir, unsigned *files, cv_wm_put_fn *put, void *ctx,
                            struct cv_error *err)
{
    static const struct {
        const char *dir;
        enum cv_wm_signatory_version version;
    } places[] = {
        {"watermark_v2", CV_WM_SIGNATORY_V2},
        {"watermark_v1", CV_WM_SIGNATORY_V1},
        {"watermark", CV_WM_SIGNATORY_V0},
    };
    *files = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places && *files == 0; i++) {
        char dir[PATH_MAX];
        int r = cv_path_join(dir, sizeof dir, base_dir, places[i].dir);
        if (r == CV_OK) {
            r = read_dir(places[i].version, dir, files, put, ctx, err);
        }
        if (r != CV_OK) {
            return r;
        }
    }
    return CV_OK;
}

/* {"Net…": {…}, "known": ["tz…"]} */
static int read_all(const char *path, cv_wm_put_fn *put, void *ctx, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    CV_JSON_AUTO json_t *doc = NULL;
    cv_buf_init(&text, CV_WM_SIGNATORY_FILE_MAX);
    int r = cv_file_read(&text, path, err);
    if (r == CV_OK) {
        r = cv_json_parse_object(&doc, cv_buf_view(&text), CV_WM_SIGNATORY_FILE_MAX, path, err);
    }
    const char *name;
    json_t *v;
    struct reading rd = {.version = CV_WM_SIGNATORY_V2, .put = put, .ctx = ctx, .err = err};
    if (r != CV_OK) {
        return r;
    }
    json_object_foreach (doc, name, v) {
        if (strcmp(name, "known") == 0 && json_is_array(v)) {
            for (size_t i = 0; r == CV_OK && i < json_array_size(v); i++) {
                const char *pkh = json_string_value(json_array_get(v, i));
                struct cv_mark m = {.kind = CV_MARK_KNOWN};
                if (pkh == NULL || cv_pkh_parse(&m.pkh, cv_bytes_str(pkh)) != CV_OK) {
                    r = cv_error_set(err, CV_ERR_INVALID, "%s: \"known\" holds no public key hash",
                                     path);
                } else {
                    r = put(ctx, &m);
                }
            }
        } else if (cv_chain_parse(rd.chain, name) != CV_OK || !json_is_object(v)) {
            char quoted[64];
            r = cv_error_set(err, CV_ERR_INVALID, "%s: \"%s\" is no chain with its watermarks",
                             path, cv_error_quote(quoted, sizeof quoted, name, strlen(name)));
        } else if ((r = walk(&rd, v)) != CV_OK) {
            cv_error_wrap(err, "%s: %s", path, name);
        }
        if (r != CV_OK) {
            break;
        }
    }
    return r;
}

int cv_wm_signatory_import(const char *path, cv_wm_put_fn *put, void *ctx, struct cv_error *err)
{
    struct stat st;
    uint8_t chain[CV_MARK_CHAIN_LEN];
    unsigned files = 0;
    if (stat(path, &st) != 0) {
        return cv_error_errno(err, errno == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, errno, "%s",
                              path);
    }
    if (S_ISDIR(st.st_mode)) {
        int r = read_dir(CV_WM_SIGNATORY_ANY, path, &files, put, ctx, err);
        if (r == CV_OK && files == 0) {
            r = cv_error_set(err, CV_ERR_NOT_FOUND, "%s has no watermarks (Net….json)", path);
        }
        return r;
    }
    if (chain_of_name(chain, path)) {
        return read_file(CV_WM_SIGNATORY_ANY, chain, path, put, ctx, err);
    }
    return read_all(path, put, ctx, err);
}
