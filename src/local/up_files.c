/* SPDX-License-Identifier: Apache-2.0 */
/* The files that `up` writes for others to read. */
#include "local/up.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/file.h"

#define FILE_MAX 65536

const char *cv_up_path(char out[CV_UP_PATH], const struct cv_up_plan *plan, const char *name)
{
    snprintf(out, CV_UP_PATH, "%.3800s/%.200s", plan->options.dir, name);
    return out;
}

/* Measured: the same folder and key give the same bytes, hence the same PCR0. */
int cv_up_write_enclave_conf(const struct cv_up_plan *plan, struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    const char *dir = plan->options.dir;
    char path[CV_UP_PATH];
    int rc = 0;
    cv_buf_init(&text, FILE_MAX);
    if ((rc = cv_buf_append_str(&text, "# Written by claviger-local up. It is measured with the "
                                       "program: a change is another image.\n")) ||
        (!plan->options.unpinned && (rc = cv_buf_printf(&text, "cmk_arn=%s\n", plan->key_arn))) ||
        (rc = cv_buf_printf(&text, "region=%s\nca_file=%s/ca.pem\n", plan->region, dir)) ||
        (rc = cv_buf_printf(&text,
                            "listen_address=unix:%s/enclave.sock\n"
                            "proxy_address=unix:%s/proxy.sock\nnsm_address=unix:%s/nsm.sock\n",
                            dir, dir, dir)) ||
        (plan->options.debug_mode && (rc = cv_buf_append_str(&text, "allow_debug=on\n"))))
        return cv_error_set(err, rc, "enclave.conf cannot be made");
    for (unsigned i = 0; i < plan->options.setting_count; i++)
        if ((rc = cv_buf_printf(&text, "%s\n", plan->options.settings[i])))
            return cv_error_set(err, rc, "enclave.conf cannot be made");
    return cv_file_replace(cv_up_path(path, plan, "enclave.conf"), cv_buf_view(&text), 0644, err);
}

/* A port that nobody has at the moment. */
static int free_port(uint16_t *port, struct cv_error *err)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bad =
        fd < 0 || bind(fd, (struct sockaddr *)&a, n) || getsockname(fd, (struct sockaddr *)&a, &n);
    int errnum = errno;
    if (fd >= 0)
        close(fd);
    *port = ntohs(a.sin_port);
    return bad ? cv_error_errno(err, CV_ERR_IO, errnum, "looking for a free port") : 0;
}

static int two_ports(uint16_t *a, uint16_t *b, struct cv_error *err)
{
    int rc = free_port(a, err);
    for (*b = *a; !rc && *b == *a;)
        rc = free_port(b, err);
    return rc;
}

/* TEXT in double quotes, as YAML wants it; `up` refuses folders with control
 * characters, so that only these two need care. */
static int yaml_string(struct cv_buf *out, const char *s)
{
    int rc = cv_buf_append_u8(out, '"');
    for (; !rc && *s; s++) {
        if (*s == '"' || *s == '\\')
            rc = cv_buf_append_u8(out, '\\');
        if (!rc)
            rc = cv_buf_append_u8(out, (uint8_t)*s);
    }
    return rc ? rc : cv_buf_append_u8(out, '"');
}

static int yaml_line(struct cv_buf *out, const char *key, const char *value)
{
    int rc = cv_buf_append_str(out, key);
    if (rc || (rc = cv_buf_append_str(out, ": ")) || (rc = yaml_string(out, value)))
        return rc;
    return cv_buf_append_u8(out, '\n');
}

static int new_yaml(struct cv_buf *out, const struct cv_up_plan *plan,
                    const struct cv_local_principal *role, struct cv_error *err)
{
    uint16_t main_port, utility_port;
    char enclave[CV_UP_PATH + 8];
    unsigned version = plan->options.sealed_version ? plan->options.sealed_version : 2;
    int rc = two_ports(&main_port, &utility_port, err);
    if (rc)
        return rc;
    snprintf(enclave, sizeof enclave, "unix:%.3800s/enclave.sock", plan->options.dir);
    if ((rc = cv_buf_append_str(out,
                                "# Written by claviger-local up; kept when it runs again.\n")) ||
        (rc = yaml_line(out, "base_dir", plan->options.dir)) ||
        (rc = cv_buf_printf(out,
                            "server:\n  address: 127.0.0.1:%u\n  utility_address: "
                            "127.0.0.1:%u\nvaults:\n  nitro:\n    driver: nitro\n    config:\n",
                            main_port, utility_port)) ||
        (rc = yaml_line(out, "      enclave_address", enclave)) ||
        (rc = yaml_line(out, "      encryption_key_id", plan->key_arn)) ||
        (rc = cv_buf_printf(out, "      sealed_version: %u\n      credentials:\n", version)) ||
        (rc = yaml_line(out, "        access_key_id", role->access_key_id)) ||
        (rc = yaml_line(out, "        secret_access_key", role->secret_access_key)) ||
        (rc = yaml_line(out, "        session_token", role->session_token)) ||
        (rc = yaml_line(out, "        region", plan->region)) ||
        (rc = cv_buf_append_str(out, "tezos: {}\n")))
        return cv_error_set(err, rc, "signatory.yaml cannot be made");
    return 0;
}

/* The one line that an option of `up` may change in a file that people edit. */
static int change_version(struct cv_buf *text, unsigned version, bool *changed)
{
    static const char name[] = "sealed_version:";
    char *at = strstr((char *)text->p, name);
    if (!at)
        return CV_ERR_NOT_FOUND;
    at += sizeof name - 1;
    at += strspn(at, " ");
    char digit = (char)('0' + version);
    *changed = *at != digit;
    if (*at != '1' && *at != '2')
        return CV_ERR_NOT_FOUND;
    *at = digit;
    return 0;
}

int cv_up_write_signatory_yaml(const struct cv_up_plan *plan, const struct cv_local_principal *role,
                               struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    char path[CV_UP_PATH];
    bool changed = false;
    cv_buf_init(&text, 1u << 20);
    cv_up_path(path, plan, "signatory.yaml");
    int rc = cv_file_read(&text, path, err);
    if (rc == CV_ERR_NOT_FOUND) {
        changed = true;
        rc = new_yaml(&text, plan, role, err);
    } else if (!rc && plan->options.sealed_version) {
        if (change_version(&text, plan->options.sealed_version, &changed))
            return cv_error_set(err, CV_ERR_CONFIG, "%s has no line sealed_version to change",
                                path);
    }
    if (rc || !changed)
        return rc;
    return cv_file_replace(path, cv_buf_view(&text), 0600, err);
}

int cv_up_write_credentials(const struct cv_up_plan *plan, const struct cv_local_principal *admin,
                            const struct cv_local_principal *role, struct cv_error *err)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) text;
    char path[CV_UP_PATH];
    cv_buf_init(&text, FILE_MAX);
    int rc = cv_buf_printf(&text,
                           "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n\n"
                           "[enclave]\naws_access_key_id = %s\naws_secret_access_key = %s\n"
                           "aws_session_token = %s\n",
                           admin->access_key_id, admin->secret_access_key, role->access_key_id,
                           role->secret_access_key, role->session_token);
    if (rc)
        return cv_error_set(err, rc, "the credentials file cannot be made");
    return cv_file_replace(cv_up_path(path, plan, "credentials"), cv_buf_view(&text), 0600, err);
}
