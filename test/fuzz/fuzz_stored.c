/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A damaged database: arbitrary octets stand where a zone record or a block of nodes should.
 * Answers may be wrong or SERVFAIL, but they are well-formed, and nothing is read out of bounds.
 *
 * The first octet of the input says what is replaced, the rest is the stored value.
 */
#include "../unit/message.h"
#include "../unit/zone_fixture.h"
#include "fuzz.h"
#include "zonedb/find.h"
#include "zonedb/respond.h"
#include "zonedb/view.h"

/* Zone example. is one block; zone large. has another, from its apex to its end. */
#define NODES                                                                               \
    "@ NS a\na A 192.0.2.1\n*.w TXT w\nc NS ns.c\nns.c A 192.0.2.2\nd DNAME e\nf CNAME a\n" \
    "m MX 1 a\n"
#define TEN_OCTETS "0123456789"
#define HUNDRED_OCTETS                                                                      \
    TEN_OCTETS TEN_OCTETS TEN_OCTETS TEN_OCTETS TEN_OCTETS TEN_OCTETS TEN_OCTETS TEN_OCTETS \
        TEN_OCTETS TEN_OCTETS
static const char zone_text[] = "$ORIGIN example.\n$TTL 60\n@ SOA a b 1 2 3 4 5\n" NODES;
static const char large_text[] =
    "$ORIGIN large.\n$TTL 60\n@ SOA a b 1 2 3 4 5\n@ TXT " HUNDRED_OCTETS " " HUNDRED_OCTETS
    "1 " HUNDRED_OCTETS "2 " HUNDRED_OCTETS "3 " HUNDRED_OCTETS "4\n" NODES;

static const struct {
    const char *qname;
    unsigned qtype;
} questions[] = {
    {"example.", 2},      {"example.", 255},   {"a.example.", 1},   {"a.example.", 46},
    {"x.w.example.", 16}, {"x.w.example.", 1}, {"x.c.example.", 1}, {"c.example.", 43},
    {"x.d.example.", 1},  {"f.example.", 1},   {"m.example.", 15},  {"zz.example.", 1},
    {"b.example.", 28},   {"x.a.example.", 1}, {"w.example.", 1},   {"large.", 2},
    {"a.large.", 1},      {"x.w.large.", 16},  {"x.c.large.", 1},   {"c.large.", 43},
    {"x.d.large.", 1},    {"zz.large.", 1},    {"0.large.", 1},     {"w.large.", 1},
};

static struct fixture fixture;
static struct message message;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fixture_open(&fixture);
    fixture_unlink(&fixture);
    mdb_env_set_flags(fixture.db->env, MDB_NOSYNC, 1);
    fixture_load(&fixture, "example.", zone_text);
    fixture_load(&fixture, "large.", large_text);
    return 0;
}

enum target {
    TARGET_ZONE,
    TARGET_LARGE,
    TARGET_BLOCK,
    TARGET_COUNT,
};

static void put(MDB_txn *txn, MDB_dbi dbi, MDB_val key, MDB_val value)
{
    MUST(mdb_put(txn, dbi, &key, &value, 0) == 0);
}

/* Replace one stored value; returns a copy of what was there. */
static MDB_val replace(enum target target, MDB_val value)
{
    MDB_val old, copy, k;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_dbi dbi = target == TARGET_BLOCK ? fixture.db->nodes : fixture.db->zones;
    zonedb_view_rest(fixture.view);
    MUST(mdb_txn_begin(fixture.db->env, NULL, 0, &txn) == 0);
    MUST(mdb_cursor_open(txn, dbi, &cursor) == 0);
    MUST(mdb_cursor_get(cursor, &k, &old, target == TARGET_LARGE ? MDB_LAST : MDB_FIRST) == 0);
    MDB_val key = {k.mv_size, exact_copy(k.mv_data, k.mv_size)};
    copy = (MDB_val){old.mv_size, exact_copy(old.mv_data, old.mv_size)};
    put(txn, dbi, key, value);
    free(key.mv_data);
    mdb_cursor_close(cursor);
    MUST(mdb_txn_commit(txn) == 0);
    MUST(zonedb_view_refresh(fixture.view) == 1);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t request[512], response[RESPOND_MESSAGE_MAX];
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_TCP};
    if (size < 1)
        return 0;
    enum target target = (enum target)(data[0] % TARGET_COUNT);
    MDB_val old = replace(target, (MDB_val){size - 1, (void *)(uintptr_t)(data + 1)});
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        size_t request_len =
            request_make(request, questions[i].qname, questions[i].qtype, 1232, true, NULL, 0);
        size_t len = respond(fixture.view, &policy, &client, request, request_len, response,
                             sizeof response);
        message_parse(&message, response, len);
    }
    free(replace(target, old).mv_data);
    free(old.mv_data);
    return 0;
}
