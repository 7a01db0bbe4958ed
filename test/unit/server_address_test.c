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

TEST_MAIN("server_address", test_text_and_back, test_what_is_none, test_equal_and_any,
          test_interface)
