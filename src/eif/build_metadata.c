/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata section: who built what when. Not measured. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/build.h"

struct kernel_version {
    char os[32], version[64];
};

/* The words 1 and 3 of the third line of a kernel configuration,
 * "# Linux/x86_64 6.6.79 Kernel Configuration", as nitro-cli takes them. */
static void from_config(struct kernel_version *v, char *text)
{
    char *line = text;
    for (int i = 0; i < 2 && line != NULL; i++) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    if (line == NULL) {
        return;
    }
    line[strcspn(line, "\n")] = 0;
    char *save = NULL, *word = strtok_r(line, " /-", &save);
    for (int i = 0; word != NULL && i < 4; i++, word = strtok_r(NULL, " /-", &save)) {
        if (i == 1) {
            snprintf(v->os, sizeof v->os, "%s", word);
        } else if (i == 3) {
            snprintf(v->version, sizeof v->version, "%s", word);
        }
    }
}

/* The Linux/x86 boot protocol: "HdrS" at 0x202, at 0x20e a pointer (less
 * 0x200) to the version's text. */
static void from_bzimage(struct kernel_version *v, const char *path)
{
    uint8_t head[0x210];
    char text[sizeof v->version];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return;
    }
    if (pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
        memcmp(head + 0x202, "HdrS", 4) == 0) {
        off_t at = (off_t)(head[0x20e] | head[0x20f] << 8) + 0x200;
        ssize_t n = pread(fd, text, sizeof text - 1, at);
        if (n > 0) {
            text[n] = 0;
            text[strspn(text, "0123456789.")] = 0;
            snprintf(v->version, sizeof v->version, "%s", text);
        }
    }
    close(fd);
}

static int kernel_version(struct kernel_version *v, const struct cv_build_files *f,
                          struct cv_error *err)
{
    *v = (struct kernel_version){.os = "Linux"};
    if (f->config == NULL) {
        from_bzimage(v, f->kernel);
        return 0;
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 4u << 20);
    int rc = cv_file_read(&text, f->config, err);
    if (rc == 0 && text.n != 0) {
        from_config(v, (char *)text.p);
    }
    return rc;
}

static int custom(json_t **out, const char *path, struct cv_error *err)
{
    *out = NULL;
    if (path == NULL) {
        return 0;
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_BUILD_MAX_METADATA);
    int rc = cv_file_read(&text, path, err);
    if (rc != 0) {
        return rc;
    }
    json_error_t why;
    *out = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    return *out != NULL
               ? 0
               : cv_error_set(err, CV_ERR_INVALID, "%s is no JSON (line %d)", path, why.line);
}

static const char *or_else(const char *a, const char *b, const char *c)
{
    return a != NULL ? a : b != NULL ? b : c;
}

int cv_build_metadata(struct cv_buf *out, const struct cv_build *b, const struct cv_build_files *f,
                      struct cv_error *err)
{
    struct kernel_version v;
    json_t *own = NULL;
    int rc = kernel_version(&v, f, err);
    if (rc == 0) {
        rc = custom(&own, b->metadata, err);
    }
    if (rc != 0) {
        return rc;
    }
    char time[40] = "";
    struct tm tm;
    time_t seconds = (time_t)b->build_time;
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S+00:00", &tm) == 0) {
        json_decref(own);
        return cv_error_set(err, CV_ERR_INVALID, "SOURCE_DATE_EPOCH is no time");
    }
    json_t *info =
        b->source->info != NULL && !b->omit_build_info ? json_incref(b->source->info) : json_null();
    json_t *o = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}, s:o, s:o}", "ImageName",
                          or_else(b->name, b->source->name, "enclave"), "ImageVersion",
                          or_else(b->version, b->source->version, "1"), "BuildMetadata",
                          "BuildTime", time, "BuildTool", b->omit_build_info ? "" : "claviger",
                          "BuildToolVersion", b->omit_build_info ? "" : b->tool_version,
                          "OperatingSystem", v.os, "KernelVersion", v.version, "DockerInfo", info,
                          "CustomMetadata", own != NULL ? own : json_null());
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (text == NULL) {
        return cv_error_set(err, CV_ERR_INVALID, "the image's name or version is no UTF-8");
    }
    rc = cv_buf_append_str(out, text);
    free(text);
    return rc == 0 ? 0
                   : cv_error_set(err, rc,
                                  "the metadata take more than %zu bytes: "
                                  "--omit-build-info leaves the container's out",
                                  out->limit);
}
