/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/response.h"

#include "zonedb/name.h"

static uint32_t suffix_mark(const uint8_t *label, uint16_t parent)
{
    return (uint32_t)parent << 16 | (uint32_t)label[0] << 8 | label[label[0]] | 0x20u;
}

/* The offset at which this label stands before that suffix; 0: nowhere. */
static uint16_t suffix_find(const struct response *r, const uint8_t *label, uint16_t parent)
{
    uint32_t mark = suffix_mark(label, parent);
    for (unsigned i = 0; i < r->suffix_count; i++)
        if (r->suffix_mark[i] == mark && name_label_equal(label, r->octets + r->suffix_at[i]))
            return r->suffix_at[i];
    return 0;
}

/* Where the labels of a name begin, the root's included; returns their number without it, and the
 * name's length: 0 if it is no valid name that ends within `available` octets. */
static unsigned labels_of(const uint8_t *name, size_t available,
                          uint8_t label_at[NAME_LABELS_MAX + 1], size_t *len_out)
{
    unsigned labels = 0;
    size_t at = 0;
    *len_out = 0;
    while (at < available && at < NAME_MAX_LEN && name[at] <= 63) {
        label_at[labels] = (uint8_t)at;
        if (name[at] == 0) {
            *len_out = at + 1;
            return labels;
        }
        at += 1u + name[at];
        labels++;
    }
    return 0;
}

/* Enter the suffixes of a name that was written at `begin`, from label `kept` on downwards; what
 * is above is known as `parent`. */
static void suffixes_add(struct response *r, size_t begin, const uint8_t *label_at, unsigned kept,
                         uint16_t parent)
{
    while (kept > 0) {
        kept--;
        size_t at = begin + label_at[kept];
        if (at > POINTER_MAX || r->suffix_count == SUFFIX_COUNT_MAX)
            return;
        r->suffix_mark[r->suffix_count] = suffix_mark(r->octets + at, parent);
        r->suffix_at[r->suffix_count] = (uint16_t)at;
        r->suffix_count++;
        parent = (uint16_t)at;
    }
}

static void suffixes_begin(struct response *r)
{
    uint8_t label_at[NAME_LABELS_MAX + 1];
    size_t len;
    r->has_suffixes = true;
    if (r->question_end == HEADER_LEN)
        return;
    unsigned labels = labels_of(r->octets + HEADER_LEN, NAME_MAX_LEN, label_at, &len);
    suffixes_add(r, HEADER_LEN, label_at, labels, 0);
}

static inline void put(struct response *r, const uint8_t *octets, size_t len)
{
    if (r->is_overflow || r->limit - r->len < len) {
        if (!r->is_overflow && r->len + len < r->needed)
            r->needed = r->len + len;
        r->is_overflow = true;
        return;
    }
    memcpy(r->octets + r->len, octets, len);
    r->len += len;
}

static inline void put_be16(struct response *r, uint16_t value)
{
    uint8_t octets[2];
    store_be16(octets, value);
    put(r, octets, sizeof octets);
}

static void put_pointer(struct response *r, size_t at)
{
    assert(at >= HEADER_LEN && at <= POINTER_MAX);
    if (r->pointer_count < POINTER_COUNT_MAX)
        r->pointer_at[r->pointer_count] = (uint16_t)r->len;
    r->pointer_count++;
    put_be16(r, (uint16_t)(0xc000u | at));
}

/* A name that ends within `available` octets, compressed as far as possible. Returns its length, 0
 * if it is not valid. */
static size_t put_name(struct response *r, const uint8_t *name, size_t available)
{
    uint8_t label_at[NAME_LABELS_MAX + 1];
    size_t len;
    unsigned kept = labels_of(name, available, label_at, &len); /* labels to be written out */
    if (len == 0)
        return 0;
    if (!r->has_suffixes)
        suffixes_begin(r);
    /* From the top label down, as far as the message has it. */
    uint16_t known = 0;
    while (kept > 0) {
        uint16_t at = suffix_find(r, name + label_at[kept - 1], known);
        if (at == 0)
            break;
        known = at;
        kept--;
    }
    size_t begin = r->len;
    put(r, name, label_at[kept]);
    if (known != 0)
        put_pointer(r, known);
    else
        put(r, (const uint8_t[1]){0}, 1);
    if (!r->is_overflow)
        suffixes_add(r, begin, label_at, kept, known);
    return len;
}

/* The offset by which the name that was written at `at` can be named again; 0: no pointer serves
 * (the root is shorter than a pointer). Never a pointer to a pointer. */
static uint16_t name_pointer(const struct response *r, size_t at)
{
    if (r->octets[at] >= 0xc0)
        return load_be16(r->octets + at) & POINTER_MAX;
    return r->octets[at] != 0 && at <= POINTER_MAX ? (uint16_t)at : 0;
}

/* RDATA of a type whose names may be compressed (RFC 3597 4). Returns false if malformed. */
static bool put_rdata_compressed(struct response *r, struct rdata_shape shape, const uint8_t *rdata,
                                 size_t rdata_len, uint16_t *name_at_out)
{
    size_t length_at = r->len;
    put_be16(r, 0);
    size_t at = shape.prefix_len;
    if (rdata_len < at)
        return false;
    put(r, rdata, at);
    for (unsigned i = 0; i < shape.name_count; i++) {
        size_t name_at = r->len;
        size_t len = put_name(r, rdata + at, rdata_len - at);
        if (len == 0)
            return false;
        *name_at_out = r->is_overflow ? 0 : name_pointer(r, name_at);
        at += len;
    }
    if (rdata_len - at != shape.suffix_len)
        return false;
    put(r, rdata + at, shape.suffix_len);
    if (!r->is_overflow)
        store_be16(r->octets + length_at, (uint16_t)(r->len - length_at - 2));
    return true;
}

static bool put_records(struct response *r, struct owner owner, const struct zonedb_rrset *rrset,
                        uint32_t ttl)
{
    uint8_t fixed[8];
    store_be16(fixed, rrset->type);
    store_be16(fixed + 2, r->rr_class);
    store_be32(fixed + 4, ttl);
    struct rdata_shape shape = rdata_shape(rrset->type);
    struct rdata_cursor cursor = rdata_begin(rrset);
    const uint8_t *rdata;
    uint16_t rdata_len;
    unsigned index = 0;
    int status;
    if (shape.is_compressible)
        r->targets_of = rrset->rdata;
    while ((status = rdata_next(&cursor, &rdata, &rdata_len)) == 1 && !r->is_overflow) {
        uint16_t name_at = 0;
        size_t owner_at = r->len;
        if (owner.at != 0)
            put_pointer(r, owner.at);
        else
            put_name(r, owner.name, NAME_MAX_LEN);
        put(r, fixed, sizeof fixed);
        if (!shape.is_compressible)
            put(r, rdata - 2, 2u + rdata_len);
        else if (!put_rdata_compressed(r, shape, rdata, rdata_len, &name_at))
            return false;
        if (shape.is_compressible && index < TARGETS_MAX)
            r->target_at[index++] = name_at;
        if (owner.at == 0 && !r->is_overflow)
            owner.at = name_pointer(r, owner_at);
    }
    return status >= 0;
}

static void roll_back(struct response *r, size_t len)
{
    while (r->suffix_count > 0 && r->suffix_at[r->suffix_count - 1] >= len)
        r->suffix_count--;
    while (r->pointer_count > 0 && r->pointer_count <= POINTER_COUNT_MAX &&
           r->pointer_at[r->pointer_count - 1] >= len)
        r->pointer_count--;
    r->len = len;
    r->targets_of = NULL;
}

uint16_t response_target(const struct response *r, const struct zonedb_rrset *rrset, unsigned index)
{
    return r->targets_of == rrset->rdata && index < TARGETS_MAX ? r->target_at[index] : 0;
}

bool response_add(struct response *r, enum section section, struct owner owner,
                  const struct zonedb_rrset *rrset, uint32_t ttl_max)
{
    if (r->is_overflow)
        return true;
    assert(section >= r->section);
    size_t before = r->len;
    bool is_good = put_records(r, owner, rrset, rrset->ttl < ttl_max ? rrset->ttl : ttl_max);
    if (!is_good || r->is_overflow) {
        r->overflow_section = section;
        roll_back(r, before);
        return is_good;
    }
    r->section = section;
    r->count[section] = (uint16_t)(r->count[section] + rrset->rr_count);
    return true;
}

bool response_add_optional(struct response *r, enum section section, struct owner owner,
                           const struct zonedb_rrset *rrset)
{
    bool was_overflow = r->is_overflow;
    bool is_good = response_add(r, section, owner, rrset, TTL_AS_STORED);
    r->is_overflow = was_overflow;
    return is_good;
}

void response_clear(struct response *r)
{
    roll_back(r, r->question_end);
    memset(r->count, 0, sizeof r->count);
    r->section = SECTION_ANSWER;
}

void response_begin(struct response *r, uint8_t *octets, size_t limit, const struct query *query)
{
    r->octets = octets;
    r->limit = limit;
    r->len = HEADER_LEN;
    /* CD is cleared: RFC 4035 3.1.6. */
    r->flags = (uint16_t)(FLAG_QR | (query->flags & (OPCODE_MASK | FLAG_RD)));
    r->rcode = RCODE_NOERROR;
    r->rr_class = query->qclass == CLASS_CH ? CLASS_CH : CLASS_IN;
    memset(r->count, 0, sizeof r->count);
    r->section = SECTION_ANSWER;
    r->is_overflow = false;
    r->targets_of = NULL;
    r->needed = SIZE_MAX;
    r->has_suffixes = false;
    r->suffix_count = 0;
    r->pointer_count = 0;
    store_be16(octets, query->id);
    store_be16(octets + 4, query->has_question);
    if (query->has_question) {
        assert(limit - HEADER_LEN >= query->qname_len + 4u);
        memcpy(octets + HEADER_LEN, query->qname, query->qname_len);
        r->len += query->qname_len + 4u;
        store_be16(octets + r->len - 4, query->qtype);
        store_be16(octets + r->len - 2, query->qclass);
    }
    r->question_end = r->len;
}

void response_header_write(struct response *r, unsigned arcount_more)
{
    store_be16(r->octets + 2, (uint16_t)(r->flags | (r->rcode & RCODE_MASK)));
    store_be16(r->octets + 6, r->count[SECTION_ANSWER]);
    store_be16(r->octets + 8, r->count[SECTION_AUTHORITY]);
    store_be16(r->octets + 10, (uint16_t)(r->count[SECTION_ADDITIONAL] + arcount_more));
}
