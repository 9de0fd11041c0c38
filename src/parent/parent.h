/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's side of one enclave that runs claviger-init
 * (docs/protocol/parent.md): its ways out and in, heartbeat, control, logs.
 *
 * One epoll loop serves everything, in the thread that calls cv_parent_run().
 * Nothing in it blocks: names are resolved and credentials fetched in other
 * threads. The enclave is not trusted: each port has a cap of connections of
 * its own, each step a deadline, each buffer a ceiling, and its texts are
 * escaped. On vsock, connections of other enclaves are refused.
 */
#ifndef CV_PARENT_PARENT_H
#define CV_PARENT_PARENT_H

#include "parent/message.h"
#include "parent/rules.h"

#define CV_PARENT_PORT_AWS 8000
#define CV_PARENT_PORT_EGRESS 8001
#define CV_PARENT_PORT_HEARTBEAT 9000
#define CV_PARENT_PORT_CONTROL 9001
#define CV_PARENT_PORT_LOGS 9002

struct cv_parent_expose {
    struct cv_addr outside; /* tcp */
    uint32_t inside;        /* port of the enclave */
};
/* "[HOST:]PORT:INSIDE"; without HOST on every address. */
int cv_parent_expose_parse(struct cv_parent_expose *out, const char *text,
                           struct cv_error *err) CV_NODISCARD;

enum cv_parent_stream { CV_PARENT_LOG_INIT, CV_PARENT_LOG_STDOUT, CV_PARENT_LOG_STDERR };

/* What to do after a signal. */
enum cv_parent_order {
    CV_PARENT_NOTHING,
    CV_PARENT_ROTATE,   /* have the encrypted configurations fetched again */
    CV_PARENT_STOP,     /* have the application stopped; a second time: end now */
    CV_PARENT_END,      /* end now */
    CV_PARENT_END_SOON, /* the enclave is gone: what it sent is still taken */
};

/* What the caller is told, in the loop's thread; none may block. */
struct cv_parent_events {
    void *ctx;
    /* hello, stage, exit */
    void (*message)(void *ctx, const struct cv_parent_message *m);
    /* One line, without its newline, as the enclave wrote it. */
    void (*log)(void *ctx, enum cv_parent_stream stream, struct cv_bytes line);
    /* So many bytes of the log were lost before they reached us. */
    void (*lost)(void *ctx, uint64_t bytes);
    /* False while log lines cannot be taken: then none are read. */
    bool (*room)(void *ctx);
    /* The signal descriptor had SIGNO. */
    void *signal_ctx;
    enum cv_parent_order (*signal)(void *signal_ctx, int signo);
};

struct cv_parent_config {
    uint32_t cid;    /* of the enclave */
    const char *dir; /* UNIX sockets in this folder instead of vsock; NULL */
    const char *vm;  /* a virtual machine's vsock-uds path (transport/vsock_uds.h); NULL */
    bool no_heartbeat;
    const struct cv_parent_rules *aws, *egress;
    char kms_host[CV_ADDR_HOST]; /* where bare TLS on port 8000 goes; allowed by a rule */
    uint16_t kms_port;
    const struct cv_parent_expose *expose;
    size_t expose_count;
    const struct cv_parent_pair *environment; /* for the enclave, which checks the names */
    size_t environment_count;
    const struct cv_parent_pair *files; /* name and path of encrypted configurations */
    size_t file_count;
    struct cv_aws_provider *provider; /* NULL: no credentials */
    unsigned stop_seconds;            /* from the stop signal to the kill; 0 = 10 */
    unsigned max_connections;         /* for each port; 0 = 256 */
    int64_t connect_ms;               /* 0 = 10 000: name, and all its addresses */
    int64_t idle_ms;                  /* 0 = 3 600 000: a tunnel without a byte */
    struct cv_parent_events events;   /* all of them set */
};

/* How it ended. */
struct cv_parent_outcome {
    bool exited; /* the application ended: STATUS as a shell has it (128 + signal) */
    int status;
    bool failed; /* a stage of the boot failed */
    char stage[CV_PARENT_NAME_MAX];
    char error[CV_PARENT_TEXT_MAX];
};

struct cv_parent_side;

/* Listens on every port; CONFIG and what it points to stay the caller's and
 * outlive it. */
int cv_parent_new(struct cv_parent_side **out, const struct cv_parent_config *config,
                  struct cv_error *err) CV_NODISCARD;
/* Serves until the application has ended, a stage has failed, or the order is
 * given. SIGNALS is a signalfd. */
int cv_parent_run(struct cv_parent_side *p, int signals, struct cv_parent_outcome *out,
                  struct cv_error *err) CV_NODISCARD;
/* Closes everything. Harmless on NULL. */
void cv_parent_free(struct cv_parent_side **p);

#endif
