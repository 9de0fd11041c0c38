/* SPDX-License-Identifier: Apache-2.0 */
/* The credential chain against files, and scripted IMDS, container and STS. */
#include "unit/cv_test.h"

#include <sys/stat.h>

#include "aws/config.h"
#include "aws/sts.h"
#include "common/log.h"
#include "program/program.h"
#include "unit/fake_http.h"

static char dir[] = "/tmp/cv-aws-XXXXXX";
static char config_file[64], credentials_file[64], token_file[64];
static struct cv_error err;

static const char *const variables[] = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_METADATA_SERVICE_TIMEOUT",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_MAX_ATTEMPTS",
    "AWS_RETRY_MODE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CA_BUNDLE",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
};

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void quiet(void *ctx, const char *line, size_t n)
{
    (void)ctx, (void)line, (void)n;
}

static int group_setup(void **state)
{
    (void)state;
    cv_log_sink(quiet, NULL);
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(config_file, sizeof config_file, "%s/config", dir);
    snprintf(credentials_file, sizeof credentials_file, "%s/credentials", dir);
    snprintf(token_file, sizeof token_file, "%s/token", dir);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    unlink(config_file);
    unlink(credentials_file);
    unlink(token_file);
    return rmdir(dir);
}

static int setup(void **state)
{
    (void)state;
    cv_error_clear(&err);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    setenv("AWS_CONFIG_FILE", config_file, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", credentials_file, 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    put(config_file, "");
    put(credentials_file, "");
    put(token_file, "web-token\n");
    return 0;
}

static struct cv_aws_config *load(const struct cv_aws_options *o)
{
    struct cv_aws_config *c;
    assert_code(cv_aws_config_load(&c, o, &err), 0, &err);
    return c;
}

static int get(struct cv_aws_config *c, struct cv_aws_credentials *out, bool force)
{
    struct cv_aws_provider *p = cv_aws_config_provider(c);
    return p->get(p, out, force, cv_deadline(5000), &err);
}

/* The chain gives key id ID from a source that is called SOURCE. */
static void gives(const struct cv_aws_options *o, const char *id, const char *source)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials out = CV_AWS_CREDENTIALS_INIT;
    struct cv_aws_config *c = load(o);
    assert_code(get(c, &out, false), 0, &err);
    assert_string_equal(out.access_key_id, id);
    if (strstr(out.source, source) == NULL)
        fail_msg("the source is \"%s\", not \"%s\"", out.source, source);
    cv_aws_config_free(&c);
}

static void fails(const struct cv_aws_options *o, const char *says)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials out = CV_AWS_CREDENTIALS_INIT;
    struct cv_aws_config *c = load(o);
    assert_true(get(c, &out, false) < 0);
    assert_says(&err, says);
    cv_aws_config_free(&c);
}

static void point(const char *variable, const struct fake_http *f, const char *path)
{
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", f->l.addr.port, path);
    setenv(variable, url, 1);
}

static void files_and_environment(void **state)
{
    struct cv_aws_options named = {.profile = "other"}, absent = {.profile = "absent"};
    struct cv_aws_credentials mine = CV_AWS_CREDENTIALS_INIT;
    (void)state;
    fails(NULL, "no AWS credentials");
    put(credentials_file,
        "[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n"
        "[other]\naws_access_key_id=OTHER\naws_secret_access_key=s\naws_session_token=t\n"
        "[half]\naws_access_key_id=X\n[none]\nregion=us-east-1\n");
    gives(NULL, "FILE", "profile default");
    setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
    fails(NULL, "AWS_SECRET_ACCESS_KEY");
    setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    gives(NULL, "ENV", "environment");
    gives(&named, "OTHER", "profile other");
    fails(&absent, "profile absent is neither in");
    assert_int_equal(cv_aws_credentials_set(&mine, CV_BYTES_LIT("MINE"), CV_BYTES_LIT("s"),
                                            CV_BYTES(NULL, 0), 0, "configuration", NULL),
                     0);
    struct cv_aws_options explicit = {.credentials = &mine, .profile = "other"};
    gives(&explicit, "MINE", "configuration");
    cv_aws_credentials_free(&mine);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    setenv("AWS_PROFILE", "other", 1);
    gives(NULL, "OTHER", "profile other");
    setenv("AWS_PROFILE", "half", 1);
    fails(NULL, "aws_access_key_id without");
    setenv("AWS_PROFILE", "none", 1);
    fails(NULL, "no AWS credentials");
    setenv("AWS_PROFILE", "nobody", 1);
    fails(NULL, "profile nobody is neither");
    unsetenv("AWS_PROFILE");
    struct cv_aws_config *c;
    put(config_file, "[default]\nrubbish\n");
    assert_code(cv_aws_config_load(&c, NULL, &err), CV_ERR_CONFIG, &err);
    assert_says(&err, "config, line 2");
}

static void credential_process(void **state)
{
    (void)state;
    put(config_file,
        "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"PROC\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\",\"Expiration\":\"2099-01-01T00:00:00Z\"}'\n"
        "[profile fail]\ncredential_process = echo no >&2; exit 3\n"
        "[profile text]\ncredential_process = echo hello\n"
        "[profile old]\ncredential_process = echo '{\"Version\":2,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}'\n"
        "[profile flood]\ncredential_process = yes\n");
    gives(NULL, "PROC", "profile default");
    setenv("AWS_PROFILE", "text", 1);
    fails(NULL, "credential_process: it prints no JSON");
    setenv("AWS_PROFILE", "old", 1);
    fails(NULL, "not of Version 1");
    setenv("AWS_PROFILE", "flood", 1);
    fails(NULL, "prints more than");
    setenv("AWS_PROFILE", "fail", 1);
    fails(NULL, "status 3");
}

/* With a helper: what stands in the files when they are read may be run, and
 * what is written into them later may not. */
static void processes_that_a_helper_knows(void **state)
{
    static const char prints[] =
        "credential_process = echo '{\"Version\":1,\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"s\"}'\n";
    struct cv_aws_options leading = {.profile = "b"};
    char text[1000], line[300];
    (void)state;
    (void)snprintf(line, sizeof line, prints, "FIRST");
    (void)snprintf(
        text, sizeof text,
        "[default]\n%s[profile b]\nsource_profile = c\nrole_arn = arn:aws:iam::1:role/r\n"
        "[profile c]\ncredential_process = exit 4\n",
        line);
    put(config_file, text);
    assert_code(cv_program_helper_start(&err), 0, &err);
    struct cv_aws_config *c = load(NULL), *d = load(&leading);
    assert_code(cv_aws_config_allow_programs(c, &err), 0, &err);
    assert_code(cv_aws_config_allow_programs(d, &err), 0, &err);
    assert_code(cv_program_helper_seal(&err), 0, &err);
    assert_code(cv_aws_config_allow_programs(d, &err), 0, &err); /* nothing is named any more */
    cv_aws_config_free(&c);
    cv_aws_config_free(&d);
    gives(NULL, "FIRST", "profile default");
    fails(&leading, "status 4");
    (void)snprintf(line, sizeof line, prints, "SECOND");
    (void)snprintf(text, sizeof text, "[default]\n%s", line);
    put(config_file, text);
    fails(NULL, "restart");
    cv_program_helper_stop();
    gives(NULL, "SECOND", "profile default");
}

static void a_process_that_hangs_is_ended(void **state)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials out = CV_AWS_CREDENTIALS_INIT;
    (void)state;
    put(config_file, "[default]\ncredential_process = sleep 100\n");
    struct cv_aws_config *c = load(NULL);
    struct cv_aws_provider *p = cv_aws_config_provider(c);
    int64_t t = cv_now_ms();
    assert_code(p->get(p, &out, false, cv_deadline(200), &err), CV_ERR_TIMEOUT, &err);
    assert_in_range(cv_now_ms() - t, 150, 3000);
    cv_aws_config_free(&c);
}

#define STS(id)                                                                               \
    "<R><Credentials><AccessKeyId>" id "</AccessKeyId><SecretAccessKey>s/+</SecretAccessKey>" \
    "<SessionToken>tok</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>"

static void roles(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 200, .body = STS("ASIA1")},
        {.status = 200, .body = STS("ASIA2")},
        {.status = 200, .body = STS("ASIA3")},
        {.status = 403,
         .body =
             "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform sts:AssumeRole</Message></Error><RequestId>r1</RequestId></ErrorResponse>"},
        {.status = 200, .body = "<nothing/>"},
    };
    struct fake_http f;
    (void)state;
    assert_int_equal(fake_start(&f, steps, 5), 0);
    point("AWS_ENDPOINT_URL_STS", &f, "");
    put(config_file,
        "[profile base]\naws_access_key_id=BASE\naws_secret_access_key=s\n"
        "[default]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=base\nexternal_id=e/1\nduration_seconds=900\nrole_session_name=sess\nregion=eu-west-1\n"
        "[profile envrole]\nrole_arn=arn:aws:iam::1:role/e\ncredential_source=Environment\n"
        "[profile webrole]\nrole_arn=arn:aws:iam::1:role/w\nweb_identity_token_file=TOKEN\n"
        "[profile a]\nrole_arn=x\nsource_profile=b\n[profile b]\nrole_arn=x\nsource_profile=a\n"
        "[profile neither]\nrole_arn=x\n[profile mfa]\nrole_arn=x\nsource_profile=base\nmfa_serial=m\n"
        "[profile sso]\nsso_session=s\n[profile long]\nrole_arn=x\nsource_profile=base\nduration_seconds=1\n");
    gives(NULL, "ASIA1", "profile default, role arn:aws:iam::1:role/r");
    setenv("AWS_PROFILE", "envrole", 1);
    setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    struct cv_aws_options o = {.profile = "envrole"};
    gives(&o, "ASIA2", "role/e");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token_file, 1);
    fails(NULL, "without AWS_ROLE_ARN");
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/w", 1);
    gives(NULL, "ASIA3", "web identity");
    fails(NULL,
          "AssumeRoleWithWebIdentity: AccessDenied (HTTP 403, request id fake-id): not authorized");
    fails(NULL, "holds no credentials");
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token", 1);
    fails(NULL, "web identity token file");
    unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
    static const char *const bad[][2] = {
        {"a", "circle"},          {"neither", "either source_profile or credential_source"},
        {"mfa", "MFA"},           {"sso", "SSO is not supported"},
        {"long", "900 to 43200"},
    };
    for (size_t i = 0; i < 5; i++) {
        setenv("AWS_PROFILE", bad[i][0], 1);
        fails(NULL, bad[i][1]);
    }
    fake_stop(&f);
    assert_string_equal(
        f.body[0],
        "Action=AssumeRole&Version=2011-06-15&DurationSeconds=900&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=sess&ExternalId=e%2F1");
    assert_non_null(strstr(f.authorization[0], "Credential=BASE/"));
    assert_non_null(strstr(f.authorization[0], "/eu-west-1/sts/"));
    assert_non_null(strstr(f.authorization[1], "Credential=ENV/"));
    assert_string_equal(f.authorization[2], "");
    assert_non_null(strstr(f.body[2], "&WebIdentityToken=web-token"));
    fake_free(&f);
}

#define JSON(id, expires)                         \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"" id \
    "\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"" expires "\"}"

static void container(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 200, .body = JSON("CONT", "2099-01-01T00:00:00Z")},
        {.status = 500},
        {.status = 200, .body = JSON("CONT2", "2099-01-01T00:00:00Z")},
        {.status = 403, .body = "{\"code\":\"x\"}"},
    };
    struct fake_http f;
    (void)state;
    assert_int_equal(fake_start(&f, steps, 4), 0);
    point("AWS_CONTAINER_CREDENTIALS_FULL_URI", &f, "/creds?x=1");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc", 1);
    gives(NULL, "CONT", "container");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file, 1);
    gives(NULL, "CONT2", "container");
    fails(NULL, "container credentials: the endpoint answered HTTP 403");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent", 1);
    fails(NULL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\r\nX: y", 1);
    fails(NULL, "line break");
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x", 1);
    fails(NULL, "plain http to 192.0.2.1");
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "ftp://x", 1);
    fails(NULL, "endpoint");
    fake_stop(&f);
    assert_string_equal(f.target[0], "/creds?x=1");
    assert_string_equal(f.authorization[0], "Basic abc");
    assert_string_equal(f.authorization[1], "web-token");
    fake_free(&f);
}

static void imds(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 200, .body = "TOKEN1"},
        {.status = 200, .body = "my-role\n"},
        {.status = 200, .body = JSON("IMDS", "2099-01-01T00:00:00Z")},
        /* the token expires: once more */
        {.status = 200, .body = "TOKEN2"},
        {.status = 401},
        {.status = 200, .body = "TOKEN3"},
        {.status = 404},
        {.status = 403},
        {.status = 200, .body = "TOKEN4"},
        {.status = 200, .body = "../evil"},
        {.status = 200, .body = "TOKEN5"},
        {.status = 200, .body = "r"},
        {.status = 200, .body = "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}"},
        {.status = 200, .body = "TOKEN6"},
        {.status = 200, .body = "{\"region\":\"ap-south-1\"}"},
    };
    struct fake_http f;
    char region[CV_AWS_REGION_MAX + 1];
    (void)state;
    unsetenv("AWS_EC2_METADATA_DISABLED");
    assert_int_equal(fake_start(&f, steps, 15), 0);
    point("AWS_EC2_METADATA_SERVICE_ENDPOINT", &f, "");
    gives(NULL, "IMDS", "IMDS, role my-role");
    fails(NULL, "the instance has no role");
    fails(NULL, "no IMDSv2 token (HTTP 403)");
    fails(NULL, "role's name is malformed");
    fails(NULL, "AssumeRoleUnauthorizedAccess");
    struct cv_aws_config *c = load(NULL);
    assert_code(cv_aws_config_region(c, region, cv_deadline(3000), &err), 0, &err);
    assert_string_equal(region, "ap-south-1");
    cv_aws_config_free(&c);
    fake_stop(&f);
    assert_string_equal(f.target[0], "/latest/api/token");
    assert_string_equal(f.target[2], "/latest/meta-data/iam/security-credentials/my-role");
    fake_free(&f);
    /* Nobody there: passed over, and said so. */
    fails(NULL, "IMDS does not answer");
}

/* A renewal that fails leaves the old credentials in use; a forced one tells. */
static void renewal(void **state)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials out = CV_AWS_CREDENTIALS_INIT;
    char soon[CV_RFC3339_LEN], first[256], second[256];
    struct fake_step steps[] = {{.status = 200, .body = first},
                                {.status = 403},
                                {.status = 403},
                                {.status = 200, .body = second}};
    struct fake_http f;
    (void)state;
    cv_rfc3339_format(soon, cv_unix_ms() + 2000);
    snprintf(first, sizeof first,
             "{\"AccessKeyId\":\"ONE\",\"SecretAccessKey\":\"s\",\"Expiration\":\"%s\"}", soon);
    snprintf(second, sizeof second, "{\"AccessKeyId\":\"TWO\",\"SecretAccessKey\":\"s\"}");
    assert_int_equal(fake_start(&f, steps, 4), 0);
    point("AWS_CONTAINER_CREDENTIALS_FULL_URI", &f, "/");
    struct cv_aws_config *c = load(NULL);
    for (int i = 0; i < 5; i++)
        assert_code(get(c, &out, false), 0, &err); /* one fetch serves them all */
    assert_int_equal(f.requests, 1);
    cv_sleep_ms(2100);
    assert_code(get(c, &out, false), 0, &err);
    assert_string_equal(out.access_key_id, "ONE");
    assert_int_equal(f.requests, 2);
    assert_code(get(c, &out, true), CV_ERR_REMOTE, &err);
    assert_code(get(c, &out, true), 0, &err);
    assert_string_equal(out.access_key_id, "TWO");
    cv_aws_config_free(&c);
    fake_stop(&f);
    fake_free(&f);
}

static void changed_files_are_read_again(void **state)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials out = CV_AWS_CREDENTIALS_INIT;
    (void)state;
    put(credentials_file, "[default]\naws_access_key_id=OLD\naws_secret_access_key=s\n");
    struct cv_aws_config *c = load(NULL);
    assert_code(get(c, &out, false), 0, &err);
    put(credentials_file, "[default]\naws_access_key_id=NEWER\naws_secret_access_key=s\n");
    cv_sleep_ms(1100);
    assert_code(get(c, &out, false), 0, &err);
    assert_string_equal(out.access_key_id, "NEWER");
    put(credentials_file, "[default\n");
    cv_sleep_ms(1100);
    assert_code(get(c, &out, false), 0, &err);
    assert_string_equal(out.access_key_id, "NEWER");
    cv_aws_config_free(&c);
}

static void endpoint(struct cv_aws_config *c, const char *service, const char *url,
                     const char *host)
{
    struct cv_aws_endpoint e;
    char got[CV_AWS_HOST_MAX];
    assert_code(cv_aws_config_endpoint(c, &e, service, "us-east-1", url, &err), 0, &err);
    assert_string_equal(cv_aws_endpoint_host(got, &e), host);
}

static void regions_and_endpoints(void **state)
{
    char region[CV_AWS_REGION_MAX + 1];
    struct cv_aws_options o = {.region = "eu-north-1"};
    (void)state;
    put(config_file,
        "[default]\nregion=eu-west-3\nservices=local\nendpoint_url=https://all.example\nmax_attempts=5\n"
        "[services local]\nkms =\n  endpoint_url = https://kms.example:8443\n");
    struct cv_aws_config *c = load(NULL);
    assert_code(cv_aws_config_region(c, region, cv_deadline(1000), &err), 0, &err);
    assert_string_equal(region, "eu-west-3");
    setenv("AWS_DEFAULT_REGION", "eu-west-2", 1);
    assert_code(cv_aws_config_region(c, region, cv_deadline(1000), &err), 0, &err);
    assert_string_equal(region, "eu-west-2");
    setenv("AWS_REGION", "eu-west-1", 1);
    assert_code(cv_aws_config_region(c, region, cv_deadline(1000), &err), 0, &err);
    assert_string_equal(region, "eu-west-1");
    setenv("AWS_REGION", "EU/../x", 1);
    assert_code(cv_aws_config_region(c, region, cv_deadline(1000), &err), CV_ERR_CONFIG, &err);
    endpoint(c, "kms", NULL, "kms.example:8443");
    endpoint(c, "sts", NULL, "all.example");
    setenv("AWS_ENDPOINT_URL", "http://localhost:4566", 1);
    endpoint(c, "kms", NULL, "localhost:4566");
    setenv("AWS_ENDPOINT_URL_KMS", "https://only-kms.example", 1);
    endpoint(c, "kms", NULL, "only-kms.example");
    endpoint(c, "kms", "https://explicit.example", "explicit.example");
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
    endpoint(c, "kms", NULL, "kms.us-east-1.amazonaws.com");
    setenv("AWS_USE_FIPS_ENDPOINT", "true", 1);
    endpoint(c, "kms", NULL, "kms-fips.us-east-1.amazonaws.com");
    setenv("AWS_USE_DUALSTACK_ENDPOINT", "true", 1);
    endpoint(c, "kms", NULL, "kms-fips.us-east-1.api.aws");
    assert_int_equal(cv_aws_config_max_attempts(c), 5);
    setenv("AWS_MAX_ATTEMPTS", "2", 1);
    assert_int_equal(cv_aws_config_max_attempts(c), 2);
    cv_aws_config_free(&c);
    for (int i = 0; i < 3; i++) {
        static const char *const modes[] = {"standard", "Adaptive", "legacy"};
        struct cv_aws_client_config cc = {.max_attempts = 0};
        unsetenv("AWS_MAX_ATTEMPTS");
        setenv("AWS_RETRY_MODE", modes[i], 1);
        c = load(&o);
        assert_code(cv_aws_config_retries(c, &cc, &err), 0, &err);
        assert_int_equal(cc.max_attempts, 5); /* the profile's */
        assert_int_equal(cc.no_quota, i == 2);
        assert_int_equal(cc.pacer != NULL, i == 1);
        if (cc.pacer != NULL)
            cc.pacer->free(cc.pacer);
        cv_aws_config_free(&c);
    }
    setenv("AWS_RETRY_MODE", "never", 1);
    assert_code(cv_aws_config_load(&c, &o, &err), CV_ERR_CONFIG, &err);
    assert_says(&err, "standard, adaptive or legacy, not \"never\"");
    unsetenv("AWS_RETRY_MODE");
    setenv("AWS_MAX_ATTEMPTS", "0", 1);
    assert_code(cv_aws_config_load(&c, &o, &err), CV_ERR_CONFIG, &err);
    assert_says(&err, "AWS_MAX_ATTEMPTS");
    unsetenv("AWS_MAX_ATTEMPTS");
    c = load(&o);
    assert_code(cv_aws_config_region(c, region, cv_deadline(1000), &err), 0, &err);
    assert_string_equal(region, "eu-north-1");
    cv_aws_config_free(&c);
    put(config_file, "");
    unsetenv("AWS_REGION");
    unsetenv("AWS_DEFAULT_REGION");
    c = load(NULL);
    assert_code(cv_aws_config_region(c, region, cv_deadline(1000), &err), CV_ERR_CONFIG, &err);
    assert_says(&err, "set AWS_REGION");
    cv_aws_config_free(&c);
}

static void identity(void **state)
{
    static const struct fake_step steps[] = {
        {.status = 200,
         .body =
             "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><UserId>AROA:s</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"},
        {.status = 200, .body = "<x/>"},
    };
    struct fake_http f;
    struct cv_aws_client *sts;
    struct cv_sts_identity id;
    (void)state;
    assert_int_equal(fake_start(&f, steps, 2), 0);
    point("AWS_ENDPOINT_URL", &f, "");
    setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    setenv("AWS_REGION", "us-east-1", 1);
    struct cv_aws_config *c = load(NULL);
    assert_code(cv_aws_config_client(c, &sts, "sts", NULL, NULL, cv_deadline(1000), &err), 0, &err);
    assert_code(cv_sts_get_caller_identity(sts, &id, cv_deadline(3000), &err), 0, &err);
    assert_string_equal(id.account, "111122223333");
    assert_string_equal(id.arn, "arn:aws:sts::1:assumed-role/r/s");
    assert_string_equal(id.user_id, "AROA:s");
    assert_code(cv_sts_get_caller_identity(sts, &id, cv_deadline(3000), &err), CV_ERR_PROTOCOL,
                &err);
    cv_aws_client_free(&sts);
    cv_aws_config_free(&c);
    fake_stop(&f);
    fake_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(files_and_environment, setup),
        cmocka_unit_test_setup(credential_process, setup),
        cmocka_unit_test_setup(processes_that_a_helper_knows, setup),
        cmocka_unit_test_setup(a_process_that_hangs_is_ended, setup),
        cmocka_unit_test_setup(roles, setup),
        cmocka_unit_test_setup(container, setup),
        cmocka_unit_test_setup(imds, setup),
        cmocka_unit_test_setup(renewal, setup),
        cmocka_unit_test_setup(changed_files_are_read_again, setup),
        cmocka_unit_test_setup(regions_and_endpoints, setup),
        cmocka_unit_test_setup(identity, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
