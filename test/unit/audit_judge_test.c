/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers of a parent's servers: what each says of the delegation of zone.example.
 */
#include "message.h"
#include "test_main.h"
#include "tools/audit/judge.h"

#define AA 0x8400u
#define QR 0x8000u

static struct audit_zone zone;
static uint8_t servers[512], keys[16], message[2048];
static size_t message_len;

static void add_rdata(struct zonedb_rrset *rrset, uint8_t *octets, const uint8_t *rdata, size_t len)
{
    octets[rrset->rdata_len] = (uint8_t)(len >> 8);
    octets[rrset->rdata_len + 1] = (uint8_t)len;
    memcpy(octets + rrset->rdata_len + 2, rdata, len);
    rrset->rdata = octets;
    rrset->rdata_len += (uint32_t)(2 + len);
    rrset->rr_count++;
}

/* A DNSKEY and its DS. */
static const char key_text[] = "0100030501030103";
#define DS_TEXT "060b0502092f6282650b950e680c2602a4ce3a51738a3b7b249fc7d18addea54f61bf8b4"

static void setup(void)
{
    uint8_t name[NAME_MAX_LEN], key[16];

    memset(&zone, 0, sizeof zone);
    name_from_text("zone.example.", zone.apex);
    size_t len = name_from_text("ns1.zone.example.", name);
    add_rdata(&zone.servers, servers, name, len);
    len = name_from_text("ns.host.net.", name);
    add_rdata(&zone.servers, servers, name, len);
    add_rdata(&zone.keys, keys, key, hex_decode(key_text, key, sizeof key));
}

static void begin(unsigned flags, unsigned rcode)
{
    memset(message, 0, 12);
    message[2] = (uint8_t)(flags >> 8);
    message[3] = (uint8_t)((flags & 0xff) | rcode);
    message[5] = 1;
    message_len = 12 + name_from_text("zone.example.", message + 12);
    memcpy(message + message_len, "\0\2\0\1", 4);
    message_len += 4;
}

static void record(unsigned section, const char *owner, unsigned type, const uint8_t *rdata,
                   size_t len)
{
    const uint8_t fixed[10] = {0, (uint8_t)type, 0, 1, 0, 0, 0x1c, 0x20, 0, (uint8_t)len};
    message[5 + 2 * section]++;
    message_len += name_from_text(owner, message + message_len);
    memcpy(message + message_len, fixed, sizeof fixed);
    memcpy(message + message_len + sizeof fixed, rdata, len);
    message_len += sizeof fixed + len;
}

static void named(unsigned section, const char *owner, unsigned type, const char *target)
{
    uint8_t name[NAME_MAX_LEN + 20] = {0};
    size_t len = name_from_text(target, name);
    if (type == 6) {
        memcpy(name + len, name, len);
        len = 2 * len + 20;
        memset(name + len - 20, 0, 20);
    }
    record(section, owner, type, name, len);
}

static struct audit_answer judge(const char *above)
{
    uint8_t name[NAME_MAX_LEN], *copy = malloc(message_len);
    struct audit_answer answer;
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, message, message_len);
    if (above != NULL)
        name_from_text(above, name);
    audit_judge(&zone, above != NULL ? name : NULL, copy, message_len, &answer);
    free(copy);
    ck_assert_str_ne(answer.why, "");
    return answer;
}

static void expect(enum audit_state found)
{
    const struct audit_answer answer = judge("example.");
    ck_assert_int_eq(answer.verdict, AUDIT_VERDICT_FOUND);
    ck_assert_msg(answer.found == found, "%s", answer.why);
    ck_assert_uint_eq(answer.ttl, found == AUDIT_UNDELEGATED ? 0 : 7200);
}

START_TEST(test_referrals)
{
    begin(QR, 0);
    named(2, "ZONE.example.", 2, "ns.other.net.");
    expect(AUDIT_MISMATCHED);
    named(2, "zone.example.", 2, "NS.host.net.");
    expect(AUDIT_DELEGATED);
    /* Servers of another cut say nothing of this one. */
    begin(QR, 0);
    named(2, "other.example.", 2, "ns.host.net.");
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    named(2, "zone.example.", 2, "ns.other.net.");
    expect(AUDIT_MISMATCHED);
}
END_TEST

START_TEST(test_negative)
{
    begin(AA, 3);
    named(2, "example.", 6, "a.example.");
    expect(AUDIT_UNDELEGATED);
    begin(AA, 0);
    named(2, "example.", 6, "a.example.");
    expect(AUDIT_UNDELEGATED);
    begin(AA, 3);
    named(2, ".", 6, "a.example.");
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    ck_assert_int_eq(judge(".").verdict, AUDIT_VERDICT_FOUND);
    /* Not by an authority; without a SOA; that of the zone itself, of a sibling. */
    begin(QR, 3);
    named(2, "example.", 6, "a.example.");
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    begin(AA, 3);
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    named(2, "zone.example.", 6, "a.example.");
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    named(2, "sibling.example.", 6, "a.example.");
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
}
END_TEST

START_TEST(test_useless)
{
    for (unsigned rcode = 1; rcode < 16; rcode++) {
        begin(QR, rcode);
        named(2, "zone.example.", 2, "ns.host.net.");
        ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    }
    /* A server that has the zone too shows its side of the cut. */
    begin(AA, 0);
    named(1, "zone.example.", 2, "ns.host.net.");
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    begin(QR, 0);
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    record(2, "zone.example.", 2, message, 0); /* no octets of RDATA are no name */
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
}
END_TEST

START_TEST(test_levels)
{
    uint8_t cut[NAME_MAX_LEN];
    name_from_text("example.", cut);
    begin(QR, 0);
    named(2, "EXAMPLE.", 2, "a.nic.example.");
    struct audit_answer answer = judge(NULL);
    ck_assert_int_eq(answer.verdict, AUDIT_VERDICT_ABOVE);
    ck_assert_mem_eq(answer.cut, cut, 9);
    ck_assert_int_eq(judge(".").verdict, AUDIT_VERDICT_ABOVE);
    /* In circles, or upwards, nobody is followed. */
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
    begin(QR, 0);
    named(2, ".", 2, "a.root.");
    ck_assert_int_eq(judge("example.").verdict, AUDIT_VERDICT_USELESS);
}
END_TEST

/* A DS of SHA-256 over the key, made with another tool; one that fits nothing; one of no known type. */
START_TEST(test_ds)
{
    uint8_t ds[64];
    const size_t len = hex_decode(DS_TEXT, ds, sizeof ds);
    ck_assert_int_eq(audit_ds_fits(&zone, ds, len), 1);
    begin(QR, 0);
    named(2, "zone.example.", 2, "ns.host.net.");
    record(2, "zone.example.", 43, ds, len);
    expect(AUDIT_DELEGATED);
    ds[len - 1] ^= 1;
    ck_assert_int_eq(audit_ds_fits(&zone, ds, len), 0);
    begin(QR, 0);
    named(2, "zone.example.", 2, "ns.host.net.");
    record(2, "zone.example.", 43, ds, len);
    expect(AUDIT_MISMATCHED);
    ds[3] = 99;
    ck_assert_int_eq(audit_ds_fits(&zone, ds, len), -1);
    begin(QR, 0);
    named(2, "zone.example.", 2, "ns.host.net.");
    record(2, "zone.example.", 43, ds, len);
    expect(AUDIT_DELEGATED);
    ck_assert_int_eq(audit_ds_fits(&zone, ds, 3), 0);
}
END_TEST

/* Any octet of a response changed, and any cut: read safely. */
START_TEST(test_hostile)
{
    begin(QR, 0);
    named(2, "zone.example.", 2, "ns.host.net.");
    named(2, "example.", 6, "a.example.");
    record(2, "zone.example.", 43, (const uint8_t *)"\0\1\2\3xyz", 7);
    const size_t whole = message_len;
    for (size_t i = 0; i < whole; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            message[i] ^= (uint8_t)(1u << bit);
            judge("example.");
            message[i] ^= (uint8_t)(1u << bit);
        }
    }
    for (message_len = 12; message_len < whole; message_len++)
        judge("example.");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_referrals, test_negative, test_useless,
                                  test_levels,    test_ds,       test_hostile};
    return test_run("audit_judge", tests, sizeof tests / sizeof *tests, setup, NULL);
}
