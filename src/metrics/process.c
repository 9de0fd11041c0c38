/* SPDX-License-Identifier: Apache-2.0 */
/* The process' own numbers, as Prometheus' client libraries name them. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "metrics/metrics.h"

static int one(struct cv_buf *out, const char *name, const char *type, const char *help,
               double value)
{
    return cv_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type,
                         name, value);
}

static unsigned open_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL) {
        return 0;
    }
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n > 3 ? n - 3 : 0; /* ".", "..", and the directory itself */
}

/* Fields 22 (start), 23 (virtual size) and 24 (resident pages) of stat(5). */
static bool read_stat(unsigned long long *start, unsigned long long *virtual_size, long long *pages)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 4096);
    if (cv_file_read(&text, "/proc/self/stat", NULL) != CV_OK) {
        return false;
    }
    const char *after = strrchr((const char *)text.p, ')');
    return after != NULL &&
           sscanf(after + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                  "%llu %llu %lld",
                  start, virtual_size, pages) == 3;
}

int cv_metrics_render_process(struct cv_buf *out)
{
    struct rusage use;
    struct rlimit files;
    struct timespec real;
    struct timespec boot;
    unsigned long long start = 0;
    unsigned long long virtual_size = 0;
    long long pages = 0;
    int r = CV_OK;
    if (getrusage(RUSAGE_SELF, &use) == 0) {
        double seconds = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
        r = one(out, "process_cpu_seconds_total", "counter", "User and system CPU time.", seconds);
    }
    if (r == CV_OK) {
        r = one(out, "process_open_fds", "gauge", "Open file descriptors.", open_fds());
    }
    if (r == CV_OK && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        r = one(out, "process_max_fds", "gauge", "Most file descriptors that may be open.",
                (double)files.rlim_cur);
    }
    if (r != CV_OK || !read_stat(&start, &virtual_size, &pages)) {
        return r;
    }
    r = one(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
            (double)pages * (double)sysconf(_SC_PAGESIZE));
    if (r == CV_OK) {
        r = one(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.",
                (double)virtual_size);
    }
    if (r == CV_OK && clock_gettime(CLOCK_REALTIME, &real) == 0 &&
        clock_gettime(CLOCK_BOOTTIME, &boot) == 0) {
        double up = (double)start / (double)sysconf(_SC_CLK_TCK);
        double booted =
            (double)real.tv_sec - (double)boot.tv_sec + (double)(real.tv_nsec - boot.tv_nsec) / 1e9;
        r = one(out, "process_start_time_seconds", "gauge", "Start of the process, Unix time.",
                booted + up);
    }
    return r;
}
