/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a vsock packet (virtio 1.2, 5.10.6). */
#include <endian.h>
#include <string.h>

#include "local/vsock_internal.h"

static uint8_t *put16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint16_t get16(const uint8_t **p)
{
    uint16_t v;
    memcpy(&v, *p, sizeof v);
    *p += sizeof v;
    return le16toh(v);
}

static uint32_t get32(const uint8_t **p)
{
    uint32_t v;
    memcpy(&v, *p, sizeof v);
    *p += sizeof v;
    return le32toh(v);
}

static uint64_t get64(const uint8_t **p)
{
    uint64_t v;
    memcpy(&v, *p, sizeof v);
    *p += sizeof v;
    return le64toh(v);
}

void cv_vsock_header_encode(uint8_t out[CV_VSOCK_HEADER], const struct cv_vsock_header *h)
{
    uint8_t *p = put64(out, h->src_cid);
    p = put64(p, h->dst_cid);
    p = put32(p, h->src_port);
    p = put32(p, h->dst_port);
    p = put32(p, h->len);
    p = put16(p, h->type);
    p = put16(p, h->op);
    p = put32(p, h->flags);
    p = put32(p, h->buf_alloc);
    (void)put32(p, h->fwd_cnt);
}

void cv_vsock_header_decode(struct cv_vsock_header *h, const uint8_t in[CV_VSOCK_HEADER])
{
    const uint8_t *p = in;
    h->src_cid = get64(&p);
    h->dst_cid = get64(&p);
    h->src_port = get32(&p);
    h->dst_port = get32(&p);
    h->len = get32(&p);
    h->type = get16(&p);
    h->op = get16(&p);
    h->flags = get32(&p);
    h->buf_alloc = get32(&p);
    h->fwd_cnt = get32(&p);
}
