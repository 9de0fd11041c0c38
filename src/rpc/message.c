/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/message.h"

static const struct {
    const char *name;
    bool kms;
} ops[CV_RPC_OP_COUNT] = {
    [CV_RPC_INITIALIZE] = {"Initialize", false},
    [CV_RPC_IMPORT] = {"Import", true},
    [CV_RPC_IMPORT_UNENCRYPTED] = {"ImportUnencrypted", true},
    [CV_RPC_GENERATE] = {"Generate", true},
    [CV_RPC_GENERATE_AND_IMPORT] = {"GenerateAndImport", true},
    [CV_RPC_SIGN] = {"Sign", false},
    [CV_RPC_SIGN_WITH] = {"SignWith", true},
    [CV_RPC_PUBLIC_KEY] = {"PublicKey", false},
    [CV_RPC_PUBLIC_KEY_FROM] = {"PublicKeyFrom", true},
    [CV_RPC_PROVE_POSSESSION] = {"ProvePossession", false},
    [CV_RPC_DESCRIBE] = {"Describe", false},
    [CV_RPC_RENEW] = {"Renew", false},
    [CV_RPC_RESEAL] = {"Reseal", true},
    [CV_RPC_ATTEST] = {"Attest", false},
    [CV_RPC_IMPORT_OFFER] = {"ImportOffer", false},
    [CV_RPC_IMPORT_SEALED] = {"ImportSealed", true},
};

const char *cv_rpc_op_name(enum cv_rpc_op op)
{
    return (unsigned)op < CV_RPC_OP_COUNT ? ops[op].name : "?";
}

bool cv_rpc_op_is_extension(enum cv_rpc_op op)
{
    return op >= CV_RPC_DESCRIBE;
}

bool cv_rpc_op_uses_kms(enum cv_rpc_op op)
{
    return (unsigned)op < CV_RPC_OP_COUNT && ops[op].kms;
}
