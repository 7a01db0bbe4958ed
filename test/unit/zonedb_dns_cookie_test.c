/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Server cookies: those of RFC 9018, appendix A, and every way in which one is none of ours.
 */
#include "stateless_tcp/siphash.h"
#include "test_main.h"
#include "zonedb/dns_cookie.h"

#define NOW_S UINT64_C(1559731985)

static const uint8_t ipv4[4] = {198, 51, 100, 100};

static struct dns_cookie_secrets secrets_of(const char *first, const char *second)
{
    struct dns_cookie_secrets secrets = {.count = 1};
    ck_assert_uint_eq(hex_decode(first, secrets.octets[0], DNS_COOKIE_SECRET_LEN),
                      DNS_COOKIE_SECRET_LEN);
    if (second != NULL) {
        hex_decode(second, secrets.octets[1], DNS_COOKIE_SECRET_LEN);
        secrets.count = 2;
    }
    return secrets;
}

/* RFC 9018 A.1 to A.4: what came, when, from whom; what goes back. */
static const struct {
    const char *what, *first, *second, *address, *came, *sent;
    uint64_t now_s;
    bool is_good;
} published[] = {
    {"A.1", "e5e973e5a6b2a43f48e7dc849e37bfcf", NULL, "c6336464", "2464c4abcf10c957",
     "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559731985, false},
    {"A.2", "e5e973e5a6b2a43f48e7dc849e37bfcf", NULL, "c6336464",
     "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
     "2464c4abcf10c957010000005cf7a871d4a564a1442aca77", 1559734385, true},
    {"A.3", "e5e973e5a6b2a43f48e7dc849e37bfcf", NULL, "cb0071cb",
     "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
     "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e", 1559734700, false},
    {"A.4", "445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715",
     "20010db80220000159ded0f4876982b8", "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
     "22681ab97d52c298010000005cf7c609a6bb79d16625507a", 1559741961, true},
};

START_TEST(test_published)
{
    uint8_t address[16], came[DNS_COOKIE_LEN_MAX], sent[DNS_COOKIE_LEN], out[DNS_COOKIE_LEN];
    const struct dns_cookie_secrets secrets = secrets_of(published[_i].first, published[_i].second);
    size_t came_len = hex_decode(published[_i].came, came, sizeof came);
    struct dns_cookie_client client = {
        address, (uint8_t)hex_decode(published[_i].address, address, sizeof address),
        published[_i].now_s};
    ck_assert_uint_eq(hex_decode(published[_i].sent, sent, sizeof sent), sizeof sent);
    ck_assert(dns_cookie_is_good(&secrets, &client, came, came_len) == published[_i].is_good);
    dns_cookie_write(&secrets, &client, client.now_s, came, came_len, out);
    ck_assert_mem_eq(out, sent, sizeof sent);
    ck_assert(dns_cookie_is_good(&secrets, &client, out, sizeof out));
}
END_TEST

/* The cookie of A.3 is believed in its own time, whatever its reserved octets are. */
START_TEST(test_reserved_octets)
{
    const struct dns_cookie_secrets secrets = secrets_of(published[2].first, NULL);
    const uint8_t address[4] = {203, 0, 113, 203};
    uint8_t came[DNS_COOKIE_LEN];
    hex_decode(published[2].came, came, sizeof came);
    const struct dns_cookie_client client = {address, 4, 0x5cf78f71 + 100};
    ck_assert(dns_cookie_is_good(&secrets, &client, came, sizeof came));
    came[9] ^= 1;
    ck_assert(!dns_cookie_is_good(&secrets, &client, came, sizeof came));
}
END_TEST

static void cookie_at(const struct dns_cookie_secrets *secrets, uint64_t made_s, uint8_t *out)
{
    static const uint8_t asked[DNS_COOKIE_CLIENT_LEN] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct dns_cookie_client client = {ipv4, 4, made_s};
    dns_cookie_write(secrets, &client, made_s, asked, sizeof asked, out);
}

/* RFC 9018 4.3, at its edges, and where 32 bits of time turn over. */
START_TEST(test_times)
{
    static const struct {
        int64_t age_s;
        bool is_good, is_kept;
    } cases[] = {
        {0, true, true},          {1800, true, true},
        {1801, true, false},      {3600, true, false},
        {3601, false, false},     {-1, true, true},
        {-300, true, true},       {-301, false, false},
        {1u << 30, false, false}, {-(1 << 30), false, false},
    };
    static const uint64_t times_s[] = {NOW_S, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 100,
                                       UINT32_MAX};
    const struct dns_cookie_secrets secrets = secrets_of(published[0].first, NULL);
    for (size_t t = 0; t < sizeof times_s / sizeof times_s[0]; t++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            uint8_t came[DNS_COOKIE_LEN], out[DNS_COOKIE_LEN];
            const struct dns_cookie_client client = {ipv4, 4, times_s[t]};
            cookie_at(&secrets, (uint64_t)((int64_t)times_s[t] - cases[i].age_s), came);
            ck_assert_msg(dns_cookie_is_good(&secrets, &client, came, sizeof came) ==
                              cases[i].is_good,
                          "%zu: age %d", t, (int)cases[i].age_s);
            dns_cookie_write(&secrets, &client, client.now_s, came, sizeof came, out);
            ck_assert_msg((memcmp(came, out, sizeof out) == 0) == cases[i].is_kept, "%zu: age %d",
                          t, (int)cases[i].age_s);
            ck_assert(dns_cookie_is_good(&secrets, &client, out, sizeof out));
        }
}
END_TEST

/* One bit anywhere else, another client, another secret, another length: not ours. */
START_TEST(test_forged)
{
    const struct dns_cookie_secrets secrets = secrets_of(published[0].first, NULL);
    const struct dns_cookie_secrets others =
        secrets_of("00000000000000000000000000000000", published[3].first);
    const uint8_t elsewhere[4] = {198, 51, 100, 101};
    uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff}, came[DNS_COOKIE_LEN_MAX] = {0};
    const struct dns_cookie_client client = {ipv4, 4, NOW_S}, neighbour = {elsewhere, 4, NOW_S},
                                   same_in_ipv6 = {mapped, 16, NOW_S};
    memcpy(mapped + 12, ipv4, 4);
    cookie_at(&secrets, NOW_S, came);
    ck_assert(dns_cookie_is_good(&secrets, &client, came, DNS_COOKIE_LEN));
    ck_assert(!dns_cookie_is_good(&secrets, &neighbour, came, DNS_COOKIE_LEN));
    ck_assert(!dns_cookie_is_good(&secrets, &same_in_ipv6, came, DNS_COOKIE_LEN));
    ck_assert(!dns_cookie_is_good(&others, &client, came, DNS_COOKIE_LEN));
    for (size_t bit = 0; bit < 8 * DNS_COOKIE_LEN; bit++) {
        came[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert(!dns_cookie_is_good(&secrets, &client, came, DNS_COOKIE_LEN));
        came[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len <= DNS_COOKIE_LEN_MAX; len++) {
        uint8_t *block = exact_copy(came, len);
        ck_assert(dns_cookie_is_good(&secrets, &client, block, len) == (len == DNS_COOKIE_LEN));
        free(block);
    }
}
END_TEST

/* Another version may mean anything, also if it was hashed as ours are. */
START_TEST(test_other_version)
{
    const struct dns_cookie_secrets secrets = secrets_of(published[0].first, NULL);
    const struct dns_cookie_client client = {ipv4, 4, NOW_S};
    uint8_t came[DNS_COOKIE_LEN], input[20];
    cookie_at(&secrets, NOW_S, came);
    for (unsigned version = 0; version < 256; version++) {
        came[8] = (uint8_t)version;
        memcpy(input, came, 16);
        memcpy(input + 16, ipv4, 4);
        siphash_store_le64(came + 16, siphash_2_4_64(secrets.octets[0], input, sizeof input));
        ck_assert(dns_cookie_is_good(&secrets, &client, came, sizeof came) == (version == 1));
    }
}
END_TEST

/* A secret is told to all before it makes cookies, and kept for those that it made. */
START_TEST(test_rollover)
{
    const char *old = published[3].second, *new = published[3].first;
    const struct dns_cookie_secrets before = secrets_of(old, new), after = secrets_of(new, old),
                                    later = secrets_of(new, NULL);
    const struct dns_cookie_client client = {ipv4, 4, NOW_S};
    uint8_t by_old[DNS_COOKIE_LEN], by_new[DNS_COOKIE_LEN], out[DNS_COOKIE_LEN];
    cookie_at(&before, NOW_S, by_old);
    cookie_at(&after, NOW_S, by_new);
    ck_assert(dns_cookie_is_good(&before, &client, by_new, sizeof by_new));
    ck_assert(dns_cookie_is_good(&after, &client, by_old, sizeof by_old));
    ck_assert(!dns_cookie_is_good(&later, &client, by_old, sizeof by_old));
    /* The client's part is one that cookie_at() gives to all. */
    dns_cookie_write(&after, &client, NOW_S, by_old, sizeof by_old, out);
    ck_assert_mem_eq(out, by_new, sizeof out);
}
END_TEST

START_TEST(test_lengths)
{
    for (size_t len = 0; len < 100; len++)
        ck_assert(dns_cookie_has_len(len) == (len == 8 || (len >= 16 && len <= 40)));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zonedb/dns_cookie");
    TCase *tcase = tcase_create("dns_cookie");
    tcase_add_loop_test(tcase, test_published, 0, sizeof published / sizeof published[0]);
    tcase_add_test(tcase, test_reserved_octets);
    tcase_add_test(tcase, test_times);
    tcase_add_test(tcase, test_forged);
    tcase_add_test(tcase, test_other_version);
    tcase_add_test(tcase, test_rollover);
    tcase_add_test(tcase, test_lengths);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}
