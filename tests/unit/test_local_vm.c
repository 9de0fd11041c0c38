/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "local/vm.h"

static void command_lines(void **state)
{
    static const struct {
        const char *measured, *want;
    } cases[] = {
        {"", "console=ttyS0 reboot=k panic=-1"},
        {"reboot=k panic=30 pci=off nomodules console=ttyS0 i8042.noaux random.trust_cpu=on",
         "console=ttyS0 reboot=k panic=-1 nomodules i8042.noaux random.trust_cpu=on"},
        {"  quiet\tpci=offset panicky=1\n",
         "console=ttyS0 reboot=k panic=-1 quiet pci=offset panicky=1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[256];
        assert_int_equal(cv_vm_cmdline(out, sizeof out, cases[i].measured, NULL), 0);
        assert_string_equal(out, cases[i].want);
    }
    char small[40];
    assert_int_equal(cv_vm_cmdline(small, sizeof small, "one two three", NULL), CV_ERR_LIMIT);
}

static void versions(void **state)
{
    unsigned major = 0, minor = 0;
    (void)state;
    assert_true(
        cv_vm_version(&major, &minor, "QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)\nCo"));
    assert_int_equal(major, 11);
    assert_int_equal(minor, 1);
    assert_true(cv_vm_version(&major, &minor, "warning: x\nQEMU emulator version 7.2.15\n"));
    assert_int_equal(major, 7);
    assert_false(cv_vm_version(&major, &minor, "QEMU emulator version x"));
    assert_false(cv_vm_version(&major, &minor, ""));
}

static void panics(void **state)
{
    char dir[] = "/tmp/cv-panic-XXXXXX", path[CV_VM_PATH], out[200] = "x";
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_false(cv_vm_panic(out, sizeof out, dir)); /* there is no console */
    cv_vm_path(path, dir, "console.log");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("[    1.0] Run /init\n", f);
    assert_int_equal(fflush(f), 0);
    assert_false(cv_vm_panic(out, sizeof out, dir));
    fputs("[    2.1] Kernel panic - not syncing: Attempted to kill init!\x1b\r\nCPU: 0\n", f);
    assert_int_equal(fclose(f), 0);
    assert_true(cv_vm_panic(out, sizeof out, dir));
    assert_string_equal(out, "Kernel panic - not syncing: Attempted to kill init!\\x1b");
    cv_vm_last_words(out, sizeof out, dir, "console.log");
    assert_string_equal(out, "CPU: 0");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(command_lines), cmocka_unit_test(versions),
                                       cmocka_unit_test(panics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
