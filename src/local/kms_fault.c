/* SPDX-License-Identifier: Apache-2.0 */
#include "local/kms_fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/log.h"

#define FAULT_FILE_MAX 65536

struct known {
    const char *name;
    struct cv_local_fault fault;
};

#define AWS_ERROR(status_, code_, message_)                                                 \
    {                                                                                       \
        .kind = CV_FAULT_ERROR, .status = (status_), .code = (code_), .message = (message_) \
    }
#define CMS_SHAPE(shape_)                       \
    {                                           \
        .kind = CV_FAULT_CMS, .shape = (shape_) \
    }

static const struct known table[] = {
    {"throttle", AWS_ERROR(400, "ThrottlingException", "Rate exceeded")},
    {"internal", AWS_ERROR(500, "KMSInternalException", "Internal failure")},
    {"dependency-timeout", AWS_ERROR(503, "DependencyTimeoutException", "")},
    {"key-unavailable", AWS_ERROR(500, "KeyUnavailableException", "")},
    {"access-denied", AWS_ERROR(400, "AccessDeniedException", "access denied by a fault switch")},
    {"not-found", AWS_ERROR(400, "NotFoundException", "key not found, by a fault switch")},
    {"disabled", AWS_ERROR(400, "DisabledException", "key disabled, by a fault switch")},
    {"key-state",
     AWS_ERROR(400, "KMSInvalidStateException", "pending deletion, by a fault switch")},
    {"invalid-ciphertext", AWS_ERROR(400, "InvalidCiphertextException", "")},
    {"validation", AWS_ERROR(400, "ValidationException", "refused by a fault switch")},
    {"expired-token", AWS_ERROR(400, "ExpiredTokenException",
                                "The security token included in the request is expired")},
    {"unrecognized-client", AWS_ERROR(400, "UnrecognizedClientException",
                                      "The security token included in the request is invalid.")},
    {"unavailable", {.kind = CV_FAULT_HTML}},
    {"stall", {.kind = CV_FAULT_STALL}},
    {"hang", {.kind = CV_FAULT_HANG}},
    {"close", {.kind = CV_FAULT_CLOSE}},
    {"half-reply", {.kind = CV_FAULT_HALF}},
    {"slow-reply", {.kind = CV_FAULT_SLOW}},
    {"clock", {.kind = CV_FAULT_CLOCK}},
    {"plaintext", {.kind = CV_FAULT_PLAINTEXT}},
    {"plaintext-and-cms", {.kind = CV_FAULT_BOTH}},
    {"cms-chunks", CMS_SHAPE(CV_LOCAL_CMS_CHUNKS)},
    {"cms-primitive", CMS_SHAPE(CV_LOCAL_CMS_PRIMITIVE)},
    {"cms-definite", CMS_SHAPE(CV_LOCAL_CMS_DEFINITE)},
    {"cms-other-key", CMS_SHAPE(CV_LOCAL_CMS_OTHER_KEY)},
    {"cms-other-key-id", CMS_SHAPE(CV_LOCAL_CMS_OTHER_KEY_ID)},
    {"cms-bad-padding", CMS_SHAPE(CV_LOCAL_CMS_BAD_PADDING)},
    {"cms-sha1", CMS_SHAPE(CV_LOCAL_CMS_SHA1)},
    {"cms-truncated", CMS_SHAPE(CV_LOCAL_CMS_TRUNCATED)},
    {"cms-trailing", CMS_SHAPE(CV_LOCAL_CMS_TRAILING)},
    {"cms-garbage", CMS_SHAPE(CV_LOCAL_CMS_GARBAGE)},
    {"wrong-key-id", {.kind = CV_FAULT_KEY_ID}},
    {"no-key-id", {.kind = CV_FAULT_NO_KEY_ID}},
    {"garbage", {.kind = CV_FAULT_GARBAGE}},
    {"empty", {.kind = CV_FAULT_EMPTY}},
    {"empty-object", {.kind = CV_FAULT_EMPTY_OBJECT}},
    {"wrong-types", {.kind = CV_FAULT_TYPES}},
    {"bad-base64", {.kind = CV_FAULT_BASE64}},
    {"huge", {.kind = CV_FAULT_HUGE}},
    {"short-key", {.kind = CV_FAULT_SHORT_KEY}},
    {"made-up-key", {.kind = CV_FAULT_MADE_UP_KEY}},
};
#define N_KNOWN (sizeof table / sizeof table[0])

const char *cv_local_fault_name(size_t i)
{
    return i < N_KNOWN ? table[i].name : NULL;
}

static const struct known *find(const char *name)
{
    for (size_t i = 0; i < N_KNOWN; i++)
        if (!strcmp(table[i].name, name))
            return &table[i];
    return NULL;
}

/* "-" or a number; false when it is neither. */
static bool parse_count(const char *s, int64_t *out, int64_t dash)
{
    char *end;
    if (!s || !strcmp(s, "-")) {
        *out = dash;
        return true;
    }
    errno = 0;
    *out = strtoll(s, &end, 10);
    return !errno && end != s && !*end;
}

/* True when LINE acts on ACTION; LINE is cut up. */
static bool read_line(char *line, size_t number, const char *action, unsigned used,
                      struct cv_local_fault *out)
{
    char *save = NULL, *hash = strchr(line, '#');
    if (hash)
        *hash = '\0';
    const char *name = strtok_r(line, " \t\r", &save);
    if (!name)
        return false;
    const char *what = strtok_r(NULL, " \t\r", &save);
    const char *times = what ? strtok_r(NULL, " \t\r", &save) : NULL;
    const char *argument = times ? strtok_r(NULL, " \t\r", &save) : NULL;
    const struct known *k = find(name);
    int64_t limit, value;
    if (!k || !what || !parse_count(times, &limit, INT64_MAX) ||
        !parse_count(argument, &value, 0)) {
        cv_log(CV_LOG_WARN, "line of the fault file not understood", "line",
               cv_logf("%zu", number + 1), NULL);
        return false;
    }
    if ((strcmp(what, "*") && strcasecmp(what, action)) || (int64_t)used >= limit)
        return false;
    *out = k->fault;
    out->argument = value;
    return true;
}

/* Counts start again when the file has changed. */
static void notice_change(struct cv_local_faults *f)
{
    struct stat st;
    if (stat(f->path, &st))
        return;
    if (st.st_ino == f->ino && st.st_size == f->size && st.st_mtim.tv_sec == f->changed.tv_sec &&
        st.st_mtim.tv_nsec == f->changed.tv_nsec)
        return;
    f->ino = st.st_ino;
    f->size = st.st_size;
    f->changed = st.st_mtim;
    memset(f->used, 0, sizeof f->used);
}

void cv_local_fault_next(struct cv_local_faults *f, const char *action, struct cv_local_fault *out)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    *out = (struct cv_local_fault){.kind = CV_FAULT_NONE};
    cv_buf_init(&text, FAULT_FILE_MAX);
    if (!f->path || cv_file_read(&text, f->path, NULL) || !text.n)
        return;
    notice_change(f);
    char *save = NULL, *line = (char *)text.p;
    for (size_t i = 0; line && i < CV_LOCAL_FAULT_LINES; i++) {
        save = strchr(line, '\n');
        if (save)
            *save++ = '\0';
        if (read_line(line, i, action, f->used[i], out)) {
            f->used[i]++;
            cv_log(CV_LOG_INFO, "fault", "action", action, "line", cv_logf("%zu", i + 1), NULL);
            return;
        }
        line = save;
    }
}
