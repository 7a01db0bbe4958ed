/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/test_main.h"
#include "zonedb/name.h"
#include "zonedb/text_check.h"
#include "zonedb/text_dump.h"
#include "zonedb/text_load.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* ---- a database in a directory that goes when the test ends ---- */

struct fixture {
    char directory[64];
    struct zonedb *db;
    struct zonedb_view *view;
};

static struct fixture fixture_new(void)
{
    struct fixture fixture = {.directory = "/tmp/lethe-text-test.XXXXXX"};
    struct zonedb_error error;

    ck_assert_ptr_nonnull(mkdtemp(fixture.directory));
    ck_assert_msg(zonedb_open(fixture.directory, ZONEDB_CREATE, &fixture.db, &error) == 0, "%s",
                  error.text);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    char path[128];

    zonedb_view_close(fixture->view);
    zonedb_close(fixture->db);
    snprintf(path, sizeof(path), "%s/data.mdb", fixture->directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/lock.mdb", fixture->directory);
    unlink(path);
    ck_assert_int_eq(rmdir(fixture->directory), 0);
}

static void open_view(struct fixture *fixture)
{
    ck_assert_int_eq(zonedb_view_open(fixture->db, &fixture->view), 0);
}

/* ---- text ---- */

struct text {
    char *octets;
    size_t len, cap;
};

static int append(void *context, const char *octets, size_t len)
{
    struct text *text = context;

    if (text->len + len + 1 > text->cap) {
        text->cap = (text->len + len + 1) * 2;
        text->octets = realloc(text->octets, text->cap);
        ck_assert_ptr_nonnull(text->octets);
    }
    memcpy(text->octets + text->len, octets, len);
    text->len += len;
    text->octets[text->len] = '\0';
    return 0;
}

static void put(struct text *text, const char *string)
{
    append(text, string, strlen(string));
}

#define HEAD                                                     \
    "@ 3600 IN SOA ns1 admin 2024010101 7200 3600 1209600 300\n" \
    "@ 3600 IN NS ns1\n"                                         \
    "ns1 3600 IN A 192.0.2.1\n"

static const uint8_t example[] = "\7example";

struct told {
    unsigned errors, warnings;
    uint64_t line, column; /* of the last one */
    char text[256];
};

static void tell(void *context, const struct text_message *message)
{
    struct told *told = context;

    if (message->severity == TEXT_ERROR)
        told->errors++;
    else
        told->warnings++;
    told->line = message->line;
    told->column = message->column;
    snprintf(told->text, sizeof(told->text), "%s", message->text);
}

static int read_text(const char *text, size_t len, struct told *told, struct text_zone **zone_out,
                     struct text_counts *counts_out)
{
    const struct text_options options = {.message = tell, .context = told};

    *told = (struct told){0};
    return text_zone_read_memory(example, "test", text, len, &options, zone_out, counts_out);
}

static void load(struct fixture *fixture, const char *text, size_t len)
{
    struct text_zone *zone;
    struct told told;

    ck_assert_msg(read_text(text, len, &told, &zone, NULL) == 0, "%s (%u:%u)", told.text,
                  (unsigned)told.line, (unsigned)told.column);
    ck_assert_int_eq(text_zone_store(zone, fixture->db, 1700000000), 0);
    text_zone_free(zone);
}

static struct text dump(struct fixture *fixture)
{
    struct text text = {0};

    open_view(fixture);
    ck_assert_int_eq(text_dump(fixture->view, example, append, &text), 0);
    zonedb_view_close(fixture->view);
    fixture->view = NULL;
    return text;
}

/* Load, dump, load, dump: twice the same text. */
static struct text check_round_trip(const char *text, size_t len)
{
    struct fixture first = fixture_new(), second = fixture_new();

    load(&first, text, len);
    struct text once = dump(&first);
    load(&second, once.octets, once.len);
    struct text twice = dump(&second);
    ck_assert_uint_eq(once.len, twice.len);
    ck_assert_int_eq(memcmp(once.octets, twice.octets, once.len), 0);
    free(twice.octets);
    fixture_free(&first);
    fixture_free(&second);
    return once;
}

/* ---- tests ---- */

START_TEST(test_counts)
{
    static const char text[] = HEAD "www 300 IN A 192.0.2.3\n"
                                    "WWW 300 IN A 192.0.2.2\n"
                                    "www 300 IN A 192.0.2.3\n"
                                    "a   300 IN MX 10 MAIL\n"
                                    "a   300 IN MX 10 mail\n"; /* the same (RFC 4034 6.2) */
    struct text_zone *zone;
    struct text_counts counts;
    struct told told;

    ck_assert_int_eq(read_text(text, sizeof(text) - 1, &told, &zone, &counts), 0);
    ck_assert_uint_eq(counts.records, 6);
    ck_assert_uint_eq(counts.duplicates, 2);
    ck_assert_uint_eq(counts.owners, 4);
    ck_assert_uint_eq(counts.octets, sizeof(text) - 1);
    ck_assert_uint_eq(text_zone_serial(zone), 2024010101);
    text_zone_free(zone);
}
END_TEST

START_TEST(test_dump_is_canonical)
{
    static const char text[] = HEAD "z 300 IN TXT \"b\" \"\\\"\\\\\"\n"
                                    "z 300 IN TXT \"a\"\n"
                                    "\\000.a 300 IN TYPE65280 \\# 2 ABCD\n"
                                    "A 300 IN AAAA 2001:db8::1\n"
                                    "a 300 IN A 192.0.2.2\n";
    struct text dumped = check_round_trip(text, sizeof(text) - 1);

    ck_assert_str_eq(dumped.octets,
                     "example.\t3600\tIN\tSOA\tns1.example. admin.example. 2024010101 7200 3600 "
                     "1209600 300\n"
                     "example.\t3600\tIN\tNS\tns1.example.\n"
                     "a.example.\t300\tIN\tA\t192.0.2.2\n"
                     "a.example.\t300\tIN\tAAAA\t2001:db8::1\n"
                     "\\000.a.example.\t300\tIN\tTYPE65280\t\\# 2 ABCD\n"
                     "ns1.example.\t3600\tIN\tA\t192.0.2.1\n"
                     "z.example.\t300\tIN\tTXT\t\"a\"\n"
                     "z.example.\t300\tIN\tTXT\t\"b\" \"\\\"\\\\\"\n");
    free(dumped.octets);
}
END_TEST

/* Every octet in owners and in names within RDATA. */
START_TEST(test_dump_every_octet)
{
    struct text text = {0};

    put(&text, HEAD);
    for (unsigned c = 0; c < 256; c++) {
        char line[128];
        snprintf(line, sizeof(line),
                 "x\\%03u 300 IN NS \\%03u\\%03uy.test.\nt 300 IN TXT \"\\%03u\"\n", c, c, 255 - c,
                 c);
        put(&text, line);
    }
    struct text dumped = check_round_trip(text.octets, text.len);
    free(dumped.octets);
    free(text.octets);
}
END_TEST

/* Records of all types that zone text knows by name, and of one that it does not. */
START_TEST(test_dump_types)
{
    static const char text[] = HEAD
        "t 1 IN AFSDB 1 a\nt 1 IN APL 1:192.0.2.0/24 !2:2001:db8::/32\n"
        "t 1 IN CAA 0 issue \"ca.test;a=b\"\nt 1 IN CDNSKEY 0 3 0 AA==\n"
        "t 1 IN CDS 0 0 0 00\nt 1 IN CERT 1 2 3 AAEC\nt 1 IN CSYNC 1 3 A NS\n"
        "t 1 IN DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=\n"
        "t 1 IN DS 1 13 2 "
        "0000000000000000000000000000000000000000000000000000000000000001\n"
        "t 1 IN EUI48 00-00-5e-00-53-2a\nt 1 IN EUI64 00-00-5e-ef-10-00-00-2a\n"
        "t 1 IN HINFO \"a b\" \"\"\nt 1 IN HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1 "
        "key667=\"x\\\\y\"\n"
        "t 1 IN IPSECKEY 10 3 2 a.test. AQNR\nt 1 IN KX 1 a\nt 1 IN L32 1 192.0.2.1\n"
        "t 1 IN L64 1 2001:0db8:0000:0001\nt 1 IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m "
        "10000m "
        "10m\n"
        "t 1 IN LP 1 a\nt 1 IN MINFO a b\nt 1 IN NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .\n"
        "t 1 IN NID 1 0014:4fff:ff20:ee64\nt 1 IN OPENPGPKEY AAEC\nt 1 IN PTR a\nt 1 IN RP a b\n"
        "t 1 IN SMIMEA 3 1 1 00ff\nt 1 IN SPF \"v=spf1 -all\"\nt 1 IN SRV 0 0 53 a\n"
        "t 1 IN SSHFP 4 2 "
        "0000000000000000000000000000000000000000000000000000000000000001\n"
        "t 1 IN SVCB 0 a\nt 1 IN TLSA 3 1 1 00ff\nt 1 IN URI 1 2 \"ftp://a.test/\\\"\"\n"
        "t 1 IN TYPE65535 \\# 0\nt 1 IN TYPE99 \\# 3 020102\nt 1 IN TYPE29 \\# 3 010203\n"
        "t 1 IN TYPE42 \\# 4 0001ff7f\nt 1 IN TYPE55 \\# 2 0102\nu 1 IN DNAME a\n";
    struct text dumped = check_round_trip(text, sizeof(text) - 1);
    size_t lines = 0;

    for (const char *c = dumped.octets; *c != '\0'; c++)
        lines += *c == '\n';
    size_t wanted = 0;
    for (const char *c = text; *c != '\0'; c++)
        wanted += *c == '\n';
    ck_assert_uint_eq(lines, wanted);
    free(dumped.octets);
}
END_TEST

struct order {
    uint8_t last[NAME_MAX_LEN];
    unsigned count;
};

static int visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct order *order = context;

    ck_assert_uint_gt(rrset->rr_count, 0);
    if (order->count > 0)
        ck_assert_int_le(name_compare(order->last, owner), 0);
    memcpy(order->last, owner, name_len(owner, NAME_MAX_LEN));
    order->count++;
    return 0;
}

/* Names in no order, with the octets that make canonical order hard. */
START_TEST(test_order)
{
    static const uint8_t octets[] = {0, 1, 2, '*', '-', '0', 'A', 'a', 'Z', 'z', 255};
    struct fixture fixture = fixture_new();
    struct text text = {0};
    struct order order = {0};
    uint32_t state = 7;

    put(&text, HEAD);
    for (unsigned i = 0; i < 5000; i++) {
        char line[512];
        size_t at = 0;
        const unsigned labels = 1 + i % 4;
        for (unsigned label = 0; label < labels; label++) {
            const unsigned len = 1 + (state >> 20) % 12;
            for (unsigned j = 0; j < len; j++) {
                state = state * 1664525 + 1013904223;
                at += (size_t)snprintf(line + at, sizeof(line) - at, "\\%03u",
                                       octets[(state >> 16) % sizeof(octets)]);
            }
            at += (size_t)snprintf(line + at, sizeof(line) - at, ".");
        }
        snprintf(line + at, sizeof(line) - at, "example. 300 IN TXT \"%u\"\n", i);
        put(&text, line);
    }
    load(&fixture, text.octets, text.len);
    open_view(&fixture);
    ck_assert_int_eq(zonedb_zone_walk(fixture.view, example, visit, &order), 0);
    struct zonedb_zone zone;
    ck_assert_int_eq(zonedb_zone_get(fixture.view, example, &zone), 0);
    ck_assert_uint_eq(zone.record_count, 5003);
    ck_assert_uint_gt(order.count, 4000);
    free(text.octets);
    fixture_free(&fixture);
}
END_TEST

/* An RRset beyond 64 KiB. */
START_TEST(test_big_rrset)
{
    struct text text = {0};

    put(&text, HEAD);
    for (unsigned i = 0; i < 3000; i++) {
        char line[300];
        snprintf(line, sizeof(line), "big 300 IN TXT \"%04u%0200u\"\n", 2999 - i, 0);
        put(&text, line);
    }
    struct text dumped = check_round_trip(text.octets, text.len);
    ck_assert_uint_gt(dumped.len, 600000);
    free(dumped.octets);
    free(text.octets);
}
END_TEST

START_TEST(test_too_many_records)
{
    struct text text = {0};
    struct text_zone *zone;
    struct told told;

    put(&text, HEAD);
    for (unsigned i = 0; i < 65536; i++) {
        char line[64];
        snprintf(line, sizeof(line), "big 300 IN A 10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
        put(&text, line);
    }
    ck_assert_int_eq(read_text(text.octets, text.len, &told, &zone, NULL), -EINVAL);
    ck_assert_ptr_null(zone);
    ck_assert_str_eq(told.text, "an RRset of 65536 records; the limit is 65535");
    free(text.octets);
}
END_TEST

START_TEST(test_error_limit)
{
    struct text text = {0};
    struct text_zone *zone;
    struct text_counts counts;
    struct told told;

    for (unsigned i = 0; i < 100; i++)
        put(&text, "www 300 IN A oops\n");
    ck_assert_int_eq(read_text(text.octets, text.len, &told, &zone, &counts), -EINVAL);
    ck_assert_uint_eq(told.errors, TEXT_ERRORS_MAX);
    ck_assert_uint_eq(counts.errors, TEXT_ERRORS_MAX);
    ck_assert_uint_eq(told.line, TEXT_ERRORS_MAX);
    free(text.octets);
}
END_TEST

START_TEST(test_no_include_in_memory)
{
    static const char text[] = HEAD "$INCLUDE /etc/passwd\n";
    struct text_zone *zone;
    struct told told;

    ck_assert_int_eq(read_text(text, sizeof(text) - 1, &told, &zone, NULL), -EINVAL);
    ck_assert_str_eq(told.text, "$INCLUDE is not possible here");
    ck_assert_uint_eq(told.line, 4);
}
END_TEST

/* The place of a message where the text has no line end, blank lines, comments, directives. */
START_TEST(test_places)
{
    static const struct {
        const char *text;
        uint64_t line, column;
    } samples[] = {
        {HEAD "www 300 IN A 192.0.2", 4, 21},
        {HEAD "\n; comment\n$TTL 60\n\nwww.example.org. A 192.0.2.1", 8, 1},
        {HEAD "$ORIGIN org.\nwww A 192.0.2.1\n", 5, 1},
        {HEAD "a A 192.0.2.1\n ( ; x\n 300 ) IN\tCNAME ns1\n", 6, 11},
        {HEAD "a\\ b.org. A 192.0.2.1\n", 4, 1},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct text_zone *zone;
        struct told told;
        const size_t len = strlen(samples[i].text);
        char *text = (char *)exact_copy(samples[i].text, len);
        const int error = read_text(text, len, &told, &zone, NULL);
        ck_assert_int_eq(error, -EINVAL);
        ck_assert_msg(told.line == samples[i].line && told.column == samples[i].column,
                      "%zu: %u:%u: %s", i, (unsigned)told.line, (unsigned)told.column, told.text);
        text_zone_free(zone);
        free(text);
    }
}
END_TEST

/* A second load replaces, a refused one does not. */
START_TEST(test_replace)
{
    static const char second[] = "@ 3600 IN SOA ns1 admin 5 7200 3600 1209600 300\n"
                                 "@ 3600 IN NS ns.test.\n";
    struct fixture fixture = fixture_new();

    load(&fixture, HEAD, strlen(HEAD));
    load(&fixture, second, strlen(second));
    struct text dumped = dump(&fixture);
    ck_assert_str_eq(
        dumped.octets,
        "example.\t3600\tIN\tSOA\tns1.example. admin.example. 5 7200 3600 1209600 300\n"
        "example.\t3600\tIN\tNS\tns.test.\n");
    free(dumped.octets);
    fixture_free(&fixture);
}
END_TEST

/* A scanner that has read another zone reads the next like a new one. */
START_TEST(test_scanner_is_kept)
{
    static const struct {
        const char *apex, *text;
        bool is_good;
    } zones[] = {
        {"example.", "$TTL 5\n$ORIGIN sub.example.\n@ A 192.0.2.1\n$ORIGIN example.\n" HEAD, true},
        {"example.", HEAD "@ A 192.0.2.1\n", true}, /* no TTL: not 5 */
        {"test.", HEAD "$ORIGIN sub.test.\nwww A 192.0.2.1", true},
        {"test.", " 3600 A 192.0.2.1\n" HEAD, false}, /* the owner before it is of another zone */
        {"test.", HEAD "@ TXT ( unfinished\n", false},
        {".", HEAD "www 60 A 192.0.2.1\n", true},
        {"test.", HEAD "@ TXT \"unfinished\n", false},
        {"test.", HEAD "$TTL x\n", false},
        {"x\\.y\\009.test.", HEAD "$ORIGIN deep.x\\.y\\009.test.\n@ 7 A 192.0.2.1\n", true},
        {"test.", HEAD "www A 192.0.2.1\n", true},
    };
    struct text_scanner *scanner = text_scanner_new();

    ck_assert_ptr_nonnull(scanner);
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        struct text dumps[2];
        for (unsigned is_kept = 0; is_kept < 2; is_kept++) {
            const struct text_options options = {.scanner = is_kept ? scanner : NULL};
            struct fixture fixture = fixture_new();
            struct text_zone *zone;
            uint8_t apex[NAME_MAX_LEN];
            dumps[is_kept] = (struct text){.octets = NULL};
            put(&dumps[is_kept], "");
            ck_assert_uint_gt(name_from_text(zones[i].apex, apex), 0);
            const int error = text_zone_read_memory(apex, "text", zones[i].text,
                                                    strlen(zones[i].text), &options, &zone, NULL);
            ck_assert_msg(error == (zones[i].is_good ? 0 : -EINVAL), "%zu: %d", i, error);
            if (error == 0) {
                ck_assert_int_eq(text_zone_store(zone, fixture.db, 1), 0);
                text_zone_free(zone);
                open_view(&fixture);
                ck_assert_int_eq(text_dump(fixture.view, apex, append, &dumps[is_kept]), 0);
            }
            fixture_free(&fixture);
        }
        ck_assert_str_eq(dumps[0].octets, dumps[1].octets);
        free(dumps[0].octets);
        free(dumps[1].octets);
    }
    text_scanner_free(scanner);
}
END_TEST

TEST_MAIN("zonedb_text_load", test_counts, test_dump_is_canonical, test_dump_every_octet,
          test_dump_types, test_order, test_big_rrset, test_too_many_records, test_error_limit,
          test_no_include_in_memory, test_places, test_replace, test_scanner_is_kept)
