/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/boot_conf.h"

#include <string.h>
#include <sys/stat.h>

#include "eif/cpio_read.h"

/* The file's text into OUT when it is in this ramdisk. */
static int search(struct cv_input *in, struct cv_buf *out, bool *found, struct cv_error *err)
{
    struct cv_cpio_found e = {.name = ""};
    for (;;) {
        int rc = cv_cpio_next(in, &e, err);
        if (rc <= 0) {
            return rc;
        }
        uint32_t size = e.size;
        bool wanted = strcmp(e.name, CV_BOOT_FILE) == 0 && S_ISREG(e.mode);
        if (wanted) {
            cv_buf_reset(out);
            uint8_t *room = size <= CV_BOOT_MAX_TEXT ? cv_buf_reserve(out, size) : NULL;
            if (room == NULL) {
                return cv_error_set(err, CV_ERR_LIMIT, "the measured settings are too large");
            }
            rc = size != 0 ? cv_input_exact(in, room, size, err) : 0;
            cv_buf_commit(out, rc == 0 ? size : 0);
            *found = true;
        } else {
            rc = cv_input_skip(in, size, err);
        }
        if (rc == 0) {
            rc = cv_cpio_pad(in, &e, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

int cv_eif_boot_settings(const struct cv_eif *eif, struct cv_boot_settings *s, struct cv_error *err)
{
    cv_boot_init(s);
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_BOOT_MAX_TEXT);
    bool found = false;
    for (unsigned i = 0; i < eif->count; i++) {
        const struct cv_eif_section *section = &eif->sections[i];
        if (section->type != CV_EIF_RAMDISK) {
            continue;
        }
        struct cv_input in;
        int rc = cv_input_open(&in, eif->fd, section->offset, section->size, false, false, err);
        if (rc == 0) {
            rc = search(&in, &text, &found, err);
            cv_input_close(&in);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return found ? cv_boot_decode(s, cv_buf_view(&text), err)
                 : cv_error_set(err, CV_ERR_NOT_FOUND,
                                "the image has no measured settings: it "
                                "was not made by \"claviger eif build\"");
}
