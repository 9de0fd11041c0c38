/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small driver for fuzz targets where libFuzzer is not: it replays every
 * file of the given corpus folders, then mutates them for some seconds, each
 * input with a guard page right behind its end. It takes libFuzzer's
 * arguments as far as run.sh uses them, and -seed=N to repeat a run. The input
 * that ends the process is left in a file beside -artifact_prefix.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)1 << 20) /* a multiple of every page size */
#define SEEDS_MAX 4096
#define WORDS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

struct blob {
    uint8_t *p;
    size_t n;
};

static struct blob seeds[SEEDS_MAX];
static size_t seed_count;
static struct blob words[WORDS_MAX];
static size_t word_count;
static uint64_t rng_state;
static const char *artifact_prefix = "./";
static unsigned timeout_s = 10;
static long rss_limit_mb = 2048;

/* What is running now, for the signal handler. */
static uint8_t *area; /* INPUT_MAX bytes, then a guard page */
static uint8_t *volatile current;
static volatile size_t current_n;

/* splitmix64 */
static uint64_t rng(void)
{
    uint64_t z = (rng_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n == 0 ? 0 : (size_t)(rng() % n);
}

static void *must(void *p)
{
    if (p == NULL) {
        perror("fuzz driver");
        exit(2);
    }
    return p;
}

/* Only what is allowed in a signal handler. */
static void save_current(const char *kind)
{
    char path[4096];
    size_t n = 0;
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a names the file */
    for (size_t i = 0; i < current_n; i++)
        hash = (hash ^ current[i]) * UINT64_C(0x100000001b3);
    for (const char *s = artifact_prefix; *s != '\0' && n < sizeof(path) - 64; s++)
        path[n++] = *s;
    for (const char *s = kind; *s != '\0'; s++)
        path[n++] = *s;
    for (int i = 60; i >= 0; i -= 4)
        path[n++] = "0123456789abcdef"[hash >> i & 15];
    path[n] = '\0';
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, current, current_n) != (ssize_t)current_n)
        path[0] = '\0';
    static const char text[] = "\nthe input that fails is in ";
    if (write(2, text, sizeof(text) - 1) < 0 || write(2, path, strlen(path)) < 0 ||
        write(2, "\n", 1) < 0)
        _exit(77);
}

static void on_signal(int sig)
{
    save_current(sig == SIGALRM ? "timeout-" : "crash-");
    if (sig == SIGALRM)
        _exit(70);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static void catch_signals(void)
{
    stack_t alt = {.ss_sp = must(malloc(65536)), .ss_size = 65536};
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};
    (void)sigaltstack(&alt, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        (void)sigaction(signals[i], &sa, NULL);
}

static void run(const uint8_t *p, size_t n)
{
    current = area + INPUT_MAX - n;
    current_n = n;
    if (n > 0)
        memcpy(current, p, n);
    (void)alarm(timeout_s);
    (void)LLVMFuzzerTestOneInput(current, n);
    (void)alarm(0);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss / 1024 > rss_limit_mb) {
        save_current("oom-");
        _exit(71);
    }
}

static void load_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || seed_count == SEEDS_MAX) {
        fprintf(stderr, "%s: cannot be used\n", path);
        exit(2);
    }
    size_t n = (size_t)st.st_size < INPUT_MAX ? (size_t)st.st_size : INPUT_MAX;
    uint8_t *p = must(malloc(n + 1));
    if (!S_ISREG(st.st_mode) || read(fd, p, n) != (ssize_t)n) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    (void)close(fd);
    seeds[seed_count++] = (struct blob){p, n};
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* In the order of the names, so that a seed of the generator repeats a run. */
static void load(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, by_name);
    if (n < 0 && errno == ENOTDIR) {
        load_file(path);
        return;
    }
    if (n < 0) {
        perror(path);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        char full[4096];
        int len = snprintf(full, sizeof(full), "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof(full))
            load_file(full);
        free(names[i]);
    }
    free(names);
}

/* A line of a dictionary: name="text", with \\ \" and \xNN. */
static void load_word(const char *line)
{
    const char *s = strchr(line, '"');
    if (line[0] == '#' || s == NULL || word_count == WORDS_MAX)
        return;
    uint8_t *p = must(malloc(strlen(s) + 1));
    size_t n = 0;
    for (s++; *s != '"' && *s != '\0'; s++) {
        unsigned v;
        if (*s == '\\' && s[1] == 'x' && sscanf(s + 2, "%2x", &v) == 1) {
            p[n++] = (uint8_t)v;
            s += 3;
        } else {
            if (*s == '\\' && s[1] != '\0')
                s++;
            p[n++] = (uint8_t)*s;
        }
    }
    words[word_count++] = (struct blob){p, n};
}

static void load_words(const char *path)
{
    FILE *f = must(fopen(path, "re"));
    char line[4096];
    while (fgets(line, sizeof(line), f) != NULL)
        load_word(line);
    (void)fclose(f);
}

/* Makes room for (or cuts out, when ADD is less than CUT) bytes at AT. */
static uint8_t *resize_at(uint8_t *p, size_t *n, size_t at, size_t cut, size_t add)
{
    if (*n - cut + add > INPUT_MAX)
        add = cut;
    memmove(p + at + add, p + at + cut, *n - at - cut);
    *n = *n - cut + add;
    return p + at;
}

static void insert(uint8_t *p, size_t *n, const uint8_t *what, size_t len)
{
    if (len == 0 || *n + len > INPUT_MAX)
        return;
    memcpy(resize_at(p, n, below(*n + 1), 0, len), what, len);
}

static void overwrite_integer(uint8_t *p, size_t n)
{
    static const uint64_t values[] = {
        0,     1,          23,         24,         31,        32,        63,    64,
        127,   128,        255,        256,        4096,      32767,     32768, 65535,
        65536, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX};
    size_t width = (size_t)1 << below(4);
    if (n < width)
        return;
    uint64_t v = values[below(sizeof(values) / sizeof(values[0]))] + below(3) - 1;
    uint8_t *to = p + below(n - width + 1);
    bool big = (rng() & 1) != 0;
    for (size_t i = 0; i < width; i++)
        to[big ? width - 1 - i : i] = (uint8_t)(v >> (8 * i));
}

static void mutate_once(uint8_t *p, size_t *n)
{
    uint8_t bytes[16];
    uint64_t r = rng();
    size_t at, len;
    switch (below(9)) {
    case 0:
        if (*n > 0)
            p[below(*n)] ^= (uint8_t)(1u << (r & 7));
        break;
    case 1:
        if (*n > 0)
            p[below(*n)] = (uint8_t)r;
        break;
    case 2:
        overwrite_integer(p, *n);
        break;
    case 3:
        at = below(*n);
        len = below(*n - at < 64 ? *n - at + 1 : 65);
        (void)resize_at(p, n, at, len, 0);
        break;
    case 4:
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)rng();
        insert(p, n, bytes, 1 + below(sizeof(bytes)));
        break;
    case 5: /* something of its own once more */
        at = below(*n);
        len = below(*n - at < 256 ? *n - at + 1 : 257);
        if (len > 0) {
            uint8_t copy[256];
            memcpy(copy, p + at, len);
            insert(p, n, copy, len);
        }
        break;
    case 6:
        if (word_count > 0) {
            const struct blob *w = &words[below(word_count)];
            insert(p, n, w->p, w->n);
        }
        break;
    case 7: /* a piece of another seed */
        if (seed_count > 0) {
            const struct blob *s = &seeds[below(seed_count)];
            at = below(s->n);
            insert(p, n, s->p + at, below(s->n - at + 1));
        }
        break;
    default:
        *n = below(*n + 1); /* cut short */
    }
}

static double now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool option(const char *arg, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n) != 0)
        return false;
    *value = arg + n;
    return true;
}

int main(int argc, char **argv)
{
    const char *v;
    double seconds = 0;
    rng_state = (uint64_t)(now() * 1e9) ^ (uint64_t)getpid() << 32;
    if (LLVMFuzzerInitialize != NULL)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        if (option(argv[i], "-max_total_time=", &v))
            seconds = strtod(v, NULL);
        else if (option(argv[i], "-timeout=", &v))
            timeout_s = (unsigned)strtoul(v, NULL, 10);
        else if (option(argv[i], "-rss_limit_mb=", &v))
            rss_limit_mb = strtol(v, NULL, 10);
        else if (option(argv[i], "-artifact_prefix=", &v))
            artifact_prefix = v;
        else if (option(argv[i], "-seed=", &v))
            rng_state = strtoull(v, NULL, 10);
        else if (option(argv[i], "-dict=", &v))
            load_words(v);
        else if (argv[i][0] != '-')
            load(argv[i]);
    }
    printf("%zu seeds, %zu words, -seed=%llu\n", seed_count, word_count,
           (unsigned long long)rng_state);
    (void)fflush(stdout);

    area = mmap(NULL, 2 * INPUT_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || mprotect(area + INPUT_MAX, INPUT_MAX, PROT_NONE) != 0) {
        perror("fuzz driver");
        return 2;
    }
    catch_signals();
    run(NULL, 0);
    for (size_t i = 0; i < seed_count; i++)
        run(seeds[i].p, seeds[i].n);

    uint8_t *work = must(malloc(INPUT_MAX));
    unsigned long long runs = 1 + seed_count;
    for (double end = now() + seconds; now() < end; runs++) {
        size_t n = 0;
        if (seed_count > 0) {
            const struct blob *s = &seeds[below(seed_count)];
            n = s->n;
            memcpy(work, s->p, n);
        }
        for (size_t times = 1 + below(6); times > 0; times--)
            mutate_once(work, &n);
        run(work, n);
    }
    free(work);
    printf("%llu runs, nothing found\n", runs);
    return 0;
}
