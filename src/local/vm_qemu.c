/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's command line. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "local/vm.h"

#define TEXTS 12

/* Arguments made on the spot. */
struct texts {
    char v[TEXTS][CV_VM_PATH * 2];
    size_t n;
};

static CV_PRINTF(2, 3) const char *text(struct texts *t, const char *fmt, ...)
{
    char *out = t->v[t->n++ % TEXTS];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out, sizeof t->v[0], fmt, ap);
    va_end(ap);
    return out;
}

void cv_vm_add_program(struct cv_local_child *c, const struct cv_vm_programs *p,
                       const char *program)
{
    c->program = program;
    if (p->root[0] != '\0') {
        c->program = p->loader;
        cv_local_child_arg(c, p->loader);
        cv_local_child_arg(c, "--library-path");
        cv_local_child_arg(c, p->libraries);
    }
    cv_local_child_arg(c, program);
}

static void add2(struct cv_local_child *c, const char *option, const char *value)
{
    cv_local_child_arg(c, option);
    cv_local_child_arg(c, value);
}

static void add_machine(struct cv_local_child *c, struct texts *t, const struct cv_vm_options *o,
                        const char *accel)
{
    cv_local_child_arg(c, "-nodefaults");
    cv_local_child_arg(c, "-no-user-config");
    cv_local_child_arg(c, "-no-reboot");
    add2(c, "-display", "none");
    add2(c, "-monitor", "none");
    add2(c, "-machine", text(t, "q35,accel=%s,memory-backend=mem", accel));
    add2(c, "-cpu", "max");
    add2(c, "-smp", text(t, "%u", o->cpus));
    add2(c, "-m", text(t, "%uM", o->memory));
    add2(c, "-object", text(t, "memory-backend-memfd,id=mem,size=%uM,share=on", o->memory));
}

static void add_devices(struct cv_local_child *c, struct texts *t, const struct cv_vm_options *o,
                        const char *vhost)
{
    add2(c, "-chardev", text(t, "socket,id=vsock,path=%s", vhost));
    add2(c, "-device", "vhost-user-vsock-pci,chardev=vsock");
    if (!o->no_nsm) {
        add2(c, "-chardev", text(t, "socket,id=nsm,path=%s/nsm.sock", o->dir));
        add2(c, "-device",
             "vhost-user-test-device-pci,chardev=nsm,virtio-id=33,num_vqs=1,config_size=0");
    }
    add2(c, "-chardev",
         o->console ? text(t, "file,id=console,path=%s/console.log", o->dir) : "null,id=console");
    add2(c, "-serial", "chardev:console");
}

int cv_vm_start_qemu(struct cv_local_child *c, const struct cv_vm_programs *p,
                     const struct cv_vm_options *o, const struct cv_vm_image *image,
                     const char *vhost, const char *accel, struct cv_error *err)
{
    struct texts t = {.n = 0};
    const char *log = text(&t, "%s/qemu.log", o->dir);
    *c = (struct cv_local_child){.name = "QEMU", .out = -1, .log = log, .all_to_log = true};
    cv_vm_add_program(c, p, p->qemu);
    if (p->root[0] != '\0') {
        add2(c, "-L", p->firmware);
        add2(c, "-L", text(&t, "%s/usr/share/qemu", p->root));
        setenv("QEMU_MODULE_DIR", p->modules, 1);
    }
    add_machine(c, &t, o, accel);
    add2(c, "-kernel", text(&t, "%s/kernel", o->dir));
    add2(c, "-initrd", text(&t, "%s/initrd", o->dir));
    add2(c, "-append", image->cmdline);
    add_devices(c, &t, o, vhost);
    unlink(log);
    int rc = cv_local_child_spawn(c, err);
    c->log = NULL; /* gone with this function, as the arguments are */
    c->n_args = 0;
    return rc;
}
