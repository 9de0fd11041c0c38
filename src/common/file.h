/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: bounded reads, durable replacement, advisory locks, directories.
 *
 * "Durable" means: temporary file in the same directory (O_EXCL, mode given,
 * close-on-exec), written, fsynced, renamed, and the directory fsynced. Until
 * that is done the old content stands; when it fails the temporary file is
 * removed and nothing has changed. MODE is given whatever the umask is. Saved by
 * root, a file gets the owner of the file it replaces, or of its directory, so
 * that a service that runs as somebody else can go on reading it. A symbolic
 * link of our own or of root is followed.
 */
#ifndef CV_COMMON_FILE_H
#define CV_COMMON_FILE_H

#include <sys/types.h>

#include "common/bytes.h"
#include "common/secret.h"

/* Whole file into OUT, which is emptied first; at most out->limit bytes
 * (CV_ERR_LIMIT). Only a regular file or a pipe. CV_ERR_NOT_FOUND when absent. */
int cv_file_read(struct cv_buf *out, const char *path, struct cv_error *err) CV_NODISCARD;
/* The same for an open descriptor, up to its end. */
int cv_fd_read_all(struct cv_buf *out, int fd, const char *name, struct cv_error *err) CV_NODISCARD;
/* Into secret memory, at most LIMIT bytes. */
int cv_file_read_secret(struct cv_secret *out, const char *path, size_t limit,
                        struct cv_error *err) CV_NODISCARD;

/* Replaces PATH durably, as told above. */
int cv_file_replace(const char *path, struct cv_bytes content, mode_t mode,
                    struct cv_error *err) CV_NODISCARD;
/* Creates PATH durably; CV_ERR_EXISTS when something has that name. */
int cv_file_create(const char *path, struct cv_bytes content, mode_t mode,
                   struct cv_error *err) CV_NODISCARD;

/* Takes an exclusive advisory lock (OFD, so it is the descriptor's) on PATH,
 * which is created empty with mode 0600 when absent. Waits until DEADLINE
 * (monotonic ms; 0 = try once): CV_ERR_BUSY. *FD is closed by the caller,
 * which lets the lock go. */
int cv_file_lock(int *fd, const char *path, int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* Makes PATH and its missing parents with MODE; an existing directory is fine. */
int cv_dir_make(const char *path, mode_t mode, struct cv_error *err) CV_NODISCARD;
int cv_dir_sync(const char *path, struct cv_error *err) CV_NODISCARD;

/* Joins DIR and NAME with one slash into OUT; CV_ERR_LIMIT when too long. */
int cv_path_join(char *out, size_t size, const char *dir, const char *name) CV_NODISCARD;

/* write(2) and read(2) that go on after EINTR and short counts. */
int cv_fd_write_all(int fd, const void *p, size_t n) CV_NODISCARD;
int cv_fd_read_exact(int fd, void *p, size_t n) CV_NODISCARD;

#endif
