/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a name of Tezos, in the words that clients know. */
#ifndef CV_SIGNER_BASE58_FAULT_H
#define CV_SIGNER_BASE58_FAULT_H

#define CV_BASE58_FAULT 128

/* OTHER_KIND: of a name that is sound, but not of the kind that is wanted. */
void cv_base58_fault(char out[CV_BASE58_FAULT], const char *text, const char *other_kind);

#endif
