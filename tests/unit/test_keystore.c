/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "keystore/keystore.h"
#include "unit/cv_test.h"

#define PKH1 "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"
#define PKH2 "tz2BFTyPeYRzxd5aiBchbXN3WCZhx7BqbMBq"
#define PKH4 "tz4HVR6aty9KwsQFHh81C1G7gBdhxT8kuytm"

static char dir[64], path[128];
static struct cv_error err;
static struct cv_keystore *ks;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cv_keystore_XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/enclave_keys.json", dir);
    cv_error_clear(&err);
    return cv_keystore_open_file(&ks, path, &err);
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    cv_keystore_close(ks);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static void write_file(const char *text)
{
    assert_code(cv_file_replace(path, cv_bytes_str(text), 0600, &err), 0, &err);
}

static void assert_file(const char *want)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf b;
    cv_buf_init(&b, 1 << 20);
    assert_code(cv_file_read(&b, path, &err), 0, &err);
    assert_string_equal((char *)b.p, want);
}

static size_t count(void)
{
    struct cv_keystore_list list;
    assert_code(cv_keystore_list(ks, &list, &err), 0, &err);
    size_t n = list.n;
    cv_keystore_list_free(&list);
    return n;
}

static void missing_and_empty_files_hold_no_keys(void **state)
{
    (void)state;
    assert_int_equal(count(), 0);
    static const char *const empty[] = {"", " \n", "[]", "null\n", " [ ] "};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        write_file(empty[i]);
        assert_int_equal(count(), 0);
        assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("blob"), NULL, &err), 0, &err);
        assert_int_equal(count(), 1);
    }
    assert_string_equal(cv_keystore_name(ks), path);
}

/* Signatory's own shape, to the byte. */
static void writes_the_format(void **state)
{
    (void)state;
    struct stat st;
    mode_t old = umask(0);
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("\xfb\xff\x00"), NULL, &err), 0, &err);
    assert_code(cv_keystore_put(ks, PKH2, CV_BYTES_LIT("z"), NULL, &err), 0, &err);
    (void)umask(old);
    assert_file("[\n"
                "    {\n"
                "        \"public_key_hash\": \"" PKH1 "\",\n"
                "        \"encrypted_private_key\": \"+/8A\"\n"
                "    },\n"
                "    {\n"
                "        \"public_key_hash\": \"" PKH2 "\",\n"
                "        \"encrypted_private_key\": \"eg==\"\n"
                "    }\n"
                "]\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    struct cv_keystore_list list;
    assert_code(cv_keystore_list(ks, &list, &err), 0, &err);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.entries[0].pkh, PKH1);
    assert_memory_equal(list.entries[0].blob.p, "\xfb\xff\x00", 3);
    assert_int_equal(list.entries[0].blob.n, 3);
    assert_int_equal(json_object_size(list.entries[0].members), 0);
    assert_string_equal(list.entries[1].pkh, PKH2);
    cv_keystore_list_free(&list);
}

static void nothing_is_overwritten(void **state)
{
    (void)state;
    struct stat before, after;
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("one"), NULL, &err), 0, &err);
    assert_int_equal(stat(path, &before), 0);
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("one"), NULL, &err), 0, &err);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino); /* not even rewritten */
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("two"), NULL, &err), CV_ERR_EXISTS, &err);
    assert_says(&err, "there is a key " PKH1 " already");
    struct cv_keystore_entry e;
    assert_code(cv_keystore_get(ks, PKH1, &e, &err), 0, &err);
    assert_true(cv_bytes_equal_str(cv_buf_view(&e.blob), "one"));
    cv_keystore_entry_free(&e);
    assert_code(cv_keystore_get(ks, PKH2, &e, &err), CV_ERR_NOT_FOUND, &err);
    assert_says(&err, PKH2);
    cv_keystore_entry_free(&e);

    assert_code(cv_keystore_put(ks, "", CV_BYTES_LIT("x"), NULL, &err), CV_ERR_INVALID, &err);
    assert_code(cv_keystore_put(ks, "tz1 \"", CV_BYTES_LIT("x"), NULL, &err), CV_ERR_INVALID, &err);
    assert_code(cv_keystore_put(ks, PKH2, CV_BYTES_LIT(""), NULL, &err), CV_ERR_LIMIT, &err);
    static uint8_t big[CV_KEYSTORE_BLOB_MAX + 1];
    assert_code(cv_keystore_put(ks, PKH2, CV_BYTES(big, sizeof(big)), NULL, &err), CV_ERR_LIMIT,
                &err);
    assert_code(cv_keystore_put(ks, PKH2, CV_BYTES(big, sizeof(big) - 1), NULL, &err), 0, &err);
    assert_int_equal(count(), 2);
}

static void replacement_names_what_it_replaces(void **state)
{
    (void)state;
    assert_code(cv_keystore_replace(ks, PKH1, CV_BYTES_LIT("a"), CV_BYTES_LIT("b"), &err),
                CV_ERR_NOT_FOUND, &err);
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("a"), NULL, &err), 0, &err);
    assert_code(cv_keystore_replace(ks, PKH1, CV_BYTES_LIT("x"), CV_BYTES_LIT("b"), &err),
                CV_ERR_STATE, &err);
    assert_says(&err, "changed meanwhile");
    assert_code(cv_keystore_replace(ks, PKH1, CV_BYTES_LIT("a"), CV_BYTES_LIT("b"), &err), 0, &err);
    struct cv_keystore_entry e;
    assert_code(cv_keystore_get(ks, PKH1, &e, &err), 0, &err);
    assert_true(cv_bytes_equal_str(cv_buf_view(&e.blob), "b"));
    cv_keystore_entry_free(&e);
}

static void unknown_members_survive(void **state)
{
    (void)state;
    write_file("[{\"note\": {\"by\": [1, null]}, \"public_key_hash\": \"" PKH1 "\","
               " \"encrypted_private_key\": \"YQ==\", \"z\": true}]");
    CV_JSON_AUTO json_t *members =
        json_pack("{s:b, s:s}", CV_KEYSTORE_NEW, 1, CV_KEYSTORE_BIRTH, "Zm9v");
    assert_code(cv_keystore_put(ks, PKH2, CV_BYTES_LIT("b"), members, &err), 0, &err);
    assert_code(cv_keystore_replace(ks, PKH1, CV_BYTES_LIT("a"), CV_BYTES_LIT("c"), &err), 0, &err);
    assert_code(cv_keystore_set_member(ks, PKH2, CV_KEYSTORE_NEW, NULL, &err), 0, &err);
    CV_JSON_AUTO json_t *seven = json_integer(7);
    assert_code(cv_keystore_set_member(ks, PKH1, "seven", seven, &err), 0, &err);
    assert_file("[\n"
                "    {\n"
                "        \"note\": {\n"
                "            \"by\": [\n"
                "                1,\n"
                "                null\n"
                "            ]\n"
                "        },\n"
                "        \"public_key_hash\": \"" PKH1 "\",\n"
                "        \"encrypted_private_key\": \"Yw==\",\n"
                "        \"z\": true,\n"
                "        \"seven\": 7\n"
                "    },\n"
                "    {\n"
                "        \"public_key_hash\": \"" PKH2 "\",\n"
                "        \"encrypted_private_key\": \"Yg==\",\n"
                "        \"claviger_birth\": \"Zm9v\"\n"
                "    }\n"
                "]\n");
    struct cv_keystore_entry e;
    assert_code(cv_keystore_get(ks, PKH1, &e, &err), 0, &err);
    assert_int_equal(json_object_size(e.members), 3);
    assert_true(json_is_true(json_object_get(e.members, "z")));
    cv_keystore_entry_free(&e);
    assert_code(cv_keystore_set_member(ks, PKH4, "x", seven, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_keystore_set_member(ks, PKH1, "public_key_hash", seven, &err), CV_ERR_INVALID,
                &err);
    CV_JSON_AUTO json_t *bad = json_pack("{s:s}", "encrypted_private_key", "x");
    assert_code(cv_keystore_put(ks, PKH4, CV_BYTES_LIT("b"), bad, &err), CV_ERR_INVALID, &err);
    assert_int_equal(count(), 2);
}

static void several_changes_are_one(void **state)
{
    (void)state;
    struct cv_keystore_change c[3] = {
        {.op = CV_KEYSTORE_PUT, .pkh = PKH1, .blob = CV_BYTES_LIT("1")},
        {.op = CV_KEYSTORE_PUT, .pkh = PKH2, .blob = CV_BYTES_LIT("2")},
        {.op = CV_KEYSTORE_REPLACE,
         .pkh = PKH1,
         .old = CV_BYTES_LIT("x"),
         .blob = CV_BYTES_LIT("3")},
    };
    assert_code(cv_keystore_apply(ks, c, 3, &err), CV_ERR_STATE, &err);
    assert_int_equal(count(), 0);
    c[2].old = CV_BYTES_LIT("1");
    assert_code(cv_keystore_apply(ks, c, 3, &err), 0, &err);
    assert_int_equal(count(), 2);
    c[1].blob = CV_BYTES_LIT("");
    assert_code(cv_keystore_apply(ks, c, 3, &err), CV_ERR_LIMIT, &err);
    assert_code(cv_keystore_apply(ks, NULL, 0, &err), 0, &err);
}

/* What cannot be read is told with its place, and never written over. */
static void corrupt_files_are_left_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[", "ends too early (line 1, column 1)"},
        {"{}", "is not a JSON array of keys"},
        {"[\n  {\"public_key_hash\": \"" PKH1 "\",,}\n]", "is not valid JSON (line 2, column 62)"},
        {"[1]", "key 1 of 1: not an object"},
        {"[{\"encrypted_private_key\":\"YQ==\"}]", "key 1 of 1: \"public_key_hash\" is missing"},
        {"[{\"public_key_hash\":\"" PKH1 "\",\"encrypted_private_key\":\"YQ==\"},"
         "{\"public_key_hash\":\"" PKH2 "\"}]",
         "key 2 of 2: \"encrypted_private_key\" is missing"},
        {"[{\"public_key_hash\":\"" PKH1 "\",\"encrypted_private_key\":\"YQ\"}]", "is not base64"},
        {"[{\"public_key_hash\":\"" PKH1 "\",\"encrypted_private_key\":\"\"}]", "is empty"},
        {"[{\"public_key_hash\":\"" PKH1 "\",\"encrypted_private_key\":7}]", "is not a string"},
        {"[{\"public_key_hash\":\"\",\"encrypted_private_key\":\"YQ==\"}]",
         "not a public key hash"},
        {"[{\"public_key_hash\":\"tz1/\",\"encrypted_private_key\":\"YQ==\"}]",
         "not a public key hash"},
        {"[{\"public_key_hash\":\"" PKH1 "\",\"public_key_hash\":\"" PKH2 "\"}]", "member twice"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cv_keystore_list list;
        write_file(bad[i].text);
        assert_code(cv_keystore_list(ks, &list, &err), CV_ERR_INVALID, &err);
        assert_says(&err, bad[i].says);
        assert_says(&err, path);
        assert_int_equal(err.code, CV_ERR_INVALID);
        assert_code(cv_keystore_put(ks, PKH4, CV_BYTES_LIT("x"), NULL, &err), CV_ERR_INVALID, &err);
        assert_says(&err, bad[i].says);
        assert_file(bad[i].text);
        assert_true(cv_keystore_changed(ks));
    }
}

static void duplicates_of_others_are_listed(void **state)
{
    (void)state;
    write_file("[{\"public_key_hash\":\"" PKH1 "\",\"encrypted_private_key\":\"YQ==\"},"
               "{\"public_key_hash\":\"" PKH1 "\",\"encrypted_private_key\":\"Yg==\"}]");
    assert_int_equal(count(), 2);
    struct cv_keystore_entry e;
    assert_code(cv_keystore_get(ks, PKH1, &e, &err), 0, &err);
    assert_memory_equal(e.blob.p, "a", 1);
    cv_keystore_entry_free(&e);
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("b"), NULL, &err), 0, &err);
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("c"), NULL, &err), CV_ERR_EXISTS, &err);
    assert_code(cv_keystore_replace(ks, PKH1, CV_BYTES_LIT("b"), CV_BYTES_LIT("c"), &err), 0, &err);
    assert_int_equal(count(), 2);
}

static void changes_are_noticed(void **state)
{
    (void)state;
    struct cv_keystore *other;
    assert_true(cv_keystore_changed(ks));
    assert_int_equal(count(), 0);
    assert_false(cv_keystore_changed(ks));
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("a"), NULL, &err), 0, &err);
    assert_false(cv_keystore_changed(ks)); /* by ourselves: no news */
    assert_code(cv_keystore_open_file(&other, path, &err), 0, &err);
    assert_code(cv_keystore_put(other, PKH2, CV_BYTES_LIT("b"), NULL, &err), 0, &err);
    assert_true(cv_keystore_changed(ks));
    /* Our own change on top does not hide the other's. */
    assert_code(cv_keystore_put(ks, PKH4, CV_BYTES_LIT("c"), NULL, &err), 0, &err);
    assert_true(cv_keystore_changed(ks));
    assert_int_equal(count(), 3);
    assert_false(cv_keystore_changed(ks));
    assert_int_equal(unlink(path), 0);
    assert_true(cv_keystore_changed(ks));
    cv_keystore_close(other);
    cv_keystore_close(NULL);
}

#define EACH 40

static void add_many(int which)
{
    struct cv_keystore *mine;
    if (cv_keystore_open_file(&mine, path, NULL) != 0)
        _exit(1);
    for (int i = 0; i < EACH; i++) {
        char pkh[CV_KEYSTORE_PKH], blob[16];
        (void)snprintf(pkh, sizeof(pkh), "tz1process%dkey%d", which, i);
        (void)snprintf(blob, sizeof(blob), "%d-%d", which, i);
        if (cv_keystore_put(mine, pkh, cv_bytes_str(blob), NULL, NULL) != 0)
            _exit(2);
    }
    cv_keystore_close(mine);
    _exit(42);
}

static void two_processes_lose_nothing(void **state)
{
    (void)state;
    pid_t pids[3];
    for (int i = 0; i < 3; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            add_many(i);
    }
    /* A reader never meets half a file. */
    for (int done = 0; done < 3;) {
        (void)count();
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        assert_true(pid >= 0);
        if (pid > 0) {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 42);
            done++;
        }
    }
    assert_int_equal(count(), 3 * EACH);
    struct cv_keystore_entry e;
    assert_code(cv_keystore_get(ks, "tz1process2key7", &e, &err), 0, &err);
    assert_true(cv_bytes_equal_str(cv_buf_view(&e.blob), "2-7"));
    cv_keystore_entry_free(&e);
}

static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    static uint8_t big[8192];
    struct rlimit was, low;
    assert_code(cv_keystore_put(ks, PKH1, CV_BYTES_LIT("a"), NULL, &err), 0, &err);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    low = was;
    low.rlim_cur = 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    int rc = cv_keystore_put(ks, PKH2, CV_BYTES(big, sizeof(big)), NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_code(rc, CV_ERR_IO, &err);
    assert_says(&err, "changing ");
    assert_says(&err, "File too large");
    assert_int_equal(count(), 1);
    assert_code(cv_keystore_put(ks, PKH2, CV_BYTES(big, sizeof(big)), NULL, &err), 0, &err);
    assert_int_equal(count(), 2);
}

static void notes(void **state)
{
    (void)state;
    CV_CLEANUP(cv_buf_free) struct cv_buf b;
    cv_buf_init(&b, CV_KEYSTORE_NOTE_MAX);
    assert_code(cv_keystore_note_get(ks, "witness", &b, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_keystore_note_put(ks, "witness", CV_BYTES_LIT("w1"), &err), 0, &err);
    assert_code(cv_keystore_note_put(ks, "witness", CV_BYTES_LIT("w2"), &err), 0, &err);
    assert_code(cv_keystore_note_get(ks, "witness", &b, &err), 0, &err);
    assert_string_equal((char *)b.p, "w2");
    static const char *const bad[] = {"",   "lock", "tmp", "a/b",
                                      "..", "W",    "a.b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_code(cv_keystore_note_put(ks, bad[i], CV_BYTES_LIT("x"), &err), CV_ERR_INVALID,
                    &err);
    static uint8_t big[CV_KEYSTORE_NOTE_MAX + 1];
    assert_code(cv_keystore_note_put(ks, "witness", CV_BYTES(big, sizeof(big)), &err), CV_ERR_LIMIT,
                &err);
    assert_int_equal(count(), 0);
}

static void the_directory_is_made(void **state)
{
    (void)state;
    struct cv_keystore *other;
    struct stat st;
    char deep[200];
    (void)snprintf(deep, sizeof(deep), "%s/x/y/keys.json", dir);
    assert_code(cv_keystore_open_file(&other, deep, &err), 0, &err);
    struct cv_keystore_list list;
    assert_code(cv_keystore_list(other, &list, &err), 0, &err);
    assert_int_equal(list.n, 0);
    assert_code(cv_keystore_put(other, PKH1, CV_BYTES_LIT("a"), NULL, &err), 0, &err);
    *strrchr(deep, '/') = '\0';
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    cv_keystore_close(other);
    assert_code(cv_keystore_open_file(&other, "", &err), CV_ERR_CONFIG, &err);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(missing_and_empty_files_hold_no_keys),
        T(writes_the_format),
        T(nothing_is_overwritten),
        T(replacement_names_what_it_replaces),
        T(unknown_members_survive),
        T(several_changes_are_one),
        T(corrupt_files_are_left_alone),
        T(duplicates_of_others_are_listed),
        T(changes_are_noticed),
        T(two_processes_lose_nothing),
        T(a_full_disk_loses_nothing),
        T(notes),
        T(the_directory_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
