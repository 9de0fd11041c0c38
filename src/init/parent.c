/* SPDX-License-Identifier: Apache-2.0 */
#include "init/parent.h"

#include <linux/vm_sockets.h>
#include <stdio.h>

#include "common/clock.h"
#include "transport/stream.h"

#define HEARTBEAT 0xB7
#define PAUSE_MS 200

static void address(struct cv_addr *out, const struct cv_parent *parent, uint32_t cid,
                    const char *who, uint32_t port)
{
    *out = (struct cv_addr){.kind = CV_ADDR_VSOCK, .cid = cid, .port = port};
    if (parent->folder == NULL)
        return;
    out->kind = CV_ADDR_UNIX;
    snprintf(out->path, sizeof out->path, "%s/%s_%u", parent->folder, who, (unsigned)port);
}

void cv_parent_address(struct cv_addr *out, const struct cv_parent *parent, uint32_t port)
{
    address(out, parent, parent->cid, "parent", port);
}

void cv_parent_own_address(struct cv_addr *out, const struct cv_parent *parent, uint32_t port)
{
    address(out, parent, VMADDR_CID_ANY, "enclave", port);
}

static int beat(const struct cv_addr *addr, int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_stream_close) struct cv_stream *s = NULL;
    uint8_t byte = HEARTBEAT;
    int rc = cv_connect(&s, addr, deadline, err);
    if (rc == 0)
        rc = cv_stream_write(s, CV_BYTES(&byte, 1), deadline, err);
    byte = 0;
    if (rc == 0)
        rc = cv_stream_read_exact(s, &byte, 1, deadline, err);
    if (rc == 0 && byte != HEARTBEAT)
        rc = cv_error_set(err, CV_ERR_PROTOCOL, "the parent answered 0x%02x, not 0xb7", byte);
    return rc;
}

int cv_heartbeat(const struct cv_parent *parent, int64_t deadline, struct cv_error *err)
{
    struct cv_addr addr;
    cv_parent_address(&addr, parent, CV_PORT_HEARTBEAT);
    for (;;) {
        int rc = beat(&addr, deadline, err);
        if (rc == 0)
            return 0;
        if (rc == CV_ERR_PROTOCOL || cv_now_ms() + PAUSE_MS >= deadline) {
            cv_error_wrap(err, "heartbeat");
            return rc;
        }
        cv_sleep_ms(PAUSE_MS);
    }
}
