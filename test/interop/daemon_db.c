/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon_db - write the database that the tests of the daemon ask.
 *
 * usage: daemon_db DIR [SERIAL]
 *
 *     example.            SOA (serial SERIAL, default 1), NS ns.example.
 *     some.example.       TXT, 852 octets of records
 *     edge.example.       TXT, 1240: as much as a driver answers
 *     more.example.       TXT, 1278
 *     big.example.        TXT, about 3000 octets: more than fits UDP by default
 *     huge.example.       TXT, about 60,000 octets
 *     ns.example.         A 192.0.2.1
 *     www.example.        A 192.0.2.80
 */
#include "zonedb/name.h"
#include "zonedb/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_A 1
#define TYPE_NS 2
#define TYPE_SOA 6
#define TYPE_TXT 16
#define TXT_LEN 200

static uint8_t rdata[1 << 16];

static void check(int outcome, const char *what)
{
    if (outcome == 0)
        return;
    fprintf(stderr, "daemon_db: %s: %s\n", what, strerror(-outcome));
    exit(EXIT_FAILURE);
}

static size_t put16(size_t at, size_t value)
{
    rdata[at] = (uint8_t)(value >> 8);
    rdata[at + 1] = (uint8_t)value;
    return at + 2;
}

static void add(struct zonedb_writer *writer, const char *owner, struct zonedb_rrset *rrsets,
                size_t count)
{
    uint8_t name[NAME_MAX_LEN];
    if (name_from_text(owner, name) == 0)
        abort();
    check(zonedb_writer_node(writer, name, rrsets, count), owner);
}

/* The last one is of `last_len` octets. */
static void add_txt(struct zonedb_writer *writer, const char *owner, unsigned count,
                    uint8_t last_len)
{
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t len = i + 1 < count ? TXT_LEN : last_len;
        at = put16(at, 1u + len);
        rdata[at++] = len;
        memset(rdata + at, 'x', len);
        memcpy(rdata + at, (char[]){(char)('a' + i / 26), (char)('a' + i % 26)}, 2);
        at += len;
    }
    struct zonedb_rrset rrset = {TYPE_TXT, (uint16_t)count, 300, rdata, (uint32_t)at};
    add(writer, owner, &rrset, 1);
}

static void add_a(struct zonedb_writer *writer, const char *owner, uint8_t last)
{
    const uint8_t record[] = {0, 4, 192, 0, 2, last};
    struct zonedb_rrset rrset = {TYPE_A, 1, 300, record, sizeof record};
    add(writer, owner, &rrset, 1);
}

static void add_apex(struct zonedb_writer *writer, uint32_t serial)
{
    uint8_t ns[NAME_MAX_LEN];
    size_t ns_len = name_from_text("ns.example.", ns);
    size_t at = put16(0, ns_len);
    memcpy(rdata + at, ns, ns_len);
    size_t soa = at += ns_len;
    at = put16(at, 2 * ns_len + 20);
    memcpy(rdata + at, ns, ns_len);
    memcpy(rdata + at + ns_len, ns, ns_len);
    at += 2 * ns_len;
    const uint32_t numbers[5] = {serial, 3600, 600, 86400, 300};
    for (unsigned i = 0; i < 5; i++)
        at = put16(put16(at, numbers[i] >> 16), numbers[i] & 0xffff);
    struct zonedb_rrset rrsets[] = {{TYPE_NS, 1, 300, rdata, (uint32_t)soa},
                                    {TYPE_SOA, 1, 300, rdata + soa, (uint32_t)(at - soa)}};
    add(writer, "example.", rrsets, 2);
}

int main(int argc, char **argv)
{
    struct zonedb *db;
    struct zonedb_writer *writer;
    struct zonedb_error error;
    uint8_t apex[NAME_MAX_LEN];
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: daemon_db DIR [SERIAL]\n");
        return 2;
    }
    if (zonedb_open(argv[1], ZONEDB_CREATE, &db, &error) != 0) {
        fprintf(stderr, "daemon_db: %s\n", error.text);
        return EXIT_FAILURE;
    }
    name_from_text("example.", apex);
    check(zonedb_writer_begin(db, &writer), "begin");
    check(zonedb_writer_zone_begin(writer, apex), "zone");
    add_apex(writer, argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1);
    add_txt(writer, "big.example.", 14, TXT_LEN);
    add_txt(writer, "edge.example.", 6, 162);
    add_txt(writer, "huge.example.", 280, TXT_LEN);
    add_txt(writer, "more.example.", 6, TXT_LEN);
    add_a(writer, "ns.example.", 1);
    add_txt(writer, "some.example.", 4, TXT_LEN);
    add_a(writer, "www.example.", 80);
    check(zonedb_writer_zone_end(writer, 1), "end");
    check(zonedb_writer_commit(writer), "commit");
    zonedb_close(db);
    return EXIT_SUCCESS;
}
