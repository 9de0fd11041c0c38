/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program under test: one allocation fails. Counted are those
 * that the program itself asks for, not its libraries.
 *
 * CV_OOM=K: the K-th one. CV_OOM_COUNT=FILE: none fails; the number so far is
 * kept in the first eight bytes of FILE. CV_OOM_MARK=FILE: made when it failed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void *reallocarray(void *p, size_t n, size_t size);
char *strdup(const char *s);
char *strndup(const char *s, size_t n);

static uintptr_t first, last; /* the program's own code */
static _Atomic uint64_t calls;
static uint64_t chosen;
static _Atomic uint64_t *shown;
static const char *mark;

static int own_code(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) != 0) {
            first = info->dlpi_addr + p->p_vaddr;
            last = first + p->p_memsz;
        }
    }
    return 1; /* the first object is the program */
}

__attribute__((constructor)) static void begin(void)
{
    const char *k = getenv("CV_OOM"), *file = getenv("CV_OOM_COUNT");
    mark = getenv("CV_OOM_MARK");
    chosen = k != NULL ? strtoull(k, NULL, 10) : 0;
    if (file != NULL) {
        int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0 && ftruncate(fd, 4096) == 0) {
            void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            shown = p != MAP_FAILED ? p : NULL;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (chosen != 0 || shown != NULL) {
        dl_iterate_phdr(own_code, NULL);
    }
}

static bool fails(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    if (at < first || at >= last) {
        return false;
    }
    uint64_t n = atomic_fetch_add(&calls, 1) + 1;
    if (shown != NULL) {
        atomic_store(shown, n);
    }
    if (chosen == 0 || n != chosen) {
        return false;
    }
    int fd = mark != NULL ? open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        close(fd);
    }
    errno = ENOMEM;
    return true;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t n)
{
    return fails(CALLER) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails(CALLER) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails(CALLER) ? NULL : __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t n, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(n, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return fails(CALLER) ? NULL : __libc_realloc(p, all);
}

static char *copy(const char *s, size_t n)
{
    char *p = __libc_malloc(n + 1);
    if (p != NULL) {
        for (size_t i = 0; i < n; i++) {
            p[i] = s[i];
        }
        p[n] = '\0';
    }
    return p;
}

char *strdup(const char *s)
{
    size_t n = 0;
    while (s[n] != '\0') {
        n++;
    }
    return fails(CALLER) ? NULL : copy(s, n);
}

char *strndup(const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && s[n] != '\0') {
        n++;
    }
    return fails(CALLER) ? NULL : copy(s, n);
}
