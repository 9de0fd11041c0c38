/* SPDX-License-Identifier: Apache-2.0 */
#include "nsm/nsm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nsm/entropy.h"
#include "nsm/message.h"
#include "nsm/transport.h"

struct cv_nsm {
    pthread_mutex_t lock; /* over all below, for a whole exchange */
    int fd;               /* -1 after a failed exchange */
    bool reopen;          /* PATH may be opened again */
    char *path;           /* NULL = the transport's default */
    uint64_t last_random; /* of the health test */
    uint8_t response[CV_NSM_RESPONSE_MAX];
};

static int make(struct cv_nsm **nsm, int fd, bool reopen, const char *path, struct cv_error *err)
{
    struct cv_nsm *n = calloc(1, sizeof *n);
    char *copy = path != NULL ? strdup(path) : NULL;

    if (n == NULL || (path != NULL && copy == NULL)) {
        free(n);
        free(copy);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the NSM connection");
    }
    n->fd = fd;
    n->reopen = reopen;
    n->path = copy;
    pthread_mutex_init(&n->lock, NULL);
    *nsm = n;
    return 0;
}

int cv_nsm_open(struct cv_nsm **nsm, const char *path, struct cv_error *err)
{
    int fd = -1;

    *nsm = NULL;
    int rc = cv_nsm_transport_open(&fd, path, err);
    if (rc != 0)
        return rc;
    rc = make(nsm, fd, true, path, err);
    if (rc != 0)
        close(fd);
    return rc;
}

int cv_nsm_open_fd(struct cv_nsm **nsm, int fd, struct cv_error *err)
{
    *nsm = NULL;
    int rc = make(nsm, fd, false, NULL, err);
    if (rc != 0)
        close(fd);
    return rc;
}

void cv_nsm_close(struct cv_nsm *nsm)
{
    if (nsm == NULL)
        return;
    if (nsm->fd >= 0)
        close(nsm->fd);
    pthread_mutex_destroy(&nsm->lock);
    free(nsm->path);
    cv_wipe(nsm, sizeof *nsm);
    free(nsm);
}

/* Under the lock. After an error the connection may hold half a reply, so it
 * is not used again. */
static int exchange(struct cv_nsm *nsm, struct cv_bytes request, size_t *n, struct cv_error *err)
{
    int rc;

    if (nsm->fd < 0) {
        if (!nsm->reopen)
            return cv_error_set(err, CV_ERR_CLOSED, "the connection to the NSM is lost");
        rc = cv_nsm_transport_open(&nsm->fd, nsm->path, err);
        if (rc != 0)
            return rc;
    }
    rc = cv_nsm_transport_exchange(nsm->fd, request, nsm->response, sizeof nsm->response, n, err);
    if (rc != 0) {
        close(nsm->fd);
        nsm->fd = -1;
    }
    return rc;
}

static int ask(struct cv_nsm *nsm, const struct cv_nsm_request *req, struct cv_nsm_reply *reply,
               struct cv_error *err)
{
    uint8_t buf[CV_NSM_REQUEST_MAX];
    struct cv_writer w;
    size_t n = 0;

    cv_writer_init(&w, buf, sizeof buf);
    if (cv_nsm_request_write(&w, req) != 0)
        return cv_error_set(err, CV_ERR_LIMIT, "the request is longer than the NSM's %d bytes",
                            CV_NSM_REQUEST_MAX);
    pthread_mutex_lock(&nsm->lock);
    int rc = exchange(nsm, cv_writer_view(&w), &n, err);
    if (rc == 0)
        rc = cv_nsm_reply_read(reply, req->op, CV_BYTES(nsm->response, n), err);
    cv_wipe(nsm->response, n); /* may be randomness that becomes a key */
    pthread_mutex_unlock(&nsm->lock);
    return rc;
}

int cv_nsm_describe(struct cv_nsm *nsm, struct cv_nsm_description *out, struct cv_error *err)
{
    struct cv_nsm_request req = {.op = CV_NSM_DESCRIBE_NSM};
    struct cv_nsm_reply reply = {0};

    int rc = ask(nsm, &req, &reply, err);
    *out = reply.description;
    return rc;
}

static int ask_pcr(struct cv_nsm *nsm, const struct cv_nsm_request *req, struct cv_nsm_pcr *out,
                   struct cv_error *err)
{
    struct cv_nsm_pcr pcr = {0};
    struct cv_nsm_reply reply = {.data = pcr.data, .cap = sizeof pcr.data};

    int rc = ask(nsm, req, &reply, err);
    pcr.n = reply.n;
    pcr.locked = reply.locked;
    if (out != NULL)
        *out = pcr;
    return rc;
}

int cv_nsm_describe_pcr(struct cv_nsm *nsm, uint16_t index, struct cv_nsm_pcr *out,
                        struct cv_error *err)
{
    struct cv_nsm_request req = {.op = CV_NSM_DESCRIBE_PCR, .index = index};

    return ask_pcr(nsm, &req, out, err);
}

int cv_nsm_extend_pcr(struct cv_nsm *nsm, uint16_t index, struct cv_bytes data,
                      struct cv_nsm_pcr *out, struct cv_error *err)
{
    struct cv_nsm_request req = {.op = CV_NSM_EXTEND_PCR, .index = index, .data = data};

    return ask_pcr(nsm, &req, out, err);
}

int cv_nsm_lock_pcr(struct cv_nsm *nsm, uint16_t index, struct cv_error *err)
{
    struct cv_nsm_request req = {.op = CV_NSM_LOCK_PCR, .index = index};
    struct cv_nsm_reply reply = {0};

    return ask(nsm, &req, &reply, err);
}

int cv_nsm_lock_pcrs(struct cv_nsm *nsm, uint16_t range, struct cv_error *err)
{
    struct cv_nsm_request req = {.op = CV_NSM_LOCK_PCRS, .index = range};
    struct cv_nsm_reply reply = {0};

    return ask(nsm, &req, &reply, err);
}

int cv_nsm_attest(struct cv_nsm *nsm, const struct cv_nsm_attest *fields, struct cv_buf *out,
                  struct cv_error *err)
{
    struct cv_nsm_request req = {.op = CV_NSM_ATTESTATION, .attest = *fields};
    uint8_t document[CV_NSM_RESPONSE_MAX];
    struct cv_nsm_reply reply = {.data = document, .cap = sizeof document};

    int rc = ask(nsm, &req, &reply, err);
    if (rc != 0)
        return rc;
    if (reply.n == 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "the NSM gave an empty attestation document");
    rc = cv_buf_append(out, document, reply.n);
    if (rc != 0)
        return cv_error_set(err, rc, "no room for an attestation document of %zu bytes", reply.n);
    return 0;
}

static int judge(struct cv_nsm *nsm, struct cv_bytes random, struct cv_error *err)
{
    pthread_mutex_lock(&nsm->lock);
    int rc = cv_nsm_entropy_check(&nsm->last_random, random, err);
    pthread_mutex_unlock(&nsm->lock);
    return rc;
}

int cv_nsm_random(struct cv_nsm *nsm, void *p, size_t n, struct cv_error *err)
{
    struct cv_nsm_request req = {.op = CV_NSM_GET_RANDOM};
    uint8_t random[1024];
    uint8_t *out = p;
    size_t done = 0;
    int rc = 0;

    while (done < n && rc == 0) {
        struct cv_nsm_reply reply = {.data = random, .cap = sizeof random};
        rc = ask(nsm, &req, &reply, err);
        if (rc == 0 && reply.n == 0)
            rc = cv_error_set(err, CV_ERR_CRYPTO, "the NSM gave no entropy");
        if (rc == 0)
            rc = judge(nsm, CV_BYTES(random, reply.n), err);
        if (rc == 0) {
            size_t take = reply.n < n - done ? reply.n : n - done;
            memcpy(out + done, random, take);
            done += take;
        }
    }
    cv_wipe(random, sizeof random);
    if (rc == 0) { /* gathered from replies too short to be judged each, perhaps */
        uint64_t none = 0;
        rc = cv_nsm_entropy_check(&none, CV_BYTES(p, n), err);
    }
    if (rc != 0)
        cv_wipe(p, n);
    return rc;
}
