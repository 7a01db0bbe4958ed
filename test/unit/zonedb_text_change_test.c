/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Changes in place: whatever sequence of them, the database is what a load of the resulting zone
 * makes it, to the last octet of dumps and answers.
 */
#include "test/unit/message.h"
#include "test/unit/test_main.h"
#include "test/unit/zone_fixture.h"
#include "zonedb/respond.h"
#include "zonedb/text_change.h"
#include "zonedb/text_dump.h"

#include <errno.h>
#include <stdarg.h>

#define APEX "example."
#define STEPS 200

struct buffer {
    char octets[65536];
    size_t len;
};

static int put(void *context, const char *octets, size_t len)
{
    struct buffer *buffer = context;
    ck_assert_uint_lt(buffer->len + len, sizeof buffer->octets);
    memcpy(buffer->octets + buffer->len, octets, len);
    buffer->len += len;
    buffer->octets[buffer->len] = '\0';
    return 0;
}

static void print(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void print(struct buffer *buffer, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put(buffer, line, (size_t)len);
}

static const uint8_t apex_name[] = "\7example";

static void dump(const struct fixture *f, struct buffer *out)
{
    out->len = 0;
    ck_assert_int_eq(text_dump(f->view, apex_name, put, out), 0);
}

/* ---- messages ---- */

struct told {
    unsigned errors, warnings;
    char text[1024]; /* of the latest */
    unsigned long line, column;
};

static void note(void *context, const struct text_message *message)
{
    struct told *told = context;
    *(message->severity == TEXT_ERROR ? &told->errors : &told->warnings) += 1;
    snprintf(told->text, sizeof told->text, "%s", message->text);
    told->line = message->line;
    told->column = message->column;
}

static int change(struct fixture *f, const char *text, struct told *told,
                  struct text_change_counts *counts)
{
    struct text_options options = {.message = note, .context = told};
    *told = (struct told){0};
    char *copy = (char *)exact_copy(text, strlen(text));
    zonedb_view_rest(f->view);
    int error = text_zone_change_memory(apex_name, "change", copy, strlen(text), &options, f->db,
                                        1700000000, counts);
    free(copy);
    ck_assert_int_ge(zonedb_view_refresh(f->view), 0);
    return error;
}

/* ---- the model: which of these records there are, and with which TTL ---- */

struct candidate {
    const char *owner, *type, *rdata;
    unsigned ttl; /* 0: not there */
};

static struct candidate model[] = {
    {"@", "NS", "ns.a", 600},
    {"@", "NS", "ns", 600},
    {"@", "MX", "10 www", 0},
    {"@", "DNAME", "other.test.", 0},
    {"ns", "A", "192.0.2.1", 600},
    {"ns", "AAAA", "2001:db8::1", 0},
    {"a", "NS", "ns.a", 0},
    {"a", "NS", "ns.b.a", 0},
    {"a", "NS", "ns", 0},
    {"a", "DS", "1 13 2 0000000000000000000000000000000000000000000000000000000000000000", 0},
    {"a", "DNAME", "www", 0},
    {"a", "TXT", "\"at a\"", 0},
    {"ns.a", "A", "192.0.2.2", 0},
    {"ns.a", "AAAA", "2001:db8::2", 0},
    {"b.a", "NS", "ns.b.a", 0},
    {"b.a", "NS", "NS.c.b.a", 0},
    {"b.a", "TXT", "\"at b.a\"", 0},
    {"b.a", "CNAME", "www", 0},
    {"ns.b.a", "A", "192.0.2.3", 0},
    {"c.b.a", "DNAME", "a", 0},
    {"c.b.a", "A", "192.0.2.4", 0},
    {"ns.c.b.a", "A", "192.0.2.5", 0},
    {"d.c.b.a", "TXT", "\"deep\"", 0},
    {"aa", "A", "192.0.2.6", 0},
    {"*", "TXT", "\"wild\"", 0},
    {"*", "CNAME", "www", 0},
    {"*.w", "A", "192.0.2.7", 0},
    {"x.*.w", "A", "192.0.2.8", 0},
    {"w", "NS", "ns.w", 0},
    {"ns.w", "A", "192.0.2.9", 0},
    {"www", "A", "192.0.2.10", 0},
    {"www", "A", "192.0.2.11", 0},
    {"www", "CNAME", "x.y.z", 0},
    {"x.y.z", "A", "192.0.2.12", 0},
    {"y.z", "MX", "5 www.a", 0},
    {"\\000.z", "TXT", "\"zero\"", 0},
    {"z", "SRV", "0 0 53 ns.a", 0},
};
#define CANDIDATES (sizeof model / sizeof *model)

static uint32_t dice_state;

static unsigned dice(unsigned limit)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (dice_state >> 8) % limit;
}

/* RFC 2181 5.2, as the loader takes it. */
static void model_equalise(void)
{
    for (size_t i = 0; i < CANDIDATES; i++)
        for (size_t j = 0; j < CANDIDATES; j++)
            if (model[i].ttl != 0 && model[j].ttl != 0 && model[j].ttl < model[i].ttl &&
                strcmp(model[i].owner, model[j].owner) == 0 &&
                strcmp(model[i].type, model[j].type) == 0)
                model[i].ttl = model[j].ttl;
}

static void model_text(unsigned serial, struct buffer *out)
{
    out->len = 0;
    print(out, "@ 60 SOA ns admin %u 2 3 4 5\n", serial);
    for (size_t i = 0; i < CANDIDATES; i++)
        if (model[i].ttl != 0)
            print(out, "%s %u %s %s\n", model[i].owner, model[i].ttl, model[i].type,
                  model[i].rdata);
}

static void put_line(struct buffer *out, char sign, const struct candidate *c, unsigned ttl)
{
    print(out, "%c %s %u IN %s %s\n", sign, c->owner, ttl, c->type, c->rdata);
}

/* Some lines, and the model as it is after them. Returns whether they fit the model as it is. */
static bool step_make(struct buffer *out)
{
    unsigned count = 1 + dice(4);
    bool is_fitting = true;
    bool is_used[CANDIDATES] = {false};
    out->len = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t which = dice(CANDIDATES);
        struct candidate *c = &model[which];
        unsigned ttl = 300 * (1 + dice(3));
        if (is_used[which])
            continue;
        is_used[which] = true;
        if (dice(60) == 0) { /* what is not there goes, or what is there comes */
            put_line(out, c->ttl == 0 ? '-' : '+', c, ttl);
            is_fitting = false;
        } else if (c->ttl != 0 && dice(4) == 0) { /* another TTL */
            put_line(out, '+', c, ttl);
            put_line(out, '-', c, 1);
            c->ttl = ttl;
        } else {
            put_line(out, c->ttl == 0 ? '+' : '-', c, ttl);
            c->ttl = c->ttl == 0 ? ttl : 0;
        }
    }
    return is_fitting;
}

/* ---- comparing ---- */

static const char *const questions[] = {
    ".",
    "example.",
    "a.example.",
    "ns.a.example.",
    "b.a.example.",
    "ns.b.a.example.",
    "c.b.a.example.",
    "ns.c.b.a.example.",
    "d.c.b.a.example.",
    "q.d.c.b.a.example.",
    "aa.example.",
    "q.example.",
    "*.example.",
    "w.example.",
    "q.w.example.",
    "*.w.example.",
    "x.*.w.example.",
    "ns.w.example.",
    "www.example.",
    "x.y.z.example.",
    "y.z.example.",
    "z.example.",
    "q.z.example.",
    "\\000.z.example.",
    "ns.example.",
};
static const unsigned types[] = {1, 2, 5, 6, 15, 16, 28, 33, 39, 43, 255};

static size_t answer(const struct fixture *f, const char *qname, unsigned qtype, bool is_do,
                     uint8_t out[RESPOND_MESSAGE_MAX])
{
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_UDP};
    uint8_t request[512];
    size_t len = request_make(request, qname, qtype, 1232, is_do, NULL, 0);
    return respond(f->view, &policy, &client, request, len, out, RESPOND_MESSAGE_MAX);
}

static void compare_answers(const struct fixture *a, const struct fixture *b, unsigned step)
{
    static uint8_t first[RESPOND_MESSAGE_MAX], second[RESPOND_MESSAGE_MAX];
    for (size_t q = 0; q < sizeof questions / sizeof *questions; q++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (int is_do = 0; is_do <= 1; is_do++) {
                size_t len = answer(a, questions[q], types[t], is_do != 0, first);
                size_t other = answer(b, questions[q], types[t], is_do != 0, second);
                ck_assert_msg(len == other && memcmp(first, second, len) == 0,
                              "step %u: %s type %u differs", step, questions[q], types[t]);
                ck_assert_msg((first[3] & 15) != 2, "step %u: %s type %u: SERVFAIL", step,
                              questions[q], types[t]);
            }
}

static void compare(const struct fixture *a, const struct fixture *b, unsigned step)
{
    static struct buffer first, second;
    struct zonedb_zone of_a, of_b;
    dump(a, &first);
    dump(b, &second);
    ck_assert_msg(strcmp(first.octets, second.octets) == 0, "step %u:\n%s\nbut a load gives\n%s",
                  step, first.octets, second.octets);
    ck_assert_int_eq(zonedb_zone_get(a->view, apex_name, &of_a), 0);
    ck_assert_int_eq(zonedb_zone_get(b->view, apex_name, &of_b), 0);
    ck_assert_uint_eq(of_a.node_count, of_b.node_count);
    ck_assert_uint_eq(of_a.record_count, of_b.record_count);
    ck_assert_uint_eq(of_a.serial, of_b.serial);
    ck_assert_uint_eq(of_a.signing, of_b.signing);
    ck_assert(of_a.has_wildcard || !of_b.has_wildcard);
    compare_answers(a, b, step);
}

/* Whether a load takes the model; if so `f` has it. */
static bool model_load(struct fixture *f, unsigned serial)
{
    static struct buffer text;
    struct text_zone *zone;
    model_text(serial, &text);
    int error = text_zone_read_memory(apex_name, "model", text.octets, text.len, NULL, &zone, NULL);
    if (error == -EINVAL)
        return false;
    ck_assert_int_eq(error, 0);
    zonedb_view_rest(f->view);
    ck_assert_int_eq(text_zone_store(zone, f->db, 1700000000), 0);
    text_zone_free(zone);
    ck_assert_int_eq(zonedb_view_refresh(f->view), 1);
    return true;
}

static void sequence(uint32_t seed)
{
    static struct candidate before[CANDIDATES];
    static struct buffer lines;
    struct fixture changed, loaded;
    struct told told;
    unsigned serial = 7, accepted = 0;
    dice_state = seed;
    fixture_open(&changed);
    fixture_open(&loaded);
    ck_assert(model_load(&changed, serial));
    for (unsigned step = 0; step < STEPS; step++) {
        memcpy(before, model, sizeof model);
        bool is_fitting = step_make(&lines);
        model_equalise();
        bool is_good = is_fitting && model_load(&loaded, serial + 1);
        int error = change(&changed, lines.octets, &told, NULL);
        ck_assert_msg(error == (is_good ? 0 : -EINVAL), "step %u: %d %s\n%s", step, error,
                      told.text, lines.octets);
        ck_assert(is_good || told.errors > 0);
        serial += is_good;
        accepted += is_good;
        if (!is_good) {
            memcpy(model, before, sizeof model);
            ck_assert(model_load(&loaded, serial));
        }
        compare(&changed, &loaded, step);
    }
    ck_assert_uint_gt(accepted, STEPS / 4);
    ck_assert_uint_lt(accepted, STEPS);
    fixture_close(&changed);
    fixture_close(&loaded);
}

START_TEST(test_any_sequence)
{
    sequence(1);
}
END_TEST

START_TEST(test_another_sequence)
{
    sequence(20261122);
}
END_TEST

/* ---- single cases ---- */

#define ZONE                                                                           \
    "@ 60 SOA ns admin 5 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\nwww 60 A 192.0.2.2\n" \
    "sub 60 NS ns.sub\nns.sub 60 A 192.0.2.3\n"

static struct fixture fixture;

static void setup(void)
{
    fixture_open(&fixture);
    fixture_load(&fixture, APEX, ZONE);
}

static void teardown(void)
{
    fixture_close(&fixture);
}

/* A refused change: what is said of it and where; all is as it was. */
static void refused(const char *text, const char *said, unsigned long line, unsigned long column)
{
    static struct buffer before, after;
    struct told told;
    struct text_change_counts counts;
    dump(&fixture, &before);
    uint64_t version = zonedb_view_version(fixture.view);
    ck_assert_int_eq(change(&fixture, text, &told, &counts), -EINVAL);
    ck_assert_msg(strstr(told.text, said) != NULL && told.line == line && told.column == column,
                  "%s: %lu:%lu: %s", text, told.line, told.column, told.text);
    ck_assert_uint_gt(counts.errors, 0);
    dump(&fixture, &after);
    ck_assert_str_eq(before.octets, after.octets);
    ck_assert_uint_eq(zonedb_view_version(fixture.view), version);
}

START_TEST(test_refused)
{
    refused("www 60 A 192.0.2.9\n", "begins with", 1, 1);
    refused("+www 60 A 192.0.2.9\n", "begins with", 1, 1);
    refused(" + www 60 A 192.0.2.9\n", "begins with", 1, 1);
    refused("; ok\n+ www 60 A 192.0.2\n", "IPv4", 2, 19);
    refused("+ www 60 A (\n192.0.2.9 )\n", "begins with", 2, 1);
    refused("+ $ORIGIN test.\n", "no record", 1, 3);
    refused("+ www.test. 60 A 192.0.2.9\n", "outside of the zone", 1, 3);
    refused("+ www 60 TYPE250 \\# 0\n", "not data", 1, 10);
    refused("- www 60 A 192.0.2.9\n", "no such record", 1, 3);
    refused("- nowhere 60 A 192.0.2.9\n", "no such record", 1, 3);
    refused("- www A 192.0.2.2\n- www A 192.0.2.2\n", "no such record", 2, 3);
    refused("\n+ www 60 A 192.0.2.2\n", "already", 2, 3);
    refused("+ www 60 CNAME ns\n", "CNAME beside other data", 1, 10);
    refused("+ @ 60 SOA ns admin 5 2 3 4 5\n", "higher than 5", 1, 12);
    refused("+ @ 60 SOA ns admin 6 2 3 4 5\n+ @ 60 SOA ns admin 7 2 3 4 5\n", "several SOAs", 2, 8);
    refused("- @ 60 SOA ns admin 5 2 3 4 5\n", "no SOA", 0, 0);
    refused("- @ 60 NS ns\n", "no NS", 0, 0);
    refused("+ www 60 SOA ns admin 6 2 3 4 5\n", "below the zone's apex", 1, 10);
    refused("+ @ 60 NSEC www A\n", "not signed that way", 1, 8);
    refused("+ @ 0 NSEC3PARAM 1 0 0 -\n", "by loading", 1, 7);
    refused("+ @ 60 ZONEMD 6 1 1 "
            "000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "000000000000\n",
            "only a load", 1, 3);
}
END_TEST

START_TEST(test_accepted)
{
    static struct buffer out;
    struct told told;
    struct text_change_counts counts;
    ck_assert_int_eq(change(&fixture, "; nothing\n\n  \t\n", &told, &counts), 0);
    ck_assert_uint_eq(counts.owners, 0);
    ck_assert_int_eq(change(&fixture, "- WWW A 192.0.2.2\n+ WWW A 192.0.2.8\n+ www 60 TXT a ; b",
                            &told, &counts),
                     0);
    ck_assert_uint_eq(counts.removed, 1);
    ck_assert_uint_eq(counts.added, 2);
    ck_assert_uint_eq(counts.owners, 1);
    ck_assert_uint_eq(counts.serial_before, 5);
    ck_assert_uint_eq(counts.serial_after, 6);
    ck_assert_uint_eq(told.warnings, 0);
    ck_assert_int_eq(change(&fixture,
                            "- ns.sub A 192.0.2.3\n+ sub NS ns\n"
                            "+ @ 60 SOA ns admin 2147483650 2 3 4 5\n",
                            &told, &counts),
                     0);
    ck_assert_uint_eq(counts.serial_after, 2147483650u);
    ck_assert_str_eq(told.text, "name server ns.sub.example. has no address in this zone");
    dump(&fixture, &out);
    ck_assert_str_eq(out.octets,
                     "example.\t60\tIN\tSOA\tns.example. admin.example. 2147483650 2 3 4 5\n"
                     "example.\t60\tIN\tNS\tns.example.\n"
                     "ns.example.\t60\tIN\tA\t192.0.2.1\n"
                     "sub.example.\t60\tIN\tNS\tns.sub.example.\n"
                     "sub.example.\t60\tIN\tNS\tns.example.\n"
                     "www.example.\t3600\tIN\tA\t192.0.2.8\n"
                     "www.example.\t60\tIN\tTXT\t\"a\"\n");
}
END_TEST

START_TEST(test_no_zone)
{
    uint8_t other[] = "\5other";
    ck_assert_int_eq(text_zone_change_memory(other, "change", "+ a A 192.0.2.1\n", 16, NULL,
                                             fixture.db, 0, NULL),
                     -ENOENT);
    ck_assert_int_eq(text_zone_change_memory(other, "change", "", 0, NULL, fixture.db, 0, NULL),
                     -ENOENT);
}
END_TEST

/* ---- signed zones: signatures are not verified, but must be there ---- */

#define SIG(type) "RRSIG " type " 13 1 60 20300101000000 20200101000000 1 example. AAAA\n"
#define SIG2(type) "RRSIG " type " 13 2 60 20300101000000 20200101000000 1 example. AAAA\n"
/* clang-format off */
#define NSEC_ZONE                                                     \
    "@ 60 SOA ns admin 5 2 3 4 5\n"      "@ 60 " SIG("SOA")            \
    "@ 60 NS ns\n"                       "@ 60 " SIG("NS")             \
    "@ 60 NSEC ns SOA NS RRSIG NSEC\n"   "@ 60 " SIG("NSEC")           \
    "ns 60 A 192.0.2.1\n"                "ns 60 " SIG2("A")            \
    "ns 60 NSEC www A RRSIG NSEC\n"      "ns 60 " SIG2("NSEC")         \
    "www 60 A 192.0.2.2\n"               "www 60 " SIG2("A")           \
    "www 60 NSEC @ A RRSIG NSEC\n"       "www 60 " SIG2("NSEC")
/* clang-format on */
#define NEW_SOA                                                                                \
    "+ @ 60 SOA ns admin 6 2 3 4 5\n+ @ 60 RRSIG SOA 13 1 60 20310101000000 20200101000000 1 " \
    "example. AAAA\n"

START_TEST(test_nsec)
{
    struct told told;
    struct zonedb_zone zone;
    fixture_load(&fixture, APEX, NSEC_ZONE);
    refused("+ www 60 A 192.0.2.3\n+ www 60 RRSIG A 13 2 60 20310101000000 20200101000000 1 "
            "example. AAAA\n",
            "its new SOA", 0, 0);
    refused(NEW_SOA "+ www 60 A 192.0.2.3\n", "covers the changed A", 3, 10);
    refused("+ @ 60 SOA ns admin 6 2 3 4 5\n", "covers the changed SOA", 1, 8);
    /* a new name, and nobody leads to its NSEC */
    refused(NEW_SOA "+ q 60 A 192.0.2.3\n+ q 60 " SIG2(
                "A") "+ q 60 NSEC www A RRSIG NSEC\n+ q 60 " SIG2("NSEC"),
            "what ns.example. names as next", 5, 3);
    /* it leads to the wrong one */
    refused(NEW_SOA
            "+ q 60 A 192.0.2.3\n+ q 60 " SIG2("A") "+ q 60 NSEC @ A RRSIG NSEC\n+ q 60 " SIG2(
                "NSEC") "- ns NSEC www A RRSIG NSEC\n+ ns 60 NSEC q A RRSIG NSEC\n+ ns 60 "
                        "RRSIG NSEC 13 2 60 20310101000000 20200101000000 1 example. AAAA\n",
            "what q.example. names as next", 5, 3);
    refused(NEW_SOA "- ns NSEC www A RRSIG NSEC\n", "what example. names as next", 3, 3);
    ck_assert_int_eq(
        change(&fixture,
               NEW_SOA
               "+ q 60 A 192.0.2.3\n+ q 60 " SIG2("A") "+ q 60 NSEC www A RRSIG NSEC\n+ q 60 " SIG2(
                   "NSEC") "- ns NSEC www A RRSIG NSEC\n+ ns 60 NSEC q A RRSIG NSEC\n+ ns 60 "
                           "RRSIG NSEC 13 2 60 20310101000000 20200101000000 1 example. AAAA\n"
                           "+ q 60 NS ns.test.\n- q 60 A 192.0.2.3\n",
               &told, NULL),
        -EINVAL); /* the A is not there when removals are made */
    ck_assert_int_eq(
        change(&fixture,
               NEW_SOA "+ q 60 NS ns.test.\n+ q 60 NSEC www NS RRSIG NSEC\n+ q 60 " SIG2(
                   "NSEC") "- ns NSEC www A RRSIG NSEC\n+ ns 60 NSEC q A RRSIG NSEC\n+ ns 60 "
                           "RRSIG NSEC 13 2 60 20310101000000 20200101000000 1 example. AAAA\n",
               &told, NULL),
        0);
    ck_assert_int_eq(zonedb_zone_get(fixture.view, apex_name, &zone), 0);
    ck_assert_int_eq(zone.signing, ZONEDB_NSEC);
    ck_assert_uint_eq(zone.serial, 6);
}
END_TEST

#define H1 "00000000000000000000000000000001"
#define H2 "00000000000000000000000000000002"
#define H3 "00000000000000000000000000000003"
#define NSEC3_SIG "RRSIG NSEC3 13 2 60 20300101000000 20200101000000 1 example. AAAA\n"
/* clang-format off */
#define NSEC3_ZONE                                                    \
    "@ 60 SOA ns admin 5 2 3 4 5\n"      "@ 60 " SIG("SOA")            \
    "@ 60 NS ns.test.\n"                 "@ 60 " SIG("NS")             \
    "@ 0 NSEC3PARAM 1 0 0 -\n"           "@ 0 " SIG("NSEC3PARAM")      \
    H1 " 60 NSEC3 1 1 0 - " H3 " SOA NS\n" H1 " 60 " NSEC3_SIG        \
    H3 " 60 NSEC3 1 1 0 - " H1 " NS\n"   H3 " 60 " NSEC3_SIG
/* clang-format on */

START_TEST(test_nsec3)
{
    struct told told;
    struct zonedb_zone zone;
    static struct buffer out;
    fixture_load(&fixture, APEX, NSEC3_ZONE);
    /* an unsigned delegation in an opt-out zone: nothing of the chain changes (RFC 5155 6) */
    ck_assert_int_eq(change(&fixture, NEW_SOA "+ q 60 NS ns.test.\n", &told, NULL), 0);
    refused("+ @ 60 SOA ns admin 7 2 3 4 5\n+ @ 60 RRSIG SOA 13 1 60 20320101000000 20200101000000 "
            "1 example. AAAA\n+ " H2 " 60 NSEC3 1 1 0 - " H3 " NS\n+ " H2 " 60 " NSEC3_SIG,
            "what " H1 " names as next", 3, 3);
    refused("+ @ 60 SOA ns admin 7 2 3 4 5\n+ @ 60 RRSIG SOA 13 1 60 20320101000000 20200101000000 "
            "1 example. AAAA\n+ " H2 " 60 NSEC3 1 1 1 - " H3 " NS\n+ " H2 " 60 " NSEC3_SIG,
            "other iterations or salt", 3, 39);
    ck_assert_int_eq(
        change(&fixture,
               "+ @ 60 SOA ns admin 7 2 3 4 5\n+ @ 60 RRSIG SOA 13 1 60 20320101000000 "
               "20200101000000 1 example. AAAA\n+ " H2 " 60 NSEC3 1 1 0 - " H3 " NS\n+ " H2
               " 60 " NSEC3_SIG "- " H1 " 60 NSEC3 1 1 0 - " H3 " SOA NS\n+ " H1
               " 60 NSEC3 1 1 0 - " H2 " SOA NS\n+ " H1 " 60 RRSIG NSEC3 13 2 60 20310101000000 "
               "20200101000000 1 example. AAAA\n",
               &told, NULL),
        0);
    ck_assert_int_eq(zonedb_zone_get(fixture.view, apex_name, &zone), 0);
    ck_assert_int_eq(zone.signing, ZONEDB_NSEC3);
    /* what is there loads as it is */
    dump(&fixture, &out);
    fixture_load(&fixture, APEX, out.octets);
    refused("+ @ 60 SOA ns admin 8 2 3 4 5\n+ @ 60 RRSIG SOA 13 1 60 20330101000000 20200101000000 "
            "1 example. AAAA\n- " H2 " NSEC3 1 1 0 - " H3 " NS\n",
            "what " H1 " names as next", 3, 3);
}
END_TEST

/* A full map grows meanwhile; the second attempt does not tell again what the first has told. */
START_TEST(test_many_lines)
{
    struct buffer *lines = calloc(1, sizeof *lines);
    struct told told;
    struct text_change_counts counts;
    ck_assert_ptr_nonnull(lines);
    for (unsigned i = 0; i < 1500; i++)
        print(lines, "+ d%u 60 NS ns.d%u\n", i, i);
    ck_assert_int_eq(change(&fixture, lines->octets, &told, &counts), 0);
    ck_assert_uint_eq(counts.warnings, 1500);
    ck_assert_uint_eq(told.warnings, TEXT_WARNINGS_MAX);
    ck_assert_uint_eq(counts.owners, 1500);
    free(lines);
}
END_TEST

int main(void)
{
    const TTest *const long_tests[] = {test_any_sequence, test_another_sequence};
    const TTest *const tests[] = {test_refused, test_accepted, test_no_zone,
                                  test_nsec,    test_nsec3,    test_many_lines};
    int failed = test_run("zonedb_text_change_any", long_tests, 2, NULL, NULL);
    return test_run("zonedb_text_change", tests, sizeof tests / sizeof *tests, setup, teardown) |
           failed;
}
