/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client asks to be signed: one magic byte and a body, parsed strictly
 * as protocol 024 writes it. Everything is read to its last byte; unknown tags,
 * trailing bytes, numbers with needless zero groups, flags other than 0x00 and
 * 0xff, empty batches and Michelson deeper than CV_MICHELSON_DEPTH are refused.
 * Nothing is allocated, nothing recurses: pure functions over bytes.
 *
 *   0x03  generic         branch, operations
 *   0x05  pack            a Michelson expression
 *   0x11  block           chain, unsigned block header
 *   0x12  preattestation  chain, branch, operation 20 or 40 (tz4)
 *   0x13  attestation     chain, branch, operation 21, 23 (with DAL) or 41 (tz4)
 */
#ifndef CV_TEZOS_REQUEST_H
#define CV_TEZOS_REQUEST_H

#include "common/bytes.h"
#include "tezos/keytext.h"
#include "tezos/kinds.h"

/* Levels of nested expressions; Octez itself stops at 10 000. */
#define CV_MICHELSON_DEPTH 1000
/* Bytes of a natural or integer outside Michelson, and inside it. */
#define CV_NUMBER_MAX 32
#define CV_MICHELSON_INT_MAX 4096

struct cv_request {
    enum cv_request_kind kind;
    /* block, (pre)attestation: what the watermark is about */
    bool consensus;
    uint8_t chain[4];
    int32_t level;
    int32_t round;  /* of a block: from its fitness, not the payload round */
    uint8_t op_tag; /* 20 21 23 40 41; 0 for the others */
    /* generic */
    struct cv_bytes operations; /* view of the batch behind the branch */
    size_t operation_count;     /* at least 1 */
};

/*
 * Parses IN whole, all operations included; OUT holds views into IN.
 *   CV_ERR_UNSUPPORTED  "gotez: unknown tag N": a magic byte, an operation or
 *                       a variant that we do not know
 *   CV_ERR_TRUNCATED, CV_ERR_TRAILING, CV_ERR_LIMIT, CV_ERR_INVALID
 * ERR gets one sentence in any case.
 */
int cv_request_parse(struct cv_request *out, struct cv_bytes in, struct cv_error *err) CV_NODISCARD;

/* A party of a transfer. */
enum cv_address_kind { CV_ADDRESS_IMPLICIT, CV_ADDRESS_ORIGINATED };
struct cv_address {
    enum cv_address_kind kind;
    struct cv_pkh pkh;    /* tz1 … tz4 */
    uint8_t contract[20]; /* KT1 */
};
bool cv_address_equal(const struct cv_address *a, const struct cv_address *b);
/* "tz1…" … "tz4…", "KT1…". CV_ERR_INVALID, CV_ERR_CRYPTO (checksum). */
int cv_address_parse(struct cv_address *out, struct cv_bytes text) CV_NODISCARD;
void cv_address_format(char out[CV_PKH_TEXT_SIZE], const struct cv_address *address);

/* One operation of a batch, as far as a policy looks at it. */
struct cv_operation {
    uint8_t tag;
    enum cv_op_kind kind;
    enum cv_vote vote; /* ballot */
    bool manager;      /* pays a fee from SOURCE's account: tags 107…207, 230…252 */
    bool has_source;   /* manager operations, proposals, ballot, drain_delegate */
    struct cv_pkh source;
    uint64_t fee; /* mutez; UINT64_MAX for anything larger */
    /* What leaves the account besides the fee, in mutez; UINT64_MAX for
     * anything larger and for drain_delegate, which moves the whole balance. */
    bool has_amount;
    uint64_t amount;
    /* Where it goes: transaction, transfer_ticket, drain_delegate. A
     * pseudo-operation stays with the source. */
    bool has_destination;
    struct cv_address destination;
};

/* Walks the operations of a request that cv_request_parse() accepted:
 *     struct cv_operations it;
 *     cv_operations_start(&it, &request);
 *     while (cv_operations_next(&it, &op)) …
 * Other kinds of requests have none. */
struct cv_operations {
    struct cv_bytes left;
};
void cv_operations_start(struct cv_operations *it, const struct cv_request *request);
bool cv_operations_next(struct cv_operations *it, struct cv_operation *op);

/* The name that a policy and a refusal use: "transaction", "ballot:yay". */
const char *cv_operation_name(const struct cv_operation *op);

/* Level and round of a Tenderbake fitness (the content, without its length):
 * version 2, level, locked round or nothing, predecessor's round, round.
 * CV_ERR_INVALID, CV_ERR_TRUNCATED, CV_ERR_TRAILING. */
int cv_fitness_parse(struct cv_bytes fitness, int32_t *level, int32_t *round) CV_NODISCARD;

#endif
