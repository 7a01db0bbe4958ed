/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/address.h"
#include "test_main.h"

#include <errno.h>

static struct sockaddr_storage parsed(const char *text)
{
    struct sockaddr_storage address;
    ck_assert_msg(address_parse(text, &address), "%s", text);
    return address;
}

START_TEST(test_text_and_back)
{
    static const char *const same[][2] = {
        {"192.0.2.1@53", "192.0.2.1@53"},       {"192.0.2.1", "192.0.2.1@53"},
        {"0.0.0.0@65535", "0.0.0.0@65535"},     {"::@1", "::@1"},
        {"2001:DB8:0::1", "2001:db8::1@53"},    {"::1@00053", "::1@53"},
        {"fe80::1%lo@5300", "fe80::1%lo@5300"},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char text[ADDRESS_TEXT_MAX];
        struct sockaddr_storage address = parsed(same[i][0]);
        ck_assert_str_eq(address_to_text(&address, text), same[i][1]);
    }
}
END_TEST

START_TEST(test_what_is_none)
{
    static const char *const none[] = {
        "",
        "@53",
        "localhost",
        "192.0.2.1@",
        "192.0.2.1@0",
        "192.0.2.1@65536",
        "192.0.2.1@053000",
        "192.0.2.1@5x",
        "192.0.2.1@-1",
        "192.0.2.1:53",
        "192.0.2",
        "192.0.2.256",
        "127.1",
        "[::1]@53",
        ":::",
        "1::2::3",
        "::1@53@53",
        " ::1",
        "::1 ",
        "fe80::1%nosuch0",
    };
    struct sockaddr_storage address;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert_msg(!address_parse(none[i], &address), "%s", none[i]);
    char lengthy[300];
    memset(lengthy, '1', sizeof lengthy);
    lengthy[sizeof lengthy - 1] = '\0';
    ck_assert(!address_parse(lengthy, &address));
}
END_TEST

static void expect_prefix(const char *text, enum address_prefix_outcome expected,
                          const char *expected_text)
{
    struct prefix prefix;
    char got[ADDRESS_TEXT_MAX];
    enum address_prefix_outcome outcome = address_parse_prefix(text, &prefix);
    ck_assert_msg(outcome == expected, "%s: %d", text, outcome);
    if (expected_text != NULL)
        ck_assert_str_eq(address_prefix_to_text(&prefix, got), expected_text);
}

START_TEST(test_prefixes)
{
    expect_prefix("192.0.2.1", ADDRESS_PREFIX_GOOD, "192.0.2.1/32");
    expect_prefix("192.0.2.0/24", ADDRESS_PREFIX_GOOD, "192.0.2.0/24");
    expect_prefix("192.0.2.128/25", ADDRESS_PREFIX_GOOD, "192.0.2.128/25");
    expect_prefix("0.0.0.0/0", ADDRESS_PREFIX_GOOD, "0.0.0.0/0");
    expect_prefix("2001:DB8::/32", ADDRESS_PREFIX_GOOD, "2001:db8::/32");
    expect_prefix("::1", ADDRESS_PREFIX_GOOD, "::1/128");
    expect_prefix("::/0", ADDRESS_PREFIX_GOOD, "::/0");
    expect_prefix("192.0.2.1/24", ADDRESS_PREFIX_HOST_BITS, "192.0.2.0/24");
    expect_prefix("192.0.2.129/25", ADDRESS_PREFIX_HOST_BITS, "192.0.2.128/25");
    expect_prefix("2001:db8::1/127", ADDRESS_PREFIX_HOST_BITS, "2001:db8::/127");
    expect_prefix("192.0.2.1/33", ADDRESS_PREFIX_LEN_TOO_LARGE, NULL);
    expect_prefix("2001:db8::/129", ADDRESS_PREFIX_LEN_TOO_LARGE, NULL);
    expect_prefix("2001:db8::/999", ADDRESS_PREFIX_LEN_TOO_LARGE, NULL);
    static const char *const malformed[] = {
        "",
        "/24",
        "192.0.2.0/",
        "192.0.2.0/024",
        "192.0.2.0/-1",
        "192.0.2/24",
        "192.0.2.0/x",
        "192.0.2.0/24/8",
        "192.0.2.0@53",
        "fe80::1%lo",
        "localhost",
        "::1/0128",
        " ::1",
        "192.0.2.0/24 ",
        "192.0.2.0/1000",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        expect_prefix(malformed[i], ADDRESS_PREFIX_MALFORMED, NULL);
}
END_TEST

START_TEST(test_as_packets_have_it)
{
    struct sockaddr_storage v4 = parsed("192.0.2.1@53"), v6 = parsed("2001:db8::1@54");
    const struct sockaddr local = {.sa_family = AF_UNIX};
    struct packet_endpoint endpoint;
    ck_assert(address_to_endpoint((const struct sockaddr *)&v4, &endpoint));
    ck_assert(endpoint.address.family == 4 && endpoint.port == 53);
    ck_assert_mem_eq(endpoint.address.octets, "\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\0", 16);
    ck_assert(address_to_endpoint((const struct sockaddr *)&v6, &endpoint));
    ck_assert(endpoint.address.family == 6 && endpoint.port == 54);
    ck_assert_mem_eq(endpoint.address.octets, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    ck_assert(!address_to_endpoint(&local, &endpoint));
}
END_TEST

START_TEST(test_equal_and_any)
{
    struct sockaddr_storage a = parsed("192.0.2.1@53"), b = parsed("192.0.2.1"),
                            c = parsed("192.0.2.1@54"), d = parsed("::"), e = parsed("0.0.0.0@9");
    ck_assert(address_equal(&a, &b));
    ck_assert(!address_equal(&a, &c));
    ck_assert(!address_equal(&d, &e));
    ck_assert(address_is_any(&d) && address_is_any(&e) && !address_is_any(&a));
    ck_assert_uint_eq(address_port(&c), 54);
    ck_assert_uint_lt(address_len(&a), address_len(&d));
}
END_TEST

START_TEST(test_interface)
{
    char name[IF_NAMESIZE];
    struct sockaddr_storage loopback = parsed("127.0.0.1"), nobody = parsed("192.0.2.77");
    ck_assert_int_eq(address_interface(&loopback, name), 0);
    ck_assert_str_eq(name, "lo");
    ck_assert_int_eq(address_interface(&nobody, name), -ENOENT);
}
END_TEST

TEST_MAIN("server_address", test_text_and_back, test_what_is_none, test_prefixes,
          test_as_packets_have_it, test_equal_and_any, test_interface)
