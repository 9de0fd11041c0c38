/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "yaml/yaml.h"

void cv_yaml_problems_init(struct cv_yaml_problems *p, const char *file)
{
    p->file = file;
    p->count = 0;
}

void cv_yaml_problem(struct cv_yaml_problems *p, const struct cv_yaml_node *node, const char *fmt,
                     ...)
{
    if (p->count < CV_YAML_MAX_PROBLEMS) {
        struct cv_yaml_problem *slot = &p->list[p->count];
        slot->line = node != NULL ? node->line : 0;
        slot->column = node != NULL ? node->column : 0;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(slot->text, sizeof slot->text, fmt, ap);
        va_end(ap);
    }
    p->count++;
}

static int by_position(const void *a, const void *b)
{
    const struct cv_yaml_problem *x = a, *y = b;
    if (x->line != y->line) {
        return x->line < y->line ? -1 : 1;
    }
    if (x->column != y->column) {
        return x->column < y->column ? -1 : 1;
    }
    return strcmp(x->text, y->text);
}

size_t cv_yaml_problems_sort(struct cv_yaml_problems *p)
{
    size_t n = p->count < CV_YAML_MAX_PROBLEMS ? p->count : CV_YAML_MAX_PROBLEMS;
    qsort(p->list, n, sizeof p->list[0], by_position);
    return n;
}

char *cv_yaml_problem_place(char *out, size_t size, const struct cv_yaml_problems *p,
                            const struct cv_yaml_problem *one)
{
    if (one->line != 0) {
        snprintf(out, size, "%s:%u:%u", p->file, one->line, one->column);
    } else {
        snprintf(out, size, "%s", p->file);
    }
    return out;
}

void cv_yaml_problems_print(struct cv_yaml_problems *p, FILE *out)
{
    char place[4200];
    size_t n = cv_yaml_problems_sort(p);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "%s: %s\n", cv_yaml_problem_place(place, sizeof place, p, &p->list[i]),
                p->list[i].text);
    }
    if (p->count > n) {
        fprintf(out, "%s: and %zu more problems\n", p->file, p->count - n);
    }
}

int cv_yaml_problems_error(struct cv_yaml_problems *p, struct cv_error *err)
{
    if (p->count == 0) {
        return 0;
    }
    (void)cv_yaml_problems_sort(p);
    const struct cv_yaml_problem *one = &p->list[0];
    char more[48] = "";
    if (p->count > 1) {
        snprintf(more, sizeof more, " (and %zu more)", p->count - 1);
    }
    if (one->line != 0) {
        return cv_error_set(err, CV_ERR_CONFIG, "%s:%u:%u: %s%s", p->file, one->line, one->column,
                            one->text, more);
    }
    return cv_error_set(err, CV_ERR_CONFIG, "%s: %s%s", p->file, one->text, more);
}
