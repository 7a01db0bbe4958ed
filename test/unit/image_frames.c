/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/image_frames.h"

#include "test/must.h"
#include "test/unit/driver_frames.h"
#include "zonedb/image_respond.h"

#include <ctype.h>

#define CUTS_MAX 400u

static uint64_t random_state;

static uint32_t any(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

static uint32_t below(uint32_t bound)
{
    return any() % bound;
}

static void begin(uint64_t seed)
{
    random_state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = 0; i < 4; i++)
        any();
}

/* ---- names ---- */

static size_t put_label(uint8_t *to, const char *text)
{
    to[0] = (uint8_t)strlen(text);
    memcpy(to + 1, text, to[0]);
    return 1u + to[0];
}

/* Number `i` of those right below an apex: some are long, some have octets that are no letters. */
static size_t put_child(uint8_t *to, uint32_t i)
{
    char text[64];
    snprintf(text, sizeof text,
             i % 7 == 0   ? "d\xc3[%u"
             : i % 5 == 0 ? "name-of-some-length-%u"
                          : "d%u",
             i);
    return put_label(to, text);
}

/* Labels that stand in bodies below the suffix, and others. */
static size_t put_host(uint8_t *to)
{
    static const char *const texts[] = {
        "www",  "ns1",  "ns2",  "a",
        "mail", "_443", "_tcp", "a-label-that-is-as-long-as-labels-may-be-which-is-sixty-three!"};
    return put_label(to, texts[below(32) == 0 ? 7 : below(7)]);
}

static struct image_name name_make(const char *const labels[], unsigned count)
{
    struct image_name name = {.len = 0};
    for (unsigned i = 0; i < count; i++)
        name.len += put_label(name.octets + name.len, labels[i]);
    name.octets[name.len++] = 0;
    return name;
}

static uint64_t name_hash(uint32_t what, const uint8_t *name, size_t len)
{
    uint64_t hash = what;
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = 0;
        for (size_t i = 0; i < 8 && at + i < len; i++)
            word |= (uint64_t)name[at + i] << 8 * i;
        hash = image_mix(hash, word);
    }
    return hash;
}

/* ---- the image ---- */

static struct image_head *head_of(struct image_made *made)
{
    return (struct image_head *)(void *)made->pages;
}

/* Returns false if there is no room. */
static bool entry_put(uint64_t *entries, uint64_t entry)
{
    for (unsigned i = 0; i < IMAGE_WAYS; i++)
        if (entries[i] == 0) {
            entries[i] = entry;
            return true;
        }
    return false;
}

/* Where a full bucket goes on. */
static uint64_t *bucket_make(struct image_made *made)
{
    const uint64_t units = IMAGE_PAGE_LEN / IMAGE_UNIT_LEN,
                   needed = 8 * IMAGE_WAYS / IMAGE_UNIT_LEN;
    if (made->next % units + needed > units)
        made->next += units - made->next % units;
    MUST(made->next / units < IMAGE_FRAMES_PAGES);
    void *bucket = made->pages + made->next * IMAGE_UNIT_LEN;
    made->next += needed;
    return bucket;
}

static void enter(struct image_made *made, uint64_t hash, uint64_t place)
{
    const struct image_head *head = head_of(made);
    uint32_t bit = image_filter_bit(hash, head->filter_mask);
    if (head->filter_page != 0)
        made->pages[head->filter_page * IMAGE_PAGE_LEN + bit / 8] |= (uint8_t)(1u << bit % 8);
    uint64_t *entries = (uint64_t *)(void *)(made->pages + IMAGE_PAGE_LEN) +
                        IMAGE_WAYS * image_bucket(hash, head_of(made)->bucket_mask);
    uint64_t entry = image_fingerprint(hash) << IMAGE_FINGERPRINT_SHIFT | place;
    if (entry_put(entries, entry))
        return;
    uint64_t *last = &entries[IMAGE_WAYS - 1];
    if ((*last & IMAGE_PLACE_MORE) == 0 && *last != IMAGE_PLACE_FULL && below(4) > 0) {
        uint64_t *more = bucket_make(made);
        more[0] = *last;
        *last = IMAGE_PLACE_MORE | (uint64_t)((uint8_t *)more - made->pages) / IMAGE_UNIT_LEN;
    }
    if ((*last & IMAGE_PLACE_MORE) != 0) {
        entries =
            (uint64_t *)(void *)(made->pages + (*last & (IMAGE_PLACE_MORE - 1)) * IMAGE_UNIT_LEN);
        if (entry_put(entries, entry))
            return;
    }
    entries[IMAGE_WAYS - 1] = IMAGE_PLACE_FULL;
}

/* Random octets, and pointers wherever two of them are. */
static void body_fill(uint8_t *block, uint16_t at, uint16_t len, unsigned pointers,
                      struct image_body *body)
{
    uint16_t *places = (uint16_t *)(void *)(block + at), next = 0;
    *body = (struct image_body){.pointers_at = at,
                                .at = (uint16_t)(at + 2 * pointers),
                                .len = len,
                                .flags = (uint16_t)(below(2) ? 0x0403 : 0),
                                .count = {(uint8_t)below(3), (uint8_t)any(), (uint8_t)any()}};
    uint8_t *octets = block + body->at;
    for (unsigned i = 0; i < len; i++)
        octets[i] = (uint8_t)(below(3) ? any() : 0xff);
    for (; body->pointer_count < pointers && next + 2 <= len; body->pointer_count++) {
        places[body->pointer_count] = next;
        octets[next] = (uint8_t)(0xc0 | below(4));
        body->pointer_odd_count = (uint8_t)(body->pointer_odd_count + next % 2);
        next = (uint16_t)(next + 2 + below(1 + 2 * len / (pointers + 1)));
    }
    uint32_t sum = 0;
    for (unsigned i = 0; i < len; i++)
        sum += (uint32_t)octets[i] << (i % 2 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
    body->sum = (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static uint64_t block_put(struct image_made *made, enum image_kind kind, const uint8_t *name,
                          size_t name_len)
{
    uint16_t len = (uint16_t)(below(8) == 0 ? 11 + below(1014) : 11 + below(200));
    unsigned pointers = below(4) == 0 ? 0 : below(len / 8 > 64 ? 65 : 1 + len / 8);
    size_t names_end = (sizeof(struct image_block) + name_len + 1) & ~(size_t)1;
    size_t needed = 2 * (names_end + 2 * pointers + len + 2);
    const uint64_t units = IMAGE_PAGE_LEN / IMAGE_UNIT_LEN;
    if (made->next % units * IMAGE_UNIT_LEN + needed > IMAGE_PAGE_LEN)
        made->next += units - made->next % units;
    uint64_t place = made->next;
    MUST(place / units < IMAGE_FRAMES_PAGES);
    uint8_t *at = made->pages + place * IMAGE_UNIT_LEN;
    struct image_block *block = (struct image_block *)(void *)at;
    block->kind = (uint8_t)kind;
    block->name_len = (uint8_t)name_len;
    memcpy(at + sizeof *block, name, name_len);
    body_fill(at, (uint16_t)names_end, len, pointers, &block->body[0]);
    size_t end = (block->body[0].at + len + 1u) & ~1u;
    if (below(3) == 0) {
        block->body[1] = block->body[0];
    } else if (below(4) != 0) {
        body_fill(at, (uint16_t)end, len, pointers, &block->body[1]);
        end = block->body[1].at + len;
    }
    for (unsigned i = 0; i < IMAGE_CHILDREN_MAX && below(2); i++)
        block->children[i] = below(4) == 0 ? image_label_mark(3, 'n', '1') : (uint8_t)(any() | 1);
    made->next += (end + IMAGE_UNIT_LEN - 1) / IMAGE_UNIT_LEN;
    return place;
}

static struct image_block *block_at(struct image_made *made, uint64_t place)
{
    return (struct image_block *)(void *)(made->pages + place * IMAGE_UNIT_LEN);
}

/* Some of a name's RRsets, and mostly which there are. */
static void rrsets_add(struct image_made *made, const uint8_t *name, size_t len)
{
    static const uint16_t types[] = {1, 28, 16, 2, 43, 0};
    for (unsigned i = 0; i < 6; i++) {
        uint32_t what = image_what(IMAGE_RRSET, types[i]);
        if (types[i] != 0 ? below(2) : below(5) == 0)
            continue;
        uint64_t place = block_put(made, IMAGE_RRSET, name, len);
        struct image_block *block = block_at(made, place);
        block->type = types[i];
        if (types[i] == 0) {
            block->flags = below(4) == 0 ? IMAGE_HAS_ALIAS : 0;
            memset(block->body, 0, sizeof block->body);
        }
        enter(made, name_hash(what, name, len), place);
    }
}

/* A name right below an apex. */
static void child_add(struct image_made *made, const uint8_t *name, size_t len)
{
    uint64_t place = IMAGE_PLACE_CLIMB;
    bool is_cut = below(8) != 0;
    if (is_cut || below(2)) {
        place = block_put(made, IMAGE_CUT, name, len);
        if (!is_cut)
            memset(block_at(made, place)->body, 0, sizeof block_at(made, place)->body);
    }
    enter(made, name_hash(IMAGE_CUT, name, len), place);
    if (!is_cut || below(3) == 0) /* of a cut DS alone is looked for */
        rrsets_add(made, name, len);
}

static void apex_add(struct image_made *made, struct image_name apex, unsigned depth)
{
    struct image_head *head = head_of(made);
    head->apex_depths |= 1u << depth;
    uint64_t place = block_put(made, IMAGE_APEX, apex.octets, apex.len);
    if (depth == 2 && below(2))
        block_at(made, place)->flags = IMAGE_HAS_WILDCARD;
    enter(made, name_hash(IMAGE_APEX, apex.octets, apex.len), place);
    rrsets_add(made, apex.octets, apex.len);
    made->apexes[made->apex_count++] = apex;
    for (uint32_t i = 0; i < made->cut_count; i++) {
        uint8_t name[128];
        size_t len = put_child(name, i);
        memcpy(name + len, apex.octets, apex.len);
        len += apex.len;
        child_add(made, name, len);
    }
}

void image_made_begin(struct image_made *made, unsigned index)
{
    static const uint16_t payloads[] = {512, 1232, 4096, 700, 1232, 1232};
    begin(index);
    memset(made, 0, sizeof *made);
    struct image_head *head = head_of(made);
    /* Some are so narrow that buckets are full. */
    unsigned directory = index % 3 == 0 ? 2 : 8;
    *head = (struct image_head){.version = 1 + index,
                                .until_ns = UINT64_MAX,
                                .bucket_mask = (directory << IMAGE_BUCKET_SHIFT_MAX) - 1,
                                .bucket_shift = IMAGE_BUCKET_SHIFT_MAX,
                                .udp_payload = payloads[index % 6]};
    if (index % 2 == 1) {
        head->filter_page = 1 + directory;
        head->filter_mask = 2 * IMAGE_FILTER_PAGE_BITS - 1;
    }
    made->next = (1 + directory + 2) * (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN);
    made->cut_count = index % 3 == 2 ? 100 : CUTS_MAX;
    if (index % 2 == 0)
        apex_add(made, name_make(NULL, 0), 0);
    if (index != 4)
        apex_add(made, name_make((const char *[]){"com"}, 1), 1);
    if (index >= 3)
        apex_add(made, name_make((const char *[]){"d5", "com"}, 2), 2);
    if (index >= 4)
        apex_add(made, name_make((const char *[]){"1", "2", "3", "4", "5", "6", "7", "eight"}, 8),
                 8);
}

void image_made_spoil(struct image_made *made, uint32_t seed)
{
    begin(seed);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t at = below((uint32_t)made->next * IMAGE_UNIT_LEN);
        if (at >= 16) /* all but the lease */
            made->pages[at] = (uint8_t)(below(2) ? any() : 0xff);
    }
}

/* ---- requests ---- */

static size_t put_name(const struct image_made *made, uint8_t *to)
{
    const struct image_name *apex = &made->apexes[below(made->apex_count)];
    size_t len = 0;
    unsigned labels = below(4);
    if (below(20) == 0)
        labels = below(20);
    for (unsigned i = 1; i < labels; i++)
        len += put_host(to + len);
    if (labels > 0)
        len += put_child(to + len, below(2 * made->cut_count));
    memcpy(to + len, apex->octets, apex->len);
    len += apex->len;
    if (below(2))
        for (size_t i = 0; i < len; i++)
            if (below(2) && islower(to[i]))
                to[i] = (uint8_t)toupper(to[i]);
    return len;
}

size_t image_request_make(const struct image_made *made, uint32_t seed, uint8_t *request)
{
    static const uint16_t types[] = {1, 28, 43, 255, 2, 65, 16},
                          payloads[] = {0, 512, 513, 700, 1232, 4096};
    begin((uint64_t)seed << 20);
    uint16_t type = below(8) ? types[below(7)] : (uint16_t)below(300);
    uint16_t payload = below(4) ? 1232 : payloads[below(6)];
    bool has_opt = below(4) != 0;
    memcpy(request,
           (uint8_t[12]){(uint8_t)any(), (uint8_t)any(), (uint8_t)below(2),
                         (uint8_t)(below(4) << 4), 0, 1, [11] = has_opt},
           12);
    size_t len = 12 + put_name(made, request + 12);
    memcpy(request + len, (uint8_t[4]){(uint8_t)(type >> 8), (uint8_t)type, 0, 1}, 4);
    len += 4;
    uint8_t version = below(32) == 0, option_len = below(32) == 0 ? 4 : 0;
    if (has_opt) {
        memcpy(request + len,
               (uint8_t[11]){0, 0, 41, (uint8_t)(payload >> 8), (uint8_t)payload, below(32) == 0,
                             version, below(2) ? 0x80 : 0, below(32) == 0, 0, option_len},
               11);
        memset(request + len + 11, 0, option_len);
        len += 11u + option_len;
    }
    if (below(10) == 0)
        request[below((uint32_t)len)] ^= (uint8_t)(1u << below(8));
    if (below(40) == 0)
        request[len++] = 0;
    return below(60) == 0 ? below((uint32_t)len) : len;
}

size_t image_frame_make(const struct image_made *made, uint32_t seed, uint8_t *frame)
{
    static const uint16_t tags[][4] = {{0x8100, 0xa123}, {0x88a8, 5, 0x8100, 0x0fff}};
    uint8_t request[IMAGE_FRAMES_REQUEST_MAX];
    size_t request_len = image_request_make(made, seed, request);
    struct frame_spec spec = frame_spec_client(below(2) ? 4 : 6);
    spec.is_udp = true;
    spec.source[spec.family == 4 ? 3 : 15] = (uint8_t)(3 + below(250));
    spec.source_port = (uint16_t)(1024 + below(60000));
    spec.tag_count = below(3) ? 0 : 1 + below(2);
    spec.tags = tags[spec.tag_count == 2];
    spec.payload = request;
    spec.payload_len = request_len;
    spec.is_checksum_unset = below(3) == 0;
    size_t len = frame_build(&spec, frame), udp_at = len - request_len - 8;
    if (below(8) == 0) /* RFC 768: not computed; over IPv6 nobody's */
        memset(frame + udp_at + 6, 0, 2);
    if (below(8) == 0)
        frame[udp_at + below((uint32_t)(len - udp_at))] ^= (uint8_t)(1u << below(8));
    if (below(30) == 0)
        frame[below((uint32_t)len)] ^= (uint8_t)(1u << below(8));
    while (len < 60) /* as Ethernet pads */
        frame[len++] = (uint8_t)any();
    for (unsigned more = below(10) ? 0 : below(900); more > 0; more--)
        frame[len++] = (uint8_t)any();
    return len;
}

size_t image_frame_answer(const struct image_made *made, enum packet_checksum_policy policy,
                          const uint8_t *frame, size_t len, uint8_t *answer, bool *is_short_out)
{
    static uint8_t response[PACKET_UDP_PAYLOAD_MAX];
    struct train train = {.octets = answer, .cap = TRAIN_CAP};
    struct packet packet;
    *is_short_out = false;
    if (packet_parse(frame, len, false, policy, &packet) != PACKET_UDP ||
        !packet_is_for(&packet, driver_endpoints, 2))
        return 0;
    size_t response_len = image_respond(made->pages, sizeof made->pages, false, packet.payload,
                                        packet.payload_len, response, sizeof response);
    if (response_len == 0)
        return 0;
    bool is_truncated = (response[2] & 2) != 0; /* climbs in the driver */
    *is_short_out = packet.payload_len <= 12 + 128 && !is_truncated;
    MUST(packet_reply_udp(&packet, response, response_len, &train) && train.frame_count == 1);
    return train.len;
}
