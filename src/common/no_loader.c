/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs inside an enclave runs no code but its own. libcrypto can load
 * engines and providers from files; in the static programs these stand in the
 * place of the C library's functions, and say no. (All that we use of
 * libcrypto is built in.)
 *
 * dlopen() is replaced by the linker (--wrap): the start code of the C library
 * brings in the file of its own, which warns whoever is linked beside it.
 */
#include <dlfcn.h>
#include <stddef.h>

void *__wrap_dlopen(const char *file, int mode); /* NOLINT(cert-dcl51-cpp): the linker's name */

void *__wrap_dlopen(const char *file, int mode) /* NOLINT(cert-dcl51-cpp) */
{
    (void)file;
    (void)mode;
    return NULL;
}

int dlclose(void *handle)
{
    (void)handle;
    return -1;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
    (void)handle;
    (void)name;
    return NULL;
}

char *dlerror(void)
{
    static char text[] = "no code is loaded in an enclave";
    return text;
}

int dladdr(const void *address, Dl_info *info)
{
    (void)address;
    (void)info;
    return 0;
}
