/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_dump.h"
#include "zonedb/name.h"
#include "zonedb/text_zone.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <libzscanner/scanner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Worst case of RDATA as text: four characters an octet and a space here and there. */
#define LINE_CAP ((size_t)6 * 65536)
#define FLUSH_AT ((size_t)256 * 1024)

struct dump {
    text_dump_write *write;
    void *context;
    uint8_t apex[NAME_MAX_LEN];
    bool is_soa_pass;
    uint16_t last_type; /* of the RRset before, for RRSIGs */
    uint8_t owner[NAME_MAX_LEN];
    size_t owner_len;
    char owner_text[NAME_TEXT_MAX];
    zs_scanner_t *scanner;
    char *buffer;
    size_t buffer_len;
};

static int flush(struct dump *dump)
{
    const size_t len = dump->buffer_len;

    dump->buffer_len = 0;
    return len == 0 ? 0 : dump->write(dump->context, dump->buffer, len);
}

static bool is_record(const struct dump *dump, const struct zonedb_rrset *rrset,
                      const uint8_t *rdata, size_t rdata_len)
{
    const zs_scanner_t *scanner = dump->scanner;

    return scanner->state == ZS_STATE_DATA && scanner->r_type == rrset->type &&
           scanner->r_class == 1 && scanner->r_ttl == rrset->ttl &&
           scanner->r_owner_length == dump->owner_len &&
           name_equal(scanner->r_owner, dump->owner) && scanner->r_data_length == rdata_len &&
           memcmp(scanner->r_data, rdata, rdata_len) == 0;
}

/* Does the line say exactly this record? */
static bool reads_back(struct dump *dump, const char *line, size_t line_len,
                       const struct zonedb_rrset *rrset, const uint8_t *rdata, size_t rdata_len)
{
    zs_scanner_t *scanner = dump->scanner;

    /* The second call swallows the end of the line: the scanner stands at the beginning of one
     * again. */
    if (zs_set_input_string(scanner, line, line_len) == 0 && zs_parse_record(scanner) == 0 &&
        is_record(dump, rrset, rdata, rdata_len) && zs_parse_record(scanner) == 0 &&
        scanner->state == ZS_STATE_EOF)
        return true;
    zs_deinit(scanner);
    (void)zs_init(scanner, ".", 1, 0); /* "." always parses */
    return false;
}

static size_t put_rdata(char *line, size_t line_cap, const struct zonedb_rrset *rrset,
                        const uint8_t *rdata, uint16_t rdata_len)
{
    static const knot_dump_style_t style = {.human_timestamp = true};
    knot_rrset_t set;
    static const uint8_t root[1] = {0};
    int len = -1;

    knot_rrset_init(&set, (knot_dname_t *)(uintptr_t)root, rrset->type, KNOT_CLASS_IN, rrset->ttl);
    if (knot_rrset_add_rdata(&set, rdata, rdata_len, NULL) == KNOT_EOK)
        len = knot_rrset_txt_dump_data(&set, 0, line, line_cap, &style);
    knot_rdataset_clear(&set.rrs, NULL);
    /* BIND takes "\[" for the bit labels of RFC 2673 and refuses the file. */
    return len > 0 && memmem(line, (size_t)len, "\\[", 2) == NULL ? (size_t)len : 0;
}

/* RFC 3597 5. */
static size_t put_generic(char *line, size_t line_cap, const uint8_t *rdata, uint16_t rdata_len)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = (size_t)snprintf(line, line_cap, "\\# %u%s", rdata_len, rdata_len > 0 ? " " : "");

    for (size_t i = 0; i < rdata_len; i++) {
        line[at++] = digits[rdata[i] >> 4];
        line[at++] = digits[rdata[i] & 15];
    }
    return at;
}

static int put_record(struct dump *dump, const struct zonedb_rrset *rrset, const uint8_t *rdata,
                      uint16_t rdata_len)
{
    char *line = dump->buffer + dump->buffer_len;
    char type[24];
    const size_t head =
        (size_t)snprintf(line, LINE_CAP, "%s\t%u\tIN\t%s\t", dump->owner_text, rrset->ttl,
                         text_type_name(rrset->type, type, sizeof(type)));
    size_t len = put_rdata(line + head, LINE_CAP - head - 1, rrset, rdata, rdata_len);

    line[head + len] = '\n';
    if (len == 0 || !reads_back(dump, line, head + len + 1, rrset, rdata, rdata_len)) {
        len = put_generic(line + head, LINE_CAP - head - 1, rdata, rdata_len);
        line[head + len] = '\n';
        if (!reads_back(dump, line, head + len + 1, rrset, rdata, rdata_len))
            return -EBADMSG;
    }
    dump->buffer_len += head + len + 1;
    return dump->buffer_len >= FLUSH_AT ? flush(dump) : 0;
}

static int put_rrset(struct dump *dump, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    const uint8_t *at = rrset->rdata, *end = rrset->rdata + rrset->rdata_len;
    int error = 0;

    const size_t owner_len = name_len(owner, NAME_MAX_LEN);
    if (owner_len != dump->owner_len || memcmp(owner, dump->owner, owner_len) != 0) {
        memcpy(dump->owner, owner, owner_len);
        dump->owner_len = owner_len;
        text_name(owner, dump->owner_text);
    }
    for (unsigned i = 0; i < rrset->rr_count && error == 0; i++) {
        if (end - at < 2 || end - at - 2 < (at[0] << 8 | at[1]))
            return -EBADMSG;
        const uint16_t len = (uint16_t)(at[0] << 8 | at[1]);
        error = put_record(dump, rrset, at + 2, len);
        at += 2 + len;
    }
    return error;
}

#define STOP 1

static int visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct dump *dump = context;

    if (rrset->type != TYPE_RRSIG)
        dump->last_type = rrset->type;
    const bool is_at_apex = name_equal(owner, dump->apex);
    if (dump->is_soa_pass && !is_at_apex)
        return STOP;
    const bool is_soa = is_at_apex && dump->last_type == TYPE_SOA;
    return is_soa == dump->is_soa_pass ? put_rrset(dump, owner, rrset) : 0;
}

int text_dump(struct zonedb_view *view, const uint8_t *apex, text_dump_write *write, void *context)
{
    struct dump dump = {.write = write, .context = context, .is_soa_pass = true};
    int error = -ENOMEM;

    name_copy_lower(dump.apex, apex);
    dump.buffer = malloc(FLUSH_AT + LINE_CAP);
    dump.scanner = malloc(sizeof(*dump.scanner));
    if (dump.buffer != NULL && dump.scanner != NULL && zs_init(dump.scanner, ".", 1, 0) == 0) {
        error = zonedb_zone_walk(view, apex, visit, &dump);
        dump.is_soa_pass = false;
        if (error == 0 || error == STOP)
            error = zonedb_zone_walk(view, apex, visit, &dump);
        if (error == 0)
            error = flush(&dump);
        zs_deinit(dump.scanner);
    }
    free(dump.scanner);
    free(dump.buffer);
    return error;
}
