/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsecp256k1 is one object: with signing comes verification, and the table of
 * a mebibyte that it alone reads. What runs inside an enclave only signs, so
 * there these two bytes stand in the place of the table. A test sees to it that
 * no verification is linked with them (tests/system/test_house.py).
 */
extern const unsigned char secp256k1_pre_g[1], secp256k1_pre_g_128[1];
const unsigned char secp256k1_pre_g[1] = {0}, secp256k1_pre_g_128[1] = {0};
