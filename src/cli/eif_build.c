/* SPDX-License-Identifier: Apache-2.0 */
/* claviger eif build */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/eif_kms.h"
#include "cli/eif_show.h"
#include "cli/eif_signer.h"
#include "common/clock.h"
#include "common/file.h"
#include "eif/build.h"
#include "eif/enclave_yaml.h"

#define DEFAULT_MAX_MIB 8192u

struct request {
    const char *source, *out, *arch, *type, *config, *image, *certificate, *key, *kms_key,
        *compress;
    struct cv_option_list modules;
    unsigned max_mib;
    bool signer;
    struct cv_eif_signer signer_options;
    struct cv_build build;
    char program_dir[4096];
    char **command; /* operands after the source */
    int command_count;
};

static void warn(const char *text)
{
    (void)fprintf(stderr, "Warning: %s\n", text);
}

/* ---- progress: on a terminal, at most five times a second ---- */

static int64_t next_report;
static bool reported;

static void progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    (void)ctx;
    int64_t now = cv_now_ms();
    if (next_report == 0) {
        next_report = now + 1000; /* what takes less than a second needs no report */
    }
    if (now < next_report) {
        return;
    }
    next_report = now + 200;
    reported = true;
    (void)fprintf(stderr, "\r%s %llu of %llu MiB\033[K", what, (unsigned long long)done >> 20,
                  (unsigned long long)total >> 20);
}

static void progress_end(void)
{
    if (reported) {
        (void)fprintf(stderr, "\r\033[K");
    }
}

/* ---- options ---- */

static bool set_arch(struct request *r)
{
    static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}};
    struct utsname host;
    const char *arch = r->arch;
    if (arch == NULL && uname(&host) == 0) {
        arch = host.machine;
    }
    for (int i = 0; i < 2; i++) {
        if (arch != NULL && (strcmp(arch, names[i][0]) == 0 || strcmp(arch, names[i][1]) == 0)) {
            r->build.arm64 = i == 1;
            return true;
        }
    }
    (void)cv_cli_usage(&cv_cmd_eif_build, "--arch is x86_64 or aarch64");
    return false;
}

/* --modules a.ko,b.ko or given several times. */
static bool set_modules(struct request *r, char *copies[CV_OPTION_LIST_MAX])
{
    for (size_t i = 0; i < r->modules.count; i++) {
        if (strcmp(r->modules.item[i], "none") == 0) {
            r->build.no_modules = true;
            continue;
        }
        copies[i] = strdup(r->modules.item[i]);
        char *save = NULL;
        /* A file of just this name, or several with commas or spaces between. */
        const char *between = access(r->modules.item[i], F_OK) == 0 ? "" : ", ";
        for (char *one = copies[i] != NULL ? strtok_r(copies[i], between, &save) : NULL;
             one != NULL; one = strtok_r(NULL, between, &save)) {
            if (r->build.module_count == CV_BUILD_MAX_MODULES) {
                (void)cv_cli_usage(&cv_cmd_eif_build, "more than %u modules", CV_BUILD_MAX_MODULES);
                return false;
            }
            r->build.modules[r->build.module_count++] = one;
        }
    }
    return true;
}

static bool set_build_time(struct request *r)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    if (text == NULL || text[0] == 0) {
        return true;
    }
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || *end != 0 || v < 0 || v > 253402300799LL) {
        (void)cv_cli_fail(NULL, "SOURCE_DATE_EPOCH is no time in seconds");
        return false;
    }
    r->build.build_time = v;
    return true;
}

static void set_program_dir(struct request *r)
{
    ssize_t n = readlink("/proc/self/exe", r->program_dir, sizeof r->program_dir - 1);
    r->program_dir[n > 0 ? n : 0] = 0;
    char *slash = strrchr(r->program_dir, '/');
    if (slash != NULL) {
        *slash = 0;
        r->build.program_dir = r->program_dir;
    }
}

static bool check(struct request *r, int operands, char **argv)
{
    if (r->signer) {
        if (operands != 0) {
            (void)cv_cli_usage(&cv_cmd_eif_build, "--signer takes no SOURCE");
            return false;
        }
    } else if (operands < 1) {
        (void)cv_cli_usage(&cv_cmd_eif_build, "name a SOURCE, or --signer");
        return false;
    } else if (cv_eif_signer_given(&r->signer_options)) {
        (void)cv_cli_usage(&cv_cmd_eif_build,
                           "--cmk, --unpinned, --region, --endpoint, "
                           "and --set belong to --signer; enclave.yaml has settings of its own");
        return false;
    } else {
        r->source = argv[1];
        r->command = argv + 2;
        r->command_count = operands - 1;
    }
    if (r->out == NULL) {
        (void)cv_cli_usage(&cv_cmd_eif_build, "-o OUT.eif is needed");
        return false;
    }
    if ((r->certificate == NULL) != (r->key == NULL && r->kms_key == NULL) ||
        (r->key != NULL && r->kms_key != NULL)) {
        (void)cv_cli_usage(&cv_cmd_eif_build,
                           "--signing-certificate belongs together with --private-key or "
                           "--kms-key");
        return false;
    }
    if (r->kms_key != NULL && !cv_eif_kms_names(r->kms_key)) {
        (void)cv_cli_usage(&cv_cmd_eif_build, "--kms-key wants the ARN of a key");
        return false;
    }
    r->key = r->kms_key != NULL ? r->kms_key : r->key;
    return true;
}

/* ---- work ---- */

static int read_config(struct cv_enclave_config *config, const char *path, struct cv_error *err)
{
    memset(config, 0, sizeof *config);
    if (path == NULL) {
        return 0;
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_YAML_MAX_TEXT);
    char dir[4096];
    int rc = cv_file_read(&text, path, err);
    if (rc == 0 && cv_eif_dirname(dir, sizeof dir, path) != 0) {
        rc = cv_error_set(err, CV_ERR_LIMIT, "the name of %s is too long", path);
    }
    if (rc != 0) {
        return rc;
    }
    static struct cv_yaml_problems problems; /* large */
    cv_yaml_problems_init(&problems, path);
    rc = cv_enclave_config_parse(config, cv_buf_view(&text), dir, &problems);
    if (problems.count != 0) {
        cv_yaml_problems_print(&problems, stderr);
        rc = cv_error_set(err, CV_ERR_CONFIG, "%zu problem%s in %s", problems.count,
                          problems.count == 1 ? "" : "s", path);
    }
    return rc;
}

static int set_command(const struct request *r, struct cv_boot_settings *settings,
                       struct cv_source *source, struct cv_error *err)
{
    int rc = 0;
    if (r->command_count != 0) {
        struct cv_boot_settings own;
        cv_boot_init(&own);
        for (int i = 0; rc == 0 && i < r->command_count; i++) {
            rc = cv_boot_list_add(&own.argv, r->command[i]);
        }
        struct cv_boot_list old = settings->argv;
        settings->argv = own.argv;
        own.argv = old;
        cv_boot_free(&own);
    }
    if (rc == 0 && settings->argv.count == 0) {
        warn("no command is given: the application is /bin/sh");
        rc = cv_boot_list_add(&settings->argv, "/bin/sh");
    }
    if (rc != 0) {
        return cv_error_set(err, rc, "setting the command");
    }
    if (settings->argv.item[0][0] == '/' &&
        cv_tree_find(&source->tree, settings->argv.item[0], true) == NULL) {
        char text[400], quoted[200];
        snprintf(text, sizeof text, "the command \"%s\" is not in the image",
                 cv_error_quote(quoted, sizeof quoted, settings->argv.item[0],
                                strlen(settings->argv.item[0])));
        warn(text);
    }
    return 0;
}

static int prepare(struct request *r, const struct cv_enclave_config *config,
                   struct cv_boot_settings *settings, struct cv_source *source,
                   struct cv_error *err)
{
    int rc = r->signer ? cv_eif_signer_fill(&r->signer_options, r->build.program_dir, source,
                                            settings, err)
                       : cv_build_take_config(settings, source->config, err);
    if (rc == 0 && r->config != NULL) {
        rc = cv_enclave_config_apply(config, settings, err);
    }
    if (rc == 0) {
        rc = cv_enclave_config_put_files(config, source, err);
    }
    if (rc == 0) {
        rc = set_command(r, settings, source, err);
    }
    if (rc == 0 && source->xattrs != 0) {
        char text[160];
        snprintf(text, sizeof text,
                 "%llu files lose extended attributes (such as capabilities), "
                 "which a ramdisk cannot hold",
                 (unsigned long long)source->xattrs);
        warn(text);
    }
    if (rc == 0 && source->sockets != 0) {
        char text[80];
        snprintf(text, sizeof text, "%llu sockets of the directory are left out",
                 (unsigned long long)source->sockets);
        warn(text);
    }
    return rc;
}

static int build(struct request *r, struct cv_build_result *result, struct cv_error *err)
{
    struct cv_enclave_config config;
    int rc = read_config(&config, r->config, err);
    if (rc != 0) {
        cv_enclave_config_free(&config);
        return rc;
    }
    char dir[4096];
    bool terminal = isatty(STDERR_FILENO) == 1;
    static const char *const types[] = {"auto", "directory", "tar", "container"};
    struct cv_source_options options = {.path = r->source,
                                        .image = r->image,
                                        .arch = r->build.arm64 ? "arm64" : "amd64",
                                        .spool_dir = dir,
                                        .max_bytes = (uint64_t)r->max_mib << 20,
                                        .progress = terminal ? progress : NULL};
    struct stat last; /* the image of the last time is not part of its own source */
    if (stat(r->out, &last) == 0) {
        options.skip_dev = last.st_dev;
        options.skip_ino = last.st_ino;
    }
    for (int i = 0; r->type != NULL && i < 4; i++) {
        if (strcmp(r->type, types[i]) == 0) {
            options.kind = (enum cv_source_kind)i;
        }
    }
    struct cv_ramdisk_progress steps = {terminal ? progress : NULL, NULL};
    struct cv_source source;
    struct cv_boot_settings settings;
    cv_boot_init(&settings);
    rc = cv_eif_dirname(dir, sizeof dir, r->out);
    if (rc == 0) {
        rc = r->signer ? cv_source_empty(&source, &options, err)
                       : cv_source_open(&source, &options, err);
    }
    if (rc == 0) {
        rc = prepare(r, &config, &settings, &source, err);
        r->build.settings = &settings;
        r->build.source = &source;
        r->build.progress = &steps;
        if (rc == 0) {
            rc = cv_eif_build(&r->build, result, err);
        }
        cv_source_close(&source);
    }
    progress_end();
    cv_boot_free(&settings);
    cv_enclave_config_free(&config);
    return rc;
}

/* A key in KMS is asked before the work, so that a refusal comes at once. */
static int build_with_kms(struct request *r, struct cv_build_result *result, struct cv_error *err)
{
    struct cv_eif_kms kms;
    int rc = cv_eif_kms_open(&kms, r->key, err);
    struct cv_eif_remote_key key = cv_eif_kms_key(&kms);
    if (rc == 0) {
        rc = cv_eif_sign_check_remote(r->certificate, &key, err);
    }
    if (rc == 0) {
        r->build.remote_key = &key;
        rc = build(r, result, err);
        r->build.remote_key = NULL;
    }
    cv_eif_kms_close(&kms);
    return rc;
}

static enum cv_exit report(const struct cv_cli *cli, const struct request *r,
                           const struct cv_build_result *result)
{
    (void)fprintf(stderr,
                  "Enclave Image successfully created: %s, %llu KiB (%llu KiB without "
                  "the kernel)\n",
                  r->out, (unsigned long long)(result->size + 1023) >> 10,
                  (unsigned long long)(result->size - result->kernel_size + 1023) >> 10);
    cv_eif_show_measurements(cli, &result->pcrs);
    return cv_cli_finish();
}

static bool among(const char *word, const char *const *words)
{
    while (*words != NULL && strcmp(word, *words) != 0) {
        words++;
    }
    return *words != NULL;
}

/* What the source is, and whether the ramdisks are compressed. */
static bool set_kind(struct request *r)
{
    static const char *const types[] = {"auto", "directory", "tar", "container", NULL};
    static const char *const compressions[] = {"gzip", "none", NULL};
    if (r->type != NULL && !among(r->type, types)) {
        (void)cv_cli_usage(&cv_cmd_eif_build, "--type is auto, directory, tar or container");
        return false;
    }
    if (r->compress != NULL && !among(r->compress, compressions)) {
        (void)cv_cli_usage(&cv_cmd_eif_build, "--compress is gzip or none");
        return false;
    }
    /* The signer's own image is to be small; others as nitro-cli makes them. */
    r->build.small_init = r->signer;
    r->build.compress = r->compress != NULL ? strcmp(r->compress, "gzip") == 0 : r->signer;
    return true;
}

static enum cv_exit make(const struct cv_cli *cli, struct request *r)
{
    struct cv_error err;
    struct cv_build_result made;
    cv_error_clear(&err);
    set_program_dir(r);
    r->build.out = r->out;
    r->build.blobs = getenv("NITRO_CLI_BLOBS");
    r->build.tool_version = CV_VERSION;
    r->build.certificate = r->certificate;
    r->build.key = r->key;
    r->build.warn = warn;
    int rc = r->key != NULL && cv_eif_kms_names(r->key) ? build_with_kms(r, &made, &err)
                                                        : build(r, &made, &err);
    return rc == 0 ? report(cli, r, &made) : cv_cli_fail(&err, "building %s", r->out);
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    static struct request r;
    memset(&r, 0, sizeof r);
    r.max_mib = DEFAULT_MAX_MIB;
    bool signer_flag = false;
    int operands;
    const struct cv_option options[] = {
        {"output", 'o', CV_OPT_TEXT, &r.out},
        {"kernel", 0, CV_OPT_TEXT, &r.build.kernel},
        {"kernel-config", 0, CV_OPT_TEXT, &r.build.kernel_config},
        {"cmdline", 0, CV_OPT_TEXT, &r.build.cmdline},
        {"modules", 0, CV_OPT_LIST, &r.modules},
        {"init", 0, CV_OPT_TEXT, &r.build.init},
        {"arch", 0, CV_OPT_TEXT, &r.arch},
        {"type", 0, CV_OPT_TEXT, &r.type},
        {"image", 0, CV_OPT_TEXT, &r.image},
        {"enclave-config-file", 0, CV_OPT_TEXT, &r.config},
        {"name", 0, CV_OPT_TEXT, &r.build.name},
        {"version", 0, CV_OPT_TEXT, &r.build.version},
        {"metadata", 0, CV_OPT_TEXT, &r.build.metadata},
        {"omit-build-info", 0, CV_OPT_FLAG, &r.build.omit_build_info},
        {"compress", 0, CV_OPT_TEXT, &r.compress},
        {"signing-certificate", 0, CV_OPT_TEXT, &r.certificate},
        {"private-key", 0, CV_OPT_TEXT, &r.key},
        {"kms-key", 0, CV_OPT_TEXT, &r.kms_key},
        {"max-size", 0, CV_OPT_COUNT, &r.max_mib},
        {"signer", 0, CV_OPT_FLAG, &signer_flag},
        {"cmk", 0, CV_OPT_LIST, &r.signer_options.cmk},
        {"unpinned", 0, CV_OPT_FLAG, &r.signer_options.unpinned},
        {"region", 0, CV_OPT_TEXT, &r.signer_options.region},
        {"endpoint", 0, CV_OPT_TEXT, &r.signer_options.endpoint},
        {"ca-file", 0, CV_OPT_TEXT, &r.build.ca_file},
        {"set", 0, CV_OPT_LIST, &r.signer_options.set},
        {"program", 0, CV_OPT_TEXT, &r.signer_options.program},
    };
    if (!cv_options_parse(&cv_cmd_eif_build, options, sizeof options / sizeof options[0], argc,
                          argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    r.signer = signer_flag;
    if (r.signer) { /* its settings name the file */
        r.signer_options.ca_file = r.build.ca_file;
        r.build.ca_file = NULL;
    }
    if (!check(&r, operands, argv) || !set_arch(&r)) {
        return CV_EXIT_USAGE;
    }
    char *copies[CV_OPTION_LIST_MAX] = {NULL};
    enum cv_exit result = CV_EXIT_USAGE;
    if (set_kind(&r) && set_modules(&r, copies) && set_build_time(&r)) {
        result = make(cli, &r);
    }
    for (size_t i = 0; i < CV_OPTION_LIST_MAX; i++) {
        free(copies[i]);
    }
    return result;
}

const struct cv_command cv_cmd_eif_build = {
    .name = "eif build",
    .summary = "make an enclave image from a directory, a tar or a container image",
    .usage = "[options] SOURCE -o OUT.eif [-- COMMAND ARG...] | --signer (--cmk ARN... | "
             "--unpinned) -o OUT.eif",
    .help =
        "SOURCE is a directory, a tar (gzip or zstd too), an archive of docker save, an OCI archive\n"
        "or an OCI layout; \"-\" is an archive from standard input. The same input gives the same\n"
        "bytes, whoever builds when and where.\n"
        "\n"
        "  -o, --output FILE           the image to write\n"
        "  --kernel FILE               kernel (default: nitro-cli's in $NITRO_CLI_BLOBS)\n"
        "  --kernel-config FILE        its configuration, for the version in the metadata\n"
        "  --cmdline TEXT              kernel parameters\n"
        "  --modules FILE[,FILE...]    kernel modules in load order, \"none\" for none\n"
        "  --init FILE                 first program (default: claviger-init; for the signer\n"
        "                              claviger-init-small)\n"
        "  --arch x86_64|aarch64       architecture of the enclave (this machine's)\n"
        "  --type TYPE                 auto, directory, tar or container\n"
        "  --image NAME                which image of an archive that holds several\n"
        "  --enclave-config-file FILE  enclave.yaml: the application's measured settings\n"
        "  --name, --version TEXT      for the metadata\n"
        "  --metadata FILE             JSON of your own for the metadata, at most 4096 bytes\n"
        "  --omit-build-info           no tool versions, nothing of the container image\n"
        "  --compress gzip|none        of the ramdisks (none; gzip for the signer)\n"
        "  --signing-certificate FILE, --private-key FILE|--kms-key ARN  sign the image\n"
        "  --max-size MIB              all files together (8192)\n"
        "  --signer                    the image of the Claviger signer itself\n"
        "  --cmk ARN                   a KMS key that it may use; may be repeated\n"
        "  --unpinned                  any KMS key that the parent names\n"
        "  --ca-file PEM               roots for KMS and S3, instead of the image's own\n"
        "  --region, --endpoint TEXT, --set KEY=VALUE  see enclave.conf(5)\n"
        "\n"
        "Example: docker save app:1.2 | claviger eif build - -o app.eif\n",
    .run = run,
};
