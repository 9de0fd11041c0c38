/* SPDX-License-Identifier: Apache-2.0 */
#include "local/standin.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cv_local_standin_state(struct cv_local_kms **kms, const char *path, struct cv_error *err)
{
    struct cv_local_kms_config config = {.state_path = path};
    *kms = NULL;
    return cv_local_kms_new(kms, &config, err);
}

bool cv_local_web_header(struct cv_local_web_reply *r, const char *name, const char *value)
{
    /* The buffer is made as large as it may get at once, so that nothing moves. */
    if (r->text.cap == 0 && cv_buf_reserve(&r->text, 60000) == NULL)
        return false;
    if (r->n == CV_LOCAL_WEB_HEADERS || r->text.n + strlen(name) + strlen(value) + 2 > 60000)
        return false;
    const char *n = (const char *)r->text.p + r->text.n;
    if (cv_buf_append(&r->text, name, strlen(name) + 1) != 0)
        return false;
    const char *v = (const char *)r->text.p + r->text.n;
    if (cv_buf_append(&r->text, value, strlen(value) + 1) != 0)
        return false;
    r->headers[r->n++] = (struct cv_http_header){n, v};
    return true;
}

int cv_local_xml_append(struct cv_buf *out, const char *text)
{
    int rc = 0;
    for (; *text != '\0' && rc == 0; text++) {
        const char *entity = *text == '&'    ? "&amp;"
                             : *text == '<'  ? "&lt;"
                             : *text == '>'  ? "&gt;"
                             : *text == '"'  ? "&quot;"
                             : *text == '\'' ? "&apos;"
                                             : NULL;
        rc =
            entity != NULL ? cv_buf_append_str(out, entity) : cv_buf_append_u8(out, (uint8_t)*text);
    }
    return rc;
}

static bool usage(const char *name, const char *what)
{
    fprintf(stderr, "claviger-local %s: %s\n(claviger-local %s --help shows the options)\n", name,
            what, name);
    return false;
}

/* True when WORD is among the words of LIST. */
static bool among(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = strstr(list, word); p != NULL; p = strstr(p + 1, word))
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

bool cv_local_standin_read(struct cv_local_standin_options *o, const char *name, const char *wanted,
                           int argc, char **argv)
{
    static const struct option all[] = {
        {"state", required_argument, NULL, 's'},
        {"listen", required_argument, NULL, 'l'},
        {"ca", required_argument, NULL, 'c'},
        {"dir", required_argument, NULL, 'd'},
        {"role", required_argument, NULL, 'r'},
        {"region", required_argument, NULL, 'g'},
        {"token", required_argument, NULL, 't'},
        {"life", required_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    int opt, index = 0;
    while ((opt = getopt_long(argc, argv, "", all, &index)) != -1) {
        if (opt == '?' || !among(wanted, all[index].name))
            return usage(name, "an option is wrong");
        switch (opt) {
        case 's':
            o->state = optarg;
            break;
        case 'l':
            o->listen = optarg;
            break;
        case 'c':
            o->ca = optarg;
            break;
        case 'd':
            o->dir = optarg;
            break;
        case 'r':
            o->role = optarg;
            break;
        case 'g':
            o->region = optarg;
            break;
        case 't':
            o->token = optarg;
            break;
        default: {
            size_t n = strlen(optarg);
            if (n == 0 || n > 6 || strspn(optarg, "0123456789") != n)
                return usage(name, "--life is a number of seconds");
            o->life_s = (unsigned)strtoul(optarg, NULL, 10);
        }
        }
    }
    if (optind != argc)
        return usage(name, "it takes no arguments, only options");
    if (o->state == NULL)
        return usage(name, "--state is needed");
    if (among(wanted, "dir") && o->dir == NULL)
        return usage(name, "--dir is needed");
    return true;
}
