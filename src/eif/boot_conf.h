/* SPDX-License-Identifier: Apache-2.0 */
/* The measured settings out of an image, for who checks against them. */
#ifndef CV_EIF_BOOT_CONF_H
#define CV_EIF_BOOT_CONF_H

#include "eif/read.h"
#include "settings/boot.h"

/* Finds claviger/boot.conf in EIF's ramdisks (the last one wins, as in the
 * kernel) and decodes it. CV_ERR_NOT_FOUND when the image was not made by
 * claviger. S is freed by the caller in any case. */
int cv_eif_boot_settings(const struct cv_eif *eif, struct cv_boot_settings *s,
                         struct cv_error *err) CV_NODISCARD;

#endif
