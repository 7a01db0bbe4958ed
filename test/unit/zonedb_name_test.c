/* SPDX-License-Identifier: BSD-2-Clause */
#include "test_main.h"
#include "zonedb/name.h"

static void name_of(const char *text, uint8_t name[NAME_MAX_LEN])
{
    ck_assert_msg(name_from_text(text, name) > 0, "%s", text);
}

START_TEST(test_len)
{
    static const struct {
        const char *octets;
        size_t available, expected;
    } cases[] = {
        {"\0", 1, 1},   {"\3www\0", 5, 5}, {"\3www\0rest", 9, 5}, {"\3www", 4, 0},     {"", 0, 0},
        {"\3ww", 3, 0}, {"\100a", 2, 0},   {"\300\014", 2, 0},    {"\1a\300\0", 4, 0}, {"\3", 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *copy = exact_copy(cases[i].octets, cases[i].available);
        ck_assert_uint_eq(name_len(copy, cases[i].available), cases[i].expected);
        free(copy);
    }
}
END_TEST

START_TEST(test_longest)
{
    /* 127 labels of one octet make 255 octets with the root label; one octet more is no name. */
    uint8_t name[300];
    for (size_t i = 0; i < 254; i += 2) {
        name[i] = 1;
        name[i + 1] = 'x';
    }
    name[254] = 0;
    ck_assert_uint_eq(name_len(name, sizeof name), 255);
    ck_assert_uint_eq(name_label_count(name), 127);
    name[252] = 2;
    name[255] = 0;
    ck_assert_uint_eq(name_len(name, sizeof name), 0);
}
END_TEST

START_TEST(test_longest_key)
{
    /* The bound of name.h: octets that double, in as few labels as possible. */
    uint8_t name[NAME_MAX_LEN], key[NAME_KEY_MAX], back[NAME_MAX_LEN];
    memset(name, 0x01, sizeof name);
    name[0] = name[64] = name[128] = 63;
    name[192] = 61;
    name[254] = 0;
    ck_assert_uint_eq(name_len(name, sizeof name), 255);
    size_t key_len = name_to_key(name, key);
    ck_assert_uint_eq(key_len, 2 * 250 + 4);
    ck_assert_uint_eq(name_from_key(key, key_len, back), 255);
    ck_assert_mem_eq(name, back, 255);
}
END_TEST

START_TEST(test_canonical_order)
{
    /* RFC 4034 6.1's example, in its order. */
    static const char *const order[] = {
        "example.",         "a.example.",      "yljkjljk.a.example.",
        "Z.a.example.",     "zABC.a.EXAMPLE.", "z.example.",
        "\\001.z.example.", "*.z.example.",    "\\200.z.example.",
    };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        for (size_t j = 0; j < sizeof order / sizeof *order; j++) {
            uint8_t a[NAME_MAX_LEN], b[NAME_MAX_LEN];
            name_of(order[i], a);
            name_of(order[j], b);
            int compared = name_compare(a, b);
            ck_assert_msg((compared < 0) == (i < j) && (compared > 0) == (i > j), "%s %s", order[i],
                          order[j]);
        }
    }
}
END_TEST

/* Canonical order, straight from its definition: labels from the right, octet by octet. */
static int compare_by_definition(const uint8_t *a, const uint8_t *b)
{
    unsigned a_labels = name_label_count(a), b_labels = name_label_count(b);
    for (unsigned i = 1; i <= a_labels && i <= b_labels; i++) {
        const uint8_t *x = name_skip(a, a_labels - i), *y = name_skip(b, b_labels - i);
        uint8_t len = x[0] < y[0] ? x[0] : y[0];
        for (unsigned k = 1; k <= len; k++) {
            int u = x[k] >= 'A' && x[k] <= 'Z' ? x[k] + 32 : x[k];
            int v = y[k] >= 'A' && y[k] <= 'Z' ? y[k] + 32 : y[k];
            if (u != v)
                return u - v;
        }
        if (x[0] != y[0])
            return (int)x[0] - (int)y[0];
    }
    return (int)a_labels - (int)b_labels;
}

static uint32_t random_state = 1;

static uint32_t random_next(void)
{
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 8;
}

static void random_name(uint8_t name[NAME_MAX_LEN])
{
    static const uint8_t octets[] = {0,   1,   2,   3,   '*',  '-',  'A',
                                     'a', 'b', 'Z', 'z', 0x7f, 0x80, 0xff};
    size_t len = 0;
    for (unsigned labels = random_next() % 5; labels > 0; labels--) {
        uint8_t label_len = (uint8_t)(1 + random_next() % 3);
        name[len++] = label_len;
        for (; label_len > 0; label_len--)
            name[len++] = octets[random_next() % sizeof octets];
    }
    name[len] = 0;
}

START_TEST(test_key_properties)
{
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t a[NAME_MAX_LEN], b[NAME_MAX_LEN], back[NAME_MAX_LEN], lower[NAME_MAX_LEN];
        uint8_t a_key[NAME_KEY_MAX], b_key[NAME_KEY_MAX];
        random_name(a);
        random_name(b);
        int expected = compare_by_definition(a, b), got = name_compare(a, b);
        ck_assert_msg((expected < 0) == (got < 0) && (expected > 0) == (got > 0), "round %u",
                      round);
        ck_assert(name_equal(a, b) == (expected == 0));
        size_t a_len = name_to_key(a, a_key), b_len = name_to_key(b, b_key);
        bool is_prefix = a_len >= b_len && memcmp(a_key, b_key, b_len) == 0;
        ck_assert(is_prefix == name_is_at_or_below(a, b));
        size_t lower_len = name_copy_lower(lower, a);
        ck_assert_uint_eq(name_from_key(a_key, a_len, back), lower_len);
        ck_assert_mem_eq(back, lower, lower_len);
    }
}
END_TEST

START_TEST(test_malformed_keys)
{
    static const struct {
        const char *octets;
        size_t len;
    } cases[] = {{"abc", 3}, {"\0", 1}, {"a\0\0", 3}, {"\1\3\0", 3}, {"\1", 1}, {"\1\0", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t name[NAME_MAX_LEN], *copy = exact_copy(cases[i].octets, cases[i].len);
        ck_assert_uint_eq(name_from_key(copy, cases[i].len, name), 0);
        free(copy);
    }
    uint8_t key[600], name[NAME_MAX_LEN];
    memset(key, 'a', sizeof key);
    for (size_t i = 60; i < sizeof key; i += 60)
        key[i] = 0;
    key[sizeof key - 1] = 0;
    ck_assert_uint_eq(name_from_key(key, sizeof key, name), 0);
}
END_TEST

START_TEST(test_text)
{
    static const char *const same[] = {
        ".",        "example.",       "a.b.c.",     "\\000\\001\\255.x.",
        "a\\.b.c.", "\\\"quoted\\;.", "sp\\032ace."};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        uint8_t name[NAME_MAX_LEN];
        char text[NAME_TEXT_MAX];
        name_of(same[i], name);
        ck_assert_str_eq(name_to_text(name, text), same[i]);
    }
    static const char *const bad[] = {"", "..", "a..b", ".a", "\\", "\\25", "\\256", "a\\"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t name[NAME_MAX_LEN];
        ck_assert_msg(name_from_text(bad[i], name) == 0, "%s", bad[i]);
    }
}
END_TEST

START_TEST(test_text_limits)
{
    uint8_t name[NAME_MAX_LEN];
    char text[NAME_TEXT_MAX], long_text[400] = "", label64[66];
    memset(label64, 'a', 64);
    label64[64] = '\0';
    ck_assert_uint_eq(name_from_text(label64, name), 0);
    label64[63] = '\0';
    ck_assert_uint_eq(name_from_text(label64, name), 65);
    for (int i = 0; i < 127; i++)
        strcat(long_text, "x.");
    ck_assert_uint_eq(name_from_text(long_text, name), 255);
    strcat(long_text, "x.");
    ck_assert_uint_eq(name_from_text(long_text, name), 0);
    memset(name, 0xff, sizeof name); /* every octet escaped: the longest text */
    name[0] = name[64] = name[128] = 63;
    name[192] = 61;
    name[254] = 0;
    ck_assert_uint_eq(strlen(name_to_text(name, text)), 4 * 250 + 4);
}
END_TEST

TEST_MAIN("name", test_len, test_longest, test_longest_key, test_canonical_order,
          test_key_properties, test_malformed_keys, test_text, test_text_limits)
