/* SPDX-License-Identifier: Apache-2.0 */
/* claviger eif extract */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/eif_show.h"
#include "common/file.h"
#include "eif/signature.h"

static int copy_section(const struct cv_eif *eif, const struct cv_eif_section *s, int fd,
                        struct cv_error *err)
{
    uint8_t piece[65536];
    for (uint64_t done = 0; done < s->size;) {
        size_t n = s->size - done < sizeof piece ? (size_t)(s->size - done) : sizeof piece;
        int rc = cv_eif_read_at(eif, s->offset + done, piece, n, err);
        if (rc != 0) {
            return rc;
        }
        if (cv_fd_write_all(fd, piece, n) != 0) {
            return cv_error_errno(err, CV_ERR_IO, errno, "writing");
        }
        done += n;
    }
    return 0;
}

static int write_file(int dir, const char *name, const struct cv_eif *eif,
                      const struct cv_eif_section *s, struct cv_bytes bytes, struct cv_error *err)
{
    int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "creating %s", name);
    }
    int rc = 0;
    if (s != NULL) {
        rc = copy_section(eif, s, fd, err);
    } else if (cv_fd_write_all(fd, bytes.p, bytes.n) != 0) {
        rc = cv_error_errno(err, CV_ERR_IO, errno, "writing %s", name);
    }
    if (close(fd) != 0 && rc == 0) {
        rc = cv_error_errno(err, CV_ERR_IO, errno, "writing %s", name);
    }
    if (rc != 0) {
        unlinkat(dir, name, 0);
        cv_error_wrap(err, "%s", name);
    }
    return rc;
}

/* WRITTEN gets the files that were written. */
static int extract(const struct cv_eif *eif, int dir, json_t *written, struct cv_error *err)
{
    static const char *const names[] = {[CV_EIF_KERNEL] = "kernel",
                                        [CV_EIF_CMDLINE] = "cmdline",
                                        [CV_EIF_SIGNATURE] = "signature.cbor",
                                        [CV_EIF_METADATA] = "metadata.json"};
    unsigned ramdisks = 0;
    for (unsigned i = 0; i < eif->count; i++) {
        const struct cv_eif_section *s = &eif->sections[i];
        char name[32];
        uint8_t magic[2] = {0, 0};
        int rc = s->size >= 2 ? cv_eif_read_at(eif, s->offset, magic, 2, err) : 0;
        if (rc != 0) {
            return rc;
        }
        if (s->type == CV_EIF_RAMDISK) {
            bool gz = magic[0] == 0x1f && magic[1] == 0x8b;
            snprintf(name, sizeof name, "ramdisk%u.cpio%s", ramdisks++, gz ? ".gz" : "");
        } else {
            snprintf(name, sizeof name, "%s", names[s->type]);
        }
        rc = write_file(dir, name, eif, s, CV_BYTES(NULL, 0), err);
        if (rc != 0) {
            return rc;
        }
        (void)json_array_append_new(written, json_string(name));
    }
    if (cv_eif_find(eif, CV_EIF_SIGNATURE) == NULL) {
        return 0;
    }
    CV_CLEANUP(cv_eif_signature_free) struct cv_eif_signature s;
    int rc = cv_eif_signature_read(&s, eif, err);
    if (rc == 0) {
        rc = write_file(dir, "certificate.pem", NULL, NULL, cv_buf_view(&s.pem), err);
        (void)json_array_append_new(written, json_string("certificate.pem"));
    }
    return rc;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *option = NULL, *folder = NULL, *path;
    int operands;
    const struct cv_option options[] = {{"eif-path", 0, CV_OPT_TEXT, &option},
                                        {"directory", 'd', CV_OPT_TEXT, &folder}};
    if (!cv_options_parse(&cv_cmd_eif_extract, options, 2, argc, argv, &operands) ||
        !cv_eif_show_path(&cv_cmd_eif_extract, &path, option, operands, argv)) {
        return CV_EXIT_USAGE;
    }
    if (folder == NULL) {
        return cv_cli_usage(&cv_cmd_eif_extract, "-d DIRECTORY is needed");
    }
    struct cv_error err;
    cv_error_clear(&err);
    struct cv_eif eif;
    if (cv_eif_open(&eif, path, &err) != 0) {
        return cv_cli_fail(&err, "extracting");
    }
    enum cv_exit result = CV_EXIT_OK;
    int dir = -1;
    json_t *written = json_array();
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        result = cv_cli_fail(NULL, "making %s: %s", folder, strerror(errno));
    } else if ((dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        result = cv_cli_fail(NULL, "opening %s: %s", folder, strerror(errno));
    } else if (extract(&eif, dir, written, &err) != 0) {
        result = cv_cli_fail(&err, "extracting %s into %s", path, folder);
    }
    if (dir >= 0) {
        close(dir);
    }
    cv_eif_close(&eif);
    if (result != CV_EXIT_OK) {
        json_decref(written);
        return result;
    }
    if (cli->json) {
        cv_eif_show_json(json_pack("{s:o}", "Files", written));
    } else {
        size_t i;
        json_t *name;
        json_array_foreach (written, i, name) {
            (void)printf("%s\n", json_string_value(name));
        }
        json_decref(written);
    }
    return cv_cli_finish();
}

const struct cv_command cv_cmd_eif_extract = {
    .name = "eif extract",
    .summary = "write the parts of an enclave image into files",
    .usage = "-d DIRECTORY IMAGE.eif",
    .help = "Writes kernel, cmdline, metadata.json, ramdisk0.cpio, ramdisk1.cpio and so on, and,\n"
            "of a signed image, signature.cbor and certificate.pem. Existing files are not\n"
            "overwritten. The ramdisks are not unpacked: use cpio(1).\n"
            "\n"
            "Example: claviger eif extract -d parts signer.eif && cpio -tv < parts/ramdisk1.cpio\n",
    .run = run,
};
