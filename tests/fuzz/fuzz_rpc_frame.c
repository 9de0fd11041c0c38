/* SPDX-License-Identifier: Apache-2.0 */
/* The frame assembler, fed in pieces whose sizes the input gives: it finds the
 * same frames as in one piece, and keeps no more than one largest frame. */
#include <string.h>

#include "rpc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t frames, bytes;
    int end;
};

static struct seen run(const uint8_t *p, size_t n, size_t piece)
{
    struct cv_rpc_assembler a;
    struct seen s = {0, 0, 0};
    uint8_t *body;
    size_t len;
    cv_rpc_assembler_init(&a, 256);
    while (n > 0 && s.end == 0) {
        size_t room = piece < n ? piece : n;
        uint8_t *to = cv_rpc_assembler_room(&a, &room);
        if (to == NULL)
            __builtin_trap(); /* full, yet no frame came out of it */
        memcpy(to, p, room);
        cv_rpc_assembler_fed(&a, room);
        p += room;
        n -= room;
        while ((s.end = cv_rpc_assembler_next(&a, &body, &len)) == 1) {
            s.frames++;
            s.bytes += len;
            memset(body, 0, len);
        }
    }
    if (a.in.n > 256 + CV_RPC_FRAME_HEAD)
        __builtin_trap();
    cv_rpc_assembler_free(&a);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct seen whole = run(data + 1, size - 1, SIZE_MAX);
    struct seen cut = run(data + 1, size - 1, (size_t)data[0] % 64 + 1);
    if (whole.end == cut.end && (whole.frames != cut.frames || whole.bytes != cut.bytes))
        __builtin_trap();
    return 0;
}
