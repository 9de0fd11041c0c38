/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by boot.c and boot_check.c alone. */
#ifndef CV_SETTINGS_BOOT_PRIVATE_H
#define CV_SETTINGS_BOOT_PRIVATE_H

#include "settings/boot.h"

/* Digits alone, without needless zeros, no more than 64 bits. */
bool cv_boot_decimal(uint64_t *out, const char *text);

#endif
