/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file of keys: each form that is read, what is refused and on which line, and that no secret is
 * ever repeated. Texts lie in blocks of their exact size.
 */
#include "server/tsig_keys.h"
#include "test_main.h"
#include "zonedb/name.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "Aw10X29QOVi7S+sEXAem/eks6Zozwdhi4CMQzQbcIIo="

static struct tsig_key_list list;
static char reason[512];

static int read_as(const char *text, size_t len, bool has_well_known, bool has_sha1)
{
    const struct tsig_key_source source = {"", has_well_known, has_sha1};
    char *copy = (char *)exact_copy(text, len);
    reason[0] = '\0';
    int outcome = tsig_keys_read_text(&source, "file", copy, len, &list, reason, sizeof reason);
    ck_assert(outcome == 0 || (list.items == NULL && list.count == 0));
    free(copy);
    return outcome;
}

static int read_text(const char *text)
{
    return read_as(text, strlen(text), false, false);
}

static const struct tsig_key *key_named(const char *text)
{
    uint8_t name[NAME_MAX_LEN];
    ck_assert_uint_gt(name_from_text(text, name), 0);
    for (size_t i = 0; i < list.count; i++)
        if (name_equal(list.items[i].name, name))
            return &list.items[i];
    return NULL;
}

/* Two keys are the same if they sign the same. */
static void expect_key(const char *name, enum tsig_algorithm algorithm, const uint8_t *secret,
                       size_t secret_len)
{
    uint8_t wire[NAME_MAX_LEN], one[256] = {0}, other[256] = {0};
    struct tsig_key expected;
    struct tsig_asked asked;
    const struct tsig_key *key = key_named(name);
    ck_assert_msg(key != NULL, "%s is not there", name);
    name_from_text(name, wire);
    ck_assert(tsig_key_set(&expected, wire, algorithm, secret, secret_len));
    ck_assert_int_eq(key->algorithm, algorithm);
    size_t len = tsig_request_sign(key, 1, NULL, 0, one, 12, sizeof one, &asked);
    ck_assert_uint_eq(tsig_request_sign(&expected, 1, NULL, 0, other, 12, sizeof other, &asked),
                      len);
    ck_assert_mem_eq(one, other, len);
}

static const uint8_t secret_octets[32] = {
    0x03, 0x0d, 0x74, 0x5f, 0x6f, 0x50, 0x39, 0x58, 0xbb, 0x4b, 0xeb, 0x04, 0x5c, 0x07, 0xa6, 0xfd,
    0xe9, 0x2c, 0xe9, 0x9a, 0x33, 0xc1, 0xd8, 0x62, 0xe0, 0x23, 0x10, 0xcd, 0x06, 0xdc, 0x20, 0x8a};

START_TEST(test_forms)
{
    static const char *const forms[] = {
        "example-key hmac-sha256 " SECRET "\n",
        "example-key hmac-sha256 " SECRET,
        "\n# a comment\n\tExample-KEY.\tHMAC-SHA256.\t\"" SECRET "\" # more\n",
        "// a comment\n/* and\nanother */ \"example-key\" hmac-sha256 " SECRET "\n\n",
        /* Verbatim: tsig-keygen, keymgr -t. */
        "key \"example-key\" {\n\talgorithm hmac-sha256;\n\tsecret \"" SECRET "\";\n};\n",
        "# hmac-sha256:example-key:" SECRET "\nkey:\n  - id: example-key\n"
        "    algorithm: hmac-sha256\n    secret: " SECRET "\n",
        "key example-key{secret " SECRET ";algorithm \"hmac-sha256\";};",
        "key:\r\n- id: \"example-key\"\r\n  secret: " SECRET "\r\n  algorithm: hmac-sha256\r\n",
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        ck_assert_msg(read_text(forms[i]) == 0, "%s: %s", forms[i], reason);
        ck_assert_uint_eq(list.count, 1);
        expect_key("example-key", TSIG_HMAC_SHA256, secret_octets, sizeof secret_octets);
        tsig_keys_free(&list);
    }
}
END_TEST

START_TEST(test_many_mixed)
{
    ck_assert_msg(read_text("key hmac-sha512 a2V5\n"
                            "key key { algorithm hmac-sha384; secret \"//8=\"; };\n"
                            "key:\n - id: y1\n   algorithm: hmac-sha256-128\n   secret: AA==\n"
                            " - id: y2\n   algorithm: hmac-sha256\n   secret: //8=\n"
                            "last hmac-sha384-192 //8=\n") == -EINVAL,
                  "two keys named key");
    ck_assert_str_eq(reason, "file:2: the key key. is there twice, first on line 1");
    ck_assert_msg(read_text("key hmac-sha512 a2V5\n"
                            "key key2 { algorithm hmac-sha384; secret \"//8=\"; };\n"
                            "key:\n - id: y1\n   algorithm: hmac-sha256-128\n   secret: AA==\n"
                            " - id: y2\n   algorithm: hmac-sha256\n   secret: //8=\n"
                            "last hmac-sha384-192 //8=\n") == 0,
                  "%s", reason);
    static const uint8_t ff[] = {0xff, 0xff}, zero[] = {0};
    ck_assert_uint_eq(list.count, 5);
    expect_key("key", TSIG_HMAC_SHA512, (const uint8_t *)"key", 3);
    expect_key("key2", TSIG_HMAC_SHA384, ff, 2);
    expect_key("y1", TSIG_HMAC_SHA256_128, zero, 1);
    expect_key("y2", TSIG_HMAC_SHA256, ff, 2);
    expect_key("last", TSIG_HMAC_SHA384_192, ff, 2);
    for (size_t i = 1; i < list.count; i++)
        ck_assert_int_lt(tsig_key_compare(&list.items[i - 1], &list.items[i]), 0);
    tsig_keys_free(&list);
    ck_assert_int_eq(read_text("# none\n"), 0);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

static const struct {
    const char *text;
    unsigned line;
    const char *reason;
} broken[] = {
    {"a\n", 1, "a key is: NAME ALGORITHM SECRET"},
    {"\na hmac-sha256\n", 2, "has no secret"},
    {"a hmac-sha256\nc2VjcmV0\n", 1, "has no secret"},
    {"a hmac-sha256 c2VjcmV0 b\n", 1, "more behind the secret"},
    {"a hmac-sha256 c2VjcmV0\nb hmac-sha257 c2VjcmV0\n", 2, "the algorithm is none of"},
    {"a c2VjcmV0 hmac-sha256\n", 1, "the algorithm is none of"},
    {"a hmac-md5 c2VjcmV0\n", 1, "the algorithm is none of"},
    {"a hmac-sha1 c2VjcmV0\n", 1, "hmac-sha1 is not recommended"},
    {"a hmac-sha256 c2VjcmV0=\n", 1, "the secret is not base64"},
    {"a hmac-sha256 c2Vjc-V0\n", 1, "the secret is not base64"},
    {"a hmac-sha256 \"\"\n", 1, "has no secret"},
    {"a hmac-sha256 \"c2VjcmV0\n", 1, "has no secret"},
    {"a..b hmac-sha256 c2VjcmV0\n", 1, "not a domain name"},
    {"a hmac-sha256 c2VjcmV0\nA. hmac-sha512 c2VjcmV0\n", 2,
     "the key a. is there twice, first on line 1"},
    {"{ }\n", 1, "here a key must begin"},
    {"a {\n", 1, "a key is: NAME"},
    {"/* \n\n", 3, "has no end"},
    {"key \"a\" {\n algorithm hmac-sha256;\n};\n", 1, "has no secret"},
    {"\nkey \"a\" {\n secret \"c2VjcmV0\";\n};\n", 2, "has no algorithm"},
    {"key \"a\" {\n algorithm hmac-sha256\n secret \"c2VjcmV0\";\n};\n", 3,
     "the ; behind algorithm is missing"},
    {"key \"a\" {\n secret \"c2VjcmV0\";\n secret \"c2VjcmV0\";\n};\n", 3,
     "secret: is there twice"},
    {"key \"a\" {\n bits 3;\n};\n", 2, "algorithm, secret or } must stand"},
    {"key \"a\" {\n algorithm hmac-sha256; secret \"c2VjcmV0\";\n}\nb hmac-sha256 c2VjcmV0\n", 3,
     "the ; behind } is missing"},
    {"key \"a\" {\n algorithm hmac-sha256;\n", 3, "algorithm, secret or } must stand"},
    {"key \"\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; };\n", 1, "the key has no name"},
    {"key:\n  - algorithm: hmac-sha256\n", 2, "behind - must stand id: NAME"},
    {"key:\n  - id: a\n    algorithm: hmac-sha256\n", 2, "has no secret"},
    {"key:\n  - id: a\n    algorithm:\n    secret: c2VjcmV0\n", 3,
     "algorithm: its value is missing"},
    {"key:\n  - id: a\n    secret: c2VjcmV0\n    secret: c2VjcmV0\n", 4, "secret: is there twice"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb "
     "hmac-sha256 c2VjcmV0\n",
     1, "longer than 90 octets"},
};

START_TEST(test_broken_files_name_the_line)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char place[32];
        snprintf(place, sizeof place, "file:%u: ", broken[i].line);
        ck_assert_msg(read_text(broken[i].text) == -EINVAL, "accepted: %s", broken[i].text);
        ck_assert_msg(
            strncmp(reason, place, strlen(place)) == 0 && strstr(reason, broken[i].reason) != NULL,
            "%s: got \"%s\", wanted %s...%s", broken[i].text, reason, place, broken[i].reason);
        ck_assert_ptr_null(strstr(reason, "c2Vj"));
    }
}
END_TEST

START_TEST(test_options)
{
    static const uint8_t zeros[32];
    ck_assert_int_eq(read_as("a hmac-sha1 c2VjcmV0", 20, true, true), 0);
    ck_assert_uint_eq(list.count, 2);
    expect_key(".", TSIG_HMAC_SHA256, zeros, sizeof zeros);
    expect_key("a", TSIG_HMAC_SHA1, (const uint8_t *)"secret", 6);
    tsig_keys_free(&list);
    ck_assert_int_eq(read_as("\n. hmac-sha256 c2VjcmV0", 23, true, false), -EINVAL);
    ck_assert_str_eq(reason,
                     "file:2: the key . is the well-known one, as tsig: {well-known: on} has it");
    ck_assert_int_eq(read_as("\n. hmac-sha256 c2VjcmV0", 23, false, false), 0);
    tsig_keys_free(&list);
}
END_TEST

START_TEST(test_hostile_files)
{
    static const char good[] =
        "/* x */ a hmac-sha256 c2VjcmV0 # y\nkey \"b\" {\n algorithm hmac-sha512;\n secret "
        "\"c2VjcmV0\";\n};\nkey:\n - id: c\n   algorithm: hmac-sha256\n   secret: c2VjcmV0\n";
    for (size_t len = 0; len < sizeof good; len++) {
        char *part = (char *)exact_copy(good, len);
        read_as(part, len, true, false);
        tsig_keys_free(&list);
        for (unsigned bit = 0; bit < 8 && len > 0; bit++) {
            part[len - 1] = (char)(part[len - 1] ^ 1 << bit);
            read_as(part, len, false, false);
            tsig_keys_free(&list);
            part[len - 1] = (char)(part[len - 1] ^ 1 << bit);
        }
        free(part);
    }
    /* A word without end; a NUL. */
    char *word = malloc(5000);
    ck_assert_ptr_nonnull(word);
    memset(word, 'a', 5000);
    ck_assert_int_eq(read_as(word, 5000, false, false), -EINVAL);
    memset(word, 0, 5000);
    ck_assert_int_eq(read_as(word, 5000, false, false), -EINVAL);
    free(word);
}
END_TEST

START_TEST(test_too_many)
{
    char *text = malloc(48 * (TSIG_KEYS_MAX + 1)), *at = text;
    ck_assert_ptr_nonnull(text);
    for (unsigned i = 0; i <= TSIG_KEYS_MAX; i++) {
        size_t before = (size_t)(at - text);
        at += sprintf(at, "k%u hmac-sha256 c2VjcmV0\n", i);
        if (i == TSIG_KEYS_MAX - 1) {
            ck_assert_int_eq(read_as(text, (size_t)(at - text), false, false), 0);
            ck_assert_uint_eq(list.count, TSIG_KEYS_MAX);
            tsig_keys_free(&list);
        }
        ck_assert_uint_lt(before, 48 * TSIG_KEYS_MAX);
    }
    ck_assert_int_eq(read_as(text, (size_t)(at - text), false, false), -EINVAL);
    ck_assert_str_eq(reason, "file:10001: more than 10000 keys");
    free(text);
}
END_TEST

START_TEST(test_files)
{
    char path[] = "/tmp/lethe-tsig-XXXXXX";
    const char text[] = "a hmac-sha256 c2VjcmV0\n";
    struct tsig_key_source source = {path, false, false};
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, sizeof text - 1), sizeof text - 1);
    ck_assert_int_eq(tsig_keys_read(&source, &list, reason, sizeof reason), 0);
    ck_assert(list.count == 1 && !list.is_readable_by_all);
    tsig_keys_free(&list);
    ck_assert_int_eq(fchmod(file, 0644), 0);
    ck_assert_int_eq(tsig_keys_read(&source, &list, reason, sizeof reason), 0);
    ck_assert(list.count == 1 && list.is_readable_by_all);
    tsig_keys_free(&list);
    close(file);
    unlink(path);
    ck_assert_int_eq(tsig_keys_read(&source, &list, reason, sizeof reason), -EIO);
    ck_assert_ptr_nonnull(strstr(reason, "No such file"));
    source.path = "/dev/zero";
    ck_assert_int_eq(tsig_keys_read(&source, &list, reason, sizeof reason), -EIO);
    ck_assert_ptr_nonnull(strstr(reason, "too large"));
    source.path = "/";
    ck_assert_int_eq(tsig_keys_read(&source, &list, reason, sizeof reason), -EIO);
    source = (struct tsig_key_source){"", true, false};
    ck_assert_int_eq(tsig_keys_read(&source, &list, reason, sizeof reason), 0);
    ck_assert_uint_eq(list.count, 1);
    tsig_keys_free(&list);
}
END_TEST

TEST_MAIN("server_tsig_keys", test_forms, test_many_mixed, test_broken_files_name_the_line,
          test_options, test_hostile_files, test_too_many, test_files)
