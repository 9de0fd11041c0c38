/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the loop of the parent's side and what it serves. */
#ifndef CV_PARENT_INTERNAL_H
#define CV_PARENT_INTERNAL_H

#include "parent/parent.h"
#include "parent/renew.h"
#include "proxy/relay.h"
#include "transport/listen.h"
#include "transport/resolve.h"

#define CV_PARENT_EXPOSE_MAX 64

/* Whatever epoll watches begins with this. */
struct cv_parent_source {
    void (*event)(struct cv_parent_source *s, uint32_t events);
};

struct conn;

/* A port that we listen on. */
enum port_kind { PORT_AWS, PORT_EGRESS, PORT_EXPOSED, PORT_HEARTBEAT, PORT_CONTROL, PORT_LOGS };
struct port {
    struct cv_parent_source source;
    struct cv_parent_side *p;
    enum port_kind kind;
    struct cv_listener listener;
    bool listening;  /* epoll has it */
    unsigned active; /* connections */
    uint32_t inside; /* of an exposed port */
};
#define CV_PARENT_PORTS (5 + CV_PARENT_EXPOSE_MAX)

/* The control connection. */
struct control {
    struct cv_parent_source source;
    struct cv_parent_side *p;
    int fd; /* -1: none */
    uint32_t events;
    bool hello;
    int64_t hello_deadline, write_deadline;
    struct cv_buf in, out;
    size_t scanned; /* bytes of IN that hold no newline */
};

/* The log connection. */
struct logs {
    struct cv_parent_source source;
    struct cv_parent_side *p;
    int fd; /* -1: none */
    bool watched;
    uint8_t in[16384];
    size_t used;
    struct cv_buf line[3]; /* of each stream, until its newline */
    int64_t line_ms[3];    /* when its first byte came */
};

struct cv_parent_side {
    struct cv_parent_config config;
    int epoll, wake;
    struct cv_parent_source wake_source, signal_source;
    int signals;
    struct port port[CV_PARENT_PORTS];
    size_t ports;
    struct conn *conns, *dead;
    struct control control;
    struct logs logs;
    struct cv_renewer *renewer;
    int64_t wanted_id; /* of the credentials asked for; 0: none */
    bool stopping;     /* the application was told to stop */
    bool over;         /* nothing more will come */
    int64_t end_at;    /* then it ends in any case */
    int64_t last_warning;
    struct cv_parent_outcome outcome;
};

/* conn.c: tunnels and heartbeats. Takes FD. */
void cv_parent_conn_accept(struct port *port, int fd);
/* Look-ups may be done. */
void cv_parent_conn_resolved(struct cv_parent_side *p);
void cv_parent_conn_tick(struct cv_parent_side *p, int64_t now);
void cv_parent_conn_bury(struct cv_parent_side *p);
void cv_parent_conn_end(struct cv_parent_side *p);

/* control.c */
void cv_parent_control_init(struct cv_parent_side *p);
void cv_parent_control_accept(struct cv_parent_side *p, int fd);
void cv_parent_control_close(struct cv_parent_side *p);
void cv_parent_control_tick(struct cv_parent_side *p, int64_t now);
/* Credentials have come, or their fetching has failed. */
void cv_parent_control_credentials(struct cv_parent_side *p);
/* False when no enclave is there to hear it. */
bool cv_parent_control_rotate(struct cv_parent_side *p);
bool cv_parent_control_stop(struct cv_parent_side *p);

/* logs.c */
void cv_parent_logs_init(struct cv_parent_side *p);
void cv_parent_logs_accept(struct cv_parent_side *p, int fd);
void cv_parent_logs_close(struct cv_parent_side *p);
void cv_parent_logs_tick(struct cv_parent_side *p, int64_t now);

/* parent.c: says it, at most once in a while. */
void cv_parent_warn(struct cv_parent_side *p, const char *what, const char *why);
void cv_parent_address(struct cv_addr *out, const struct cv_parent_side *p, bool inside,
                       uint32_t port);

#endif
