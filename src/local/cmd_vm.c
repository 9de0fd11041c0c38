/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local vm run|describe|console|terminate|switch|heartbeat */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "local/local.h"
#include "local/vm.h"

const char cv_local_vm_usage[] =
    "usage: claviger-local vm run IMAGE.eif [OPTION]...\n"
    "       claviger-local vm describe|console|terminate [--dir DIR | --cid CID]\n"
    "       claviger-local vm switch --dir DIR --cid CID --cid CID...\n"
    "       claviger-local vm heartbeat [--listen ADDRESS]\n"
    "\n"
    "Boots an enclave image in a virtual machine of this host, with the kernel's own drivers\n"
    "for vsock and /dev/nsm, no disk and no network. The NSM measures the image as the\n"
    "hypervisor does, and signs its documents under a local root. Runs until the enclave\n"
    "ends, or 'vm terminate', SIGTERM or Ctrl-C ends it. Once the enclave has started it\n"
    "prints what nitro-cli run-enclave prints.\n"
    "\n"
    "  --memory MIB         of the machine (256); Debian's kernel wants 96 to 128 at least\n"
    "  --cpus N             processors (1)\n"
    "  --cid CID            vsock address of the machine (16); this host is CID 2, not 3\n"
    "  --switch DIR         the vsock device of 'vm switch' instead of one of its own\n"
    "  --debug-mode         registers of the image are zeros, and there is a console, which is\n"
    "                       shown on standard error\n"
    "  --console            a console without debug mode, which no real enclave has\n"
    "  --attach-console     show the console on standard output\n"
    "  --dir DIR            folder of the machine (below $XDG_RUNTIME_DIR or /tmp): at most 80 bytes\n"
    "  --name NAME          default: the image's file name\n"
    "  --nsm DIR            state of the NSM stand-in, with root.pem (DIR/nsm)\n"
    "  --role-arn ARN, --instance-id ID   for PCR3 and PCR4\n"
    "  --root DIR           a Debian system with QEMU 10.2 or later ($CLAVIGER_VM_ROOT)\n"
    "  --accel kvm|tcg      how the processor is virtualised (what works)\n"
    "  --heartbeat SECONDS  how long the init's heartbeat (vsock port 9000) is awaited (60; with\n"
    "                       --switch 0, since the machine with its parent's CID answers it)\n"
    "  --no-nsm             a machine without NSM (tests)\n"
    "  --nsm-fault NAME     an NSM that is not sound, as claviger-local nsm --fault (tests)\n"
    "\n"
    "The host reaches the enclave's port P as vsock-uds:DIR/vm.vsock:P, and listens for what\n"
    "the enclave connects to at the same form of address.\n"
    "\n"
    "'vm switch' is one vsock device for several machines, which reach each other by their CIDs\n"
    "as a parent instance (CID 3) and its enclaves do; the host reaches them at\n"
    "vsock-uds:DIR/CID.vsock:P. Prints \"ready\", and runs until SIGTERM or Ctrl-C; the machines\n"
    "at it end with it. 'vm heartbeat', in a machine that is the parent of others, answers their\n"
    "heartbeats as nitro-cli does (vsock:any:9000).\n"
    "example: claviger-local vm run signer.eif --debug-mode\n"
    "example: claviger-local vm switch --dir /tmp/sw --cid 3 --cid 16 &\n"
    "         claviger-local vm run signer.eif --switch /tmp/sw --cid 16\n";

enum {
    O_MEMORY = 256,
    O_CPUS,
    O_CID,
    O_DEBUG,
    O_CONSOLE,
    O_ATTACH,
    O_DIR,
    O_NAME,
    O_NSM,
    O_ROLE,
    O_INSTANCE,
    O_ROOT,
    O_ACCEL,
    O_HEARTBEAT,
    O_NO_NSM,
    O_NSM_FAULT,
    O_JSON_LOG,
    O_SWITCH,
    O_LISTEN
};

static const struct option long_options[] = {
    {"memory", required_argument, NULL, O_MEMORY},
    {"cpus", required_argument, NULL, O_CPUS},
    {"cpu-count", required_argument, NULL, O_CPUS},
    {"cid", required_argument, NULL, O_CID},
    {"enclave-cid", required_argument, NULL, O_CID},
    {"debug-mode", no_argument, NULL, O_DEBUG},
    {"console", no_argument, NULL, O_CONSOLE},
    {"attach-console", no_argument, NULL, O_ATTACH},
    {"dir", required_argument, NULL, O_DIR},
    {"name", required_argument, NULL, O_NAME},
    {"enclave-name", required_argument, NULL, O_NAME},
    {"nsm", required_argument, NULL, O_NSM},
    {"role-arn", required_argument, NULL, O_ROLE},
    {"instance-id", required_argument, NULL, O_INSTANCE},
    {"root", required_argument, NULL, O_ROOT},
    {"accel", required_argument, NULL, O_ACCEL},
    {"heartbeat", required_argument, NULL, O_HEARTBEAT},
    {"no-nsm", no_argument, NULL, O_NO_NSM},
    {"nsm-fault", required_argument, NULL, O_NSM_FAULT},
    {"json-log", no_argument, NULL, O_JSON_LOG},
    {"switch", required_argument, NULL, O_SWITCH},
    {"listen", required_argument, NULL, O_LISTEN},
    {NULL, 0, NULL, 0},
};

static int usage_error(const char *what)
{
    fprintf(stderr, "claviger-local vm: %s\n(claviger-local vm --help shows the options)\n", what);
    return 2;
}

static bool number(unsigned *out, const char *text, unsigned min, unsigned max)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || errno != 0 || *end != '\0' || v < min || v > max)
        return false;
    *out = (unsigned)v;
    return true;
}

/* Options of the command that are not the machine's. */
struct rest {
    const char *listen;
    char dir[PATH_MAX], switch_dir[PATH_MAX];
    bool heartbeat_given;
};

static int take_cid(struct cv_vm_options *o)
{
    if (!number(&o->cid, optarg, 3, UINT32_MAX - 1))
        return usage_error("--cid is 3 or more");
    for (size_t i = 0; i < o->cid_count; i++)
        if (o->cids[i] == o->cid)
            return usage_error("a CID is given twice");
    if (o->cid_count == CV_VM_SWITCH_MAX)
        return usage_error("a switch has at most 16 machines");
    o->cids[o->cid_count++] = o->cid;
    return 0;
}

static int take_option(struct cv_vm_options *o, struct rest *r, int c)
{
    switch (c) {
    case O_MEMORY:
        return number(&o->memory, optarg, 32, 1u << 20) ? 0
                                                        : usage_error("--memory is 32 MiB or more");
    case O_CPUS:
        return number(&o->cpus, optarg, 1, 64) ? 0 : usage_error("--cpus is 1 to 64");
    case O_CID:
        return take_cid(o);
    case O_SWITCH:
        o->switch_dir = optarg;
        return 0;
    case O_LISTEN:
        r->listen = optarg;
        return 0;
    case O_HEARTBEAT:
        r->heartbeat_given = true;
        return number(&o->heartbeat_s, optarg, 0, 3600) ? 0
                                                        : usage_error("--heartbeat is 0 to 3600");
    case O_ACCEL:
        o->accel = optarg;
        return strcmp(optarg, "kvm") == 0 || strcmp(optarg, "tcg") == 0
                   ? 0
                   : usage_error("--accel is kvm or tcg");
    case O_DEBUG:
        o->debug_mode = o->console = true;
        return 0;
    case O_CONSOLE:
        o->console = true;
        return 0;
    case O_ATTACH:
        o->attach = true;
        return 0;
    case O_DIR:
        o->dir = optarg;
        return 0;
    case O_NAME:
        o->name = optarg;
        return 0;
    case O_NSM:
        o->nsm_dir = optarg;
        return 0;
    case O_ROLE:
        o->nsm.role_arn = optarg;
        return 0;
    case O_INSTANCE:
        o->nsm.instance_id = optarg;
        return 0;
    case O_ROOT:
        o->root = optarg;
        return 0;
    case O_NO_NSM:
        o->no_nsm = true;
        return 0;
    case O_NSM_FAULT:
        return cv_local_nsm_fault_find(&o->nsm.fault, optarg)
                   ? 0
                   : usage_error("--nsm-fault: there is no such fault");
    case O_JSON_LOG:
        o->json_log = true;
        return 0;
    default:
        return usage_error("unknown option, or one without its value");
    }
}

/* DIR as an absolute path, short and without what QEMU takes apart. */
static int set_dir(const char **dir, char out[PATH_MAX], const char *option)
{
    char cwd[PATH_MAX / 2], what[128];
    if ((*dir)[0] == '/')
        snprintf(out, PATH_MAX, "%s", *dir);
    else if (getcwd(cwd, sizeof cwd) != NULL)
        snprintf(out, PATH_MAX, "%s/%s", cwd, *dir);
    else
        out[0] = '\0';
    *dir = out;
    if (out[0] != '\0' && strlen(out) <= CV_VM_DIR_MAX && strpbrk(out, ",=") == NULL)
        return 0;
    snprintf(what, sizeof what, "%s has at most 80 bytes as an absolute path, without ',' and '='",
             option);
    return usage_error(what);
}

static int set_dirs(struct cv_vm_options *o, struct rest *r)
{
    char standard[CV_VM_PATH];
    if (o->dir == NULL) {
        cv_vm_default_dir(standard, o->cid);
        o->dir = standard;
    }
    int status = set_dir(&o->dir, r->dir, "--dir");
    if (status == 0 && o->switch_dir != NULL)
        status = set_dir(&o->switch_dir, r->switch_dir, "--switch");
    return status;
}

static const char *file_name(char out[128], const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t n = strnlen(name, 127);
    memcpy(out, name, n);
    out[n] = '\0';
    if (n > 4 && strcmp(out + n - 4, ".eif") == 0)
        out[n - 4] = '\0';
    return out;
}

static int run(struct cv_vm_options *o, struct cv_error *err)
{
    char name[128], image[PATH_MAX];
    if (o->attach && !o->console)
        return cv_error_set(err, CV_ERR_CONFIG,
                            "--attach-console needs --debug-mode, or --console");
    if (realpath(o->image, image) == NULL)
        return cv_error_errno(err, CV_ERR_NOT_FOUND, errno, "the image %s", o->image);
    o->image = image;
    if (o->name == NULL)
        o->name = file_name(name, image);
    if (o->console && !o->debug_mode)
        cv_log(CV_LOG_WARN, "a console outside debug mode: no real enclave has one", NULL);
    return cv_vm_run(o, err);
}

static int describe(const char *dir, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 65536);
    int rc = cv_vm_running(&text, dir, err);
    if (rc == 0)
        puts((const char *)text.p);
    return rc;
}

static int heartbeat(const char *listen, struct cv_error *err)
{
    struct cv_addr at;
    int rc = cv_addr_parse(&at, listen, err);
    if (rc != 0)
        return cv_error_wrap(err, "--listen");
    return cv_vm_heartbeat(&at, err);
}

static int act(const char *verb, struct cv_vm_options *o, const struct rest *r,
               struct cv_error *err)
{
    if (strcmp(verb, "run") == 0)
        return run(o, err);
    if (strcmp(verb, "describe") == 0)
        return describe(o->dir, err);
    if (strcmp(verb, "switch") == 0)
        return cv_vm_switch(o, err);
    if (strcmp(verb, "heartbeat") == 0)
        return heartbeat(r->listen, err);
    return strcmp(verb, "console") == 0 ? cv_vm_console(o->dir, err) : cv_vm_terminate(o->dir, err);
}

/* What does not fit together. */
static int check(struct cv_vm_options *o, const struct rest *r, const char *verb, int operands)
{
    bool running = strcmp(verb, "run") == 0, switching = strcmp(verb, "switch") == 0;
    if (operands != (running ? 1 : 0))
        return usage_error(running ? "vm run takes one image" : "this takes options only");
    if (switching && (o->cid_count == 0 || o->dir == NULL))
        return usage_error("vm switch wants --dir and a --cid for each machine");
    if (!switching && o->cid_count > 1)
        return usage_error("a machine has one --cid");
    if (o->switch_dir != NULL && !running)
        return usage_error("--switch goes with vm run");
    if (o->switch_dir != NULL && !r->heartbeat_given)
        o->heartbeat_s = 0;
    return 0;
}

static const char *verb_of(const char *word)
{
    static const char *const verbs[] = {"run",       "describe", "console",
                                        "terminate", "switch",   "heartbeat"};
    for (size_t i = 0; word != NULL && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(word, verbs[i]) == 0)
            return verbs[i];
    return NULL;
}

int cv_local_cmd_vm(int argc, char **argv)
{
    struct cv_vm_options o = {.memory = CV_VM_DEFAULT_MEMORY,
                              .cpus = 1,
                              .cid = CV_VM_DEFAULT_CID,
                              .heartbeat_s = CV_VM_HEARTBEAT_S,
                              .root = getenv("CLAVIGER_VM_ROOT")};
    struct rest r = {.listen = "vsock:any:9000"};
    struct cv_error err;
    int c, status = 0;
    cv_error_clear(&err);
    opterr = 0;
    while (status == 0 && (c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        status = take_option(&o, &r, c);
    if (status != 0)
        return status;
    const char *verb = verb_of(argv[optind]);
    if (verb == NULL)
        return usage_error("say run, describe, console, terminate, switch or heartbeat");
    if ((status = check(&o, &r, verb, argc - optind - 1)) != 0)
        return status;
    o.image = argv[optind + 1];
    if (o.root != NULL && *o.root == '\0')
        o.root = NULL;
    if ((status = set_dirs(&o, &r)) != 0)
        return status;
    cv_log_setup(CV_LOG_INFO, o.json_log);
    if (act(verb, &o, &r, &err) != 0) {
        cv_log_error(CV_LOG_ERROR, "claviger-local vm", &err);
        return 1;
    }
    return 0;
}
