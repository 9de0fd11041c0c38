/* SPDX-License-Identifier: Apache-2.0 */
/* Which names and paths a configuration may set. */
#include <string.h>

#include "settings/boot.h"

bool cv_boot_env_name(const char *name, size_t n)
{
    if (n == 0 || n > 255) {
        return false;
    }
    /* Names like "discovery.type" and "my-app" are usual in containers. "*" has a
     * meaning in allow lists. */
    for (size_t i = 0; i < n; i++) {
        if (name[i] <= 0x20 || name[i] >= 0x7f || name[i] == '=' || name[i] == '*') {
            return false;
        }
    }
    return true;
}

bool cv_boot_env_dangerous(const char *name)
{
    /* A last "*" stands for any rest. */
    static const char *const list[] = {
        "PATH",
        "LD_*",
        "GLIBC_TUNABLES",
        "GCONV_PATH",
        "LOCPATH",
        "NLSPATH",
        "MALLOC_*",
        "HOSTALIASES",
        "RES_OPTIONS",
        "RESOLV_*",
        "IFS",
        "ENV",
        "BASH_*",
        "SHELLOPTS",
        "BASHOPTS",
        "PS4",
        "PROMPT_COMMAND",
        "SHELL",
        "CDPATH",
        "PYTHON*",
        "PERL*",
        "RUBY*",
        "GEM_*",
        "BUNDLE_*",
        "NODE_*",
        "NPM_CONFIG_*",
        "npm_config_*",
        "JAVA_TOOL_OPTIONS",
        "JAVA_OPTS",
        "JAVA_OPTIONS",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "CLASSPATH",
        "CATALINA_OPTS",
        "DOTNET_*",
        "CORECLR_*",
        "COMPlus_*",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "LUA_*",
        "ERL_*",
        "GODEBUG",
        "OPENSSL_*",
        "SSLKEYLOGFILE",
        "SSL_CERT_*",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "NIX_*",
        "GIT_*",
        "EDITOR",
        "PAGER",
        "VISUAL",
        "TMPDIR",
        "HOME",
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        size_t n = strlen(list[i]);
        if (list[i][n - 1] == '*' ? strncmp(name, list[i], n - 1) == 0
                                  : strcmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool listed(const struct cv_boot_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->item[i], text) == 0) {
            return true;
        }
    }
    return false;
}

bool cv_boot_allows_env(const struct cv_boot_settings *s, const struct cv_boot_source *source,
                        const char *name)
{
    if (!cv_boot_env_name(name, strlen(name))) {
        return false;
    }
    if (listed(&source->allow_env, name)) {
        return true;
    }
    if (cv_boot_env_dangerous(name)) {
        return false;
    }
    for (size_t i = 0; i < source->allow_env.count; i++) {
        const char *rule = source->allow_env.item[i];
        size_t n = strlen(rule);
        if (n != 0 && rule[n - 1] == '*' && strncmp(name, rule, n - 1) == 0) {
            return true;
        }
    }
    return s->publisher_key != NULL && source->allow_env.count == 0;
}

bool cv_boot_path_plain(const char *path)
{
    if (path[0] != '/' || path[1] == 0 || strlen(path) > 4000) {
        return false;
    }
    for (const char *at = path + 1;;) {
        size_t n = strcspn(at, "/");
        if (n == 0 || n > 255 || (n == 1 && at[0] == '.') ||
            (n == 2 && at[0] == '.' && at[1] == '.')) {
            return false;
        }
        if (at[n] == 0) {
            return true;
        }
        at += n + 1;
    }
}

static bool below(const char *path, const char *folder, size_t n)
{
    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

bool cv_boot_allows_path(const struct cv_boot_settings *s, const struct cv_boot_source *source,
                         const char *path)
{
    static const char *const never[] = {"/dev", "/proc", "/sys"};
    if (!cv_boot_path_plain(path)) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(never[i]);
        if (strcmp(path, never[i]) == 0 || below(path, never[i], n)) {
            return false;
        }
    }
    if (listed(&source->allow_path, path)) {
        return true;
    }
    for (size_t i = 0; i < source->allow_path.count; i++) {
        const char *rule = source->allow_path.item[i];
        size_t n = strlen(rule);
        if (n >= 2 && strcmp(rule + n - 2, "/*") == 0 && below(path, rule, n - 2)) {
            return true;
        }
    }
    return s->publisher_key != NULL && source->allow_path.count == 0;
}

bool cv_boot_allows_untrusted(const struct cv_boot_settings *s, const char *name)
{
    return cv_boot_env_name(name, strlen(name)) && listed(&s->untrusted_env, name);
}
