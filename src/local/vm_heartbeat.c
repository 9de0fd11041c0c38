/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nitro-cli's side of the heartbeat: the first program of an enclave connects
 * to its parent and sends one byte, which is sent back. `vm run` answers it for
 * a machine whose parent this host is; in a machine that is itself the parent
 * of others, `vm heartbeat` does.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "local/vm.h"

#define HEARTBEAT 0xB7
#define HEARTBEAT_MS 2000

bool cv_vm_take_heartbeat(struct cv_listener *at)
{
    CV_CLEANUP(cv_stream_close) struct cv_stream *s = NULL;
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct cv_addr peer;
    char text[CV_ADDR_TEXT] = "";
    uint8_t byte = 0;
    int fd;
    int64_t deadline = cv_deadline(HEARTBEAT_MS);
    if (cv_accept_fd(&fd, at, 0, NULL) != 0)
        return false;
    if (at->addr.kind == CV_ADDR_VSOCK && getpeername(fd, (struct sockaddr *)&ss, &len) == 0 &&
        cv_addr_from_sockaddr(&peer, &ss, len) == 0)
        cv_addr_format(text, &peer);
    if (cv_stream_from_fd(&s, fd, NULL) != 0 ||
        cv_stream_read_exact(s, &byte, 1, deadline, NULL) != 0 || byte != HEARTBEAT ||
        cv_stream_write(s, CV_BYTES(&byte, 1), deadline, NULL) != 0)
        return false;
    if (text[0] != '\0')
        cv_log(CV_LOG_INFO, "heartbeat", "from", text, NULL);
    return true;
}

int cv_vm_heartbeat(const struct cv_addr *at, struct cv_error *err)
{
    struct cv_listener listener = CV_LISTENER_INIT;
    int signals = cv_local_children_signals();
    if (signals < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "preparing for signals");
    int rc = cv_listen(&listener, at, err);
    if (rc == 0) {
        puts("ready");
        (void)fflush(stdout);
    }
    while (rc == 0 && !cv_vm_told_to_end(signals)) {
        struct pollfd p[2] = {{.fd = signals, .events = POLLIN},
                              {.fd = listener.fd, .events = POLLIN}};
        (void)poll(p, 2, -1);
        if (p[1].revents != 0)
            (void)cv_vm_take_heartbeat(&listener);
    }
    cv_listener_close(&listener);
    close(signals);
    return rc;
}
