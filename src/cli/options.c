/* SPDX-License-Identifier: Apache-2.0 */
/* The options of one command. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "yaml/yaml.h"

static const struct cv_option *find_long(const struct cv_option *o, size_t count, const char *name,
                                         size_t n)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(o[i].name) == n && memcmp(o[i].name, name, n) == 0) {
            return &o[i];
        }
    }
    return NULL;
}

static const struct cv_option *find_letter(const struct cv_option *o, size_t count, char letter)
{
    for (size_t i = 0; i < count; i++) {
        if (o[i].letter != 0 && o[i].letter == letter) {
            return &o[i];
        }
    }
    return NULL;
}

static bool unknown(const struct cv_command *cmd, const struct cv_option *o, size_t count,
                    const char *arg, size_t n)
{
    const char *names[64];
    char name[64];
    size_t k = 0;
    for (; k < count && k < 63; k++) {
        names[k] = o[k].name;
    }
    names[k] = NULL;
    (void)snprintf(name, sizeof(name), "%.*s", (int)(n < 60 ? n : 60), arg);
    const char *p = name + strspn(name, "-");
    const char *near = cv_yaml_nearest(p, names);
    if (near != NULL) {
        (void)cv_cli_usage(cmd, "unknown option %s; did you mean --%s?", name, near);
    } else {
        (void)cv_cli_usage(cmd, "unknown option %s", name);
    }
    return false;
}

static bool store(const struct cv_command *cmd, const struct cv_option *o, const char *value)
{
    char *end;
    unsigned long n;
    struct cv_option_list *list;
    switch (o->kind) {
    case CV_OPT_FLAG:
        *(bool *)o->target = true;
        return true;
    case CV_OPT_TEXT:
        *(const char **)o->target = value;
        return true;
    case CV_OPT_COUNT:
        errno = 0;
        n = strtoul(value, &end, 10);
        if (value[0] < '0' || value[0] > '9' || *end != 0 || errno != 0 || n < 1 || n > 1000000) {
            (void)cv_cli_usage(cmd, "--%s wants a number from 1 to 1000000", o->name);
            return false;
        }
        *(unsigned *)o->target = (unsigned)n;
        return true;
    case CV_OPT_LIST:
        list = o->target;
        if (list->count == CV_OPTION_LIST_MAX) {
            (void)cv_cli_usage(cmd, "--%s is given more than %d times", o->name,
                               CV_OPTION_LIST_MAX);
            return false;
        }
        list->item[list->count++] = value;
        return true;
    }
    return false;
}

/* One option, with its value in ATTACHED or in the next argument. */
static bool take(const struct cv_command *cmd, const struct cv_option *o, const char *attached,
                 int argc, char **argv, int *i)
{
    if (o->kind == CV_OPT_FLAG) {
        if (attached != NULL) {
            (void)cv_cli_usage(cmd, "--%s takes no value", o->name);
            return false;
        }
        return store(cmd, o, NULL);
    }
    if (attached != NULL) {
        return store(cmd, o, attached);
    }
    if (*i + 1 >= argc) {
        (void)cv_cli_usage(cmd, "--%s wants a value", o->name);
        return false;
    }
    *i += 1;
    return store(cmd, o, argv[*i]);
}

bool cv_options_parse(const struct cv_command *cmd, const struct cv_option *options, size_t count,
                      int argc, char **argv, int *operands)
{
    uint64_t seen = 0;
    int n = 0;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        const struct cv_option *o;
        const char *attached = NULL;
        if (ended || a[0] != '-' || a[1] == 0) {
            argv[++n] = a;
            continue;
        }
        if (strcmp(a, "--") == 0) {
            ended = true;
            continue;
        }
        if (a[1] == '-') {
            const char *eq = strchr(a, '=');
            size_t len = eq != NULL ? (size_t)(eq - a) - 2 : strlen(a) - 2;
            o = find_long(options, count, a + 2, len);
            attached = eq != NULL ? eq + 1 : NULL;
            if (o == NULL) {
                return unknown(cmd, options, count, a, len + 2);
            }
        } else {
            o = find_letter(options, count, a[1]);
            attached = a[2] != 0 ? a + 2 : NULL;
            if (o == NULL) {
                return unknown(cmd, options, count, a, 2);
            }
        }
        size_t index = (size_t)(o - options);
        if (o->kind != CV_OPT_LIST && index < 64) {
            if ((seen >> index) & 1) {
                (void)cv_cli_usage(cmd, "--%s is given twice", o->name);
                return false;
            }
            seen |= (uint64_t)1 << index;
        }
        if (!take(cmd, o, attached, argc, argv, &i)) {
            return false;
        }
    }
    if (operands != NULL) {
        *operands = n;
    } else if (n > 0) {
        (void)cv_cli_usage(cmd, "unexpected operand");
        return false;
    }
    return true;
}
