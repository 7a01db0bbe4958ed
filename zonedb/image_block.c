/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/image_block.h"

#include "zonedb/answer.h"

/* In another question there may be as many suffixes more, and all must be known as in ours. */
#define SUFFIXES_MAX (SUFFIX_COUNT_MAX - NAME_LABELS_MAX)

/* A response to the block's own name. */
struct rendered {
    struct response response;
    uint8_t octets[HEADER_LEN + NAME_MAX_LEN + 4 + IMAGE_BODY_MAX];
};

/* `found`: NULL, to look it up. */
static void render(const struct image_source *source, const struct found *found, uint16_t type,
                   bool is_do, struct rendered *out, bool *is_whole_out)
{
    const uint8_t *added[ADDED_MAX];
    const struct query query = {
        .has_question = true,
        .qname = source->name,
        .qname_len = source->name_len,
        .qtype = type,
        .qclass = CLASS_IN,
        .edns = {.is_present = true, .is_do = is_do},
    };
    struct response *r = &out->response;
    struct answer answer = {
        .view = source->view,
        .policy = source->policy,
        .query = &query,
        .response = r,
        .use = {.kind = TEMPLATE_NONE},
        .added = added,
    };
    response_begin(r, out->octets, HEADER_LEN + source->name_len + 4u + IMAGE_BODY_MAX, &query);
    if (found != NULL)
        answer_as_found(&answer, found);
    else
        answer_as_asked(&answer);
    *is_whole_out = !answer.is_corrupt && answer.ede == 0 && r->needed == SIZE_MAX &&
                    r->len > r->question_end && r->count[0] < 256 && r->count[1] < 256 &&
                    r->count[2] < 256;
}

/* Returns false if it does not serve all questions for the name and below it. */
static bool render_for_all(const struct image_source *source, const struct found *found, bool is_do,
                           struct rendered *out)
{
    bool is_whole;
    render(source, found, RR_A, is_do, out, &is_whole);
    return is_whole && out->response.pointer_count <= IMAGE_POINTERS_MAX &&
           out->response.suffix_count < SUFFIXES_MAX;
}

/* For the name alone, in which no pointer has to be moved. */
static bool render_for_one(const struct image_source *source, const struct found *found,
                           uint16_t type, bool is_do, struct rendered *out)
{
    bool is_whole;
    render(source, found, type, is_do, out, &is_whole);
    out->response.pointer_count = 0;
    return is_whole;
}

/* Marks of the labels of the body right below the block's name. Returns false if they are too many.
 */
static bool children_add(const struct image_source *source, const struct response *r,
                         uint8_t children[IMAGE_CHILDREN_MAX])
{
    size_t parent = source->label_count == 0 ? 0 : HEADER_LEN;
    for (unsigned i = 0; r->has_suffixes && i < r->suffix_count; i++) {
        const uint8_t *label = r->octets + r->suffix_at[i];
        unsigned k = 0;
        if (r->suffix_mark[i] >> 16 != parent || r->suffix_at[i] < r->question_end)
            continue;
        uint8_t mark = image_label_mark(label[0], name_octet_lower(label[1]),
                                        name_octet_lower(label[label[0]]));
        while (k < IMAGE_CHILDREN_MAX && children[k] != 0 && children[k] != mark)
            k++;
        if (k == IMAGE_CHILDREN_MAX)
            return false;
        children[k] = mark;
    }
    return true;
}

/* RFC 1071, in the order of memory. Whole words may be added four octets at a time. */
static uint16_t body_sum(const uint8_t *body, size_t len)
{
    uint64_t sum = 0;
    uint32_t words;
    for (; len >= sizeof words; body += sizeof words, len -= sizeof words) {
        memcpy(&words, body, sizeof words);
        sum += words;
    }
    words = 0;
    memcpy(&words, body, len);
    sum += words;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Does one begin with all of the other? */
static bool body_begins_with(const struct response *r, const struct response *first)
{
    size_t len = first->len - first->question_end;
    return r->len - r->question_end >= len && first->pointer_count <= r->pointer_count &&
           memcmp(r->octets + r->question_end, first->octets + first->question_end, len) == 0 &&
           memcmp(r->pointer_at, first->pointer_at, first->pointer_count * sizeof *r->pointer_at) ==
               0;
}

/* Append a body and its pointers. Returns false if they do not fit. */
static bool body_put(struct image_draft *draft, const struct response *r, struct image_body *out)
{
    size_t len = r->len - r->question_end, pointers_at = draft->len + draft->len % 2;
    if (pointers_at + 2 * r->pointer_count + len > IMAGE_PAGE_LEN)
        return false;
    out->pointers_at = (uint16_t)pointers_at;
    out->at = (uint16_t)(pointers_at + 2 * r->pointer_count);
    for (unsigned i = 0; i < r->pointer_count; i++) {
        uint16_t at = (uint16_t)(r->pointer_at[i] - r->question_end);
        memcpy(draft->octets + pointers_at + 2 * i, &at, sizeof at);
    }
    memcpy(draft->octets + out->at, r->octets + r->question_end, len);
    draft->len = out->at + len;
    return true;
}

/* What stands in the draft already, at out->at. */
static void body_describe(const struct image_draft *draft, const struct response *r,
                          struct image_body *out)
{
    out->len = (uint16_t)(r->len - r->question_end);
    out->pointer_count = (uint8_t)r->pointer_count;
    for (unsigned i = 0; i < r->pointer_count; i++)
        out->pointer_odd_count =
            (uint8_t)(out->pointer_odd_count + (r->pointer_at[i] - r->question_end) % 2);
    out->flags = (uint16_t)((r->flags & FLAG_AA) | r->rcode);
    for (unsigned i = 0; i < 3; i++)
        out->count[i] = (uint8_t)r->count[i];
    out->sum = body_sum(draft->octets + out->at, out->len);
}

/* One body, or both (`more`: DO set), octets that they share once. Returns whether `more` is there.
 */
static bool bodies_put(struct image_draft *draft, const struct response *plain,
                       const struct response *more, struct image_body body[2])
{
    bool does_begin = more != NULL && body_begins_with(more, plain);
    if (does_begin && body_put(draft, more, &body[1])) {
        body[0].at = body[1].at;
        body[0].pointers_at = body[1].pointers_at;
        body_describe(draft, plain, &body[0]);
        body_describe(draft, more, &body[1]);
        return true;
    }
    if (body_put(draft, plain, &body[0]))
        body_describe(draft, plain, &body[0]);
    if (more == NULL || does_begin || !body_put(draft, more, &body[1]))
        return false;
    body_describe(draft, more, &body[1]);
    return true;
}

static struct image_block *draft_begin(struct image_draft *draft, enum image_kind kind,
                                       uint16_t type, const struct image_source *source)
{
    struct image_block *block = (struct image_block *)(void *)draft->octets;
    *block = (struct image_block){
        .kind = (uint8_t)kind,
        .name_len = source->name_len,
        .label_count = source->label_count,
        .type = type,
    };
    memcpy(block + 1, source->name, source->name_len);
    draft->len = sizeof *block + source->name_len;
    return block;
}

/* Whole units, zeros behind the last octet. */
static void draft_end(struct image_draft *draft)
{
    size_t len = (draft->len + IMAGE_UNIT_LEN - 1) / IMAGE_UNIT_LEN * IMAGE_UNIT_LEN;
    memset(draft->octets + draft->len, 0, len - draft->len);
    draft->len = len;
}

static struct found found_of(const struct image_source *source, enum find_outcome outcome,
                             const struct node *node)
{
    struct found found = {.outcome = outcome, .zone = *source->zone};
    if (node != NULL)
        found.node = *node;
    found.key.label_count = found.node_depth = found.encloser_depth = source->label_count;
    return found;
}

void image_block_apex(const struct image_source *source, bool has_wildcard,
                      struct image_draft *draft)
{
    struct image_block *block = draft_begin(draft, IMAGE_APEX, 0, source);
    const struct found found = found_of(source, FIND_NO_NODE, NULL);
    struct rendered rendered;
    block->flags = has_wildcard ? IMAGE_HAS_WILDCARD : 0;
    if (render_for_all(source, &found, false, &rendered) &&
        children_add(source, &rendered.response, block->children)) {
        bodies_put(draft, &rendered.response, NULL, block->body);
        if (source->zone->signing == ZONEDB_UNSIGNED)
            block->body[1] = block->body[0]; /* else it takes a proof that depends on the name */
    }
    draft_end(draft);
}

void image_block_cut(const struct image_source *source, const struct node *node,
                     struct image_draft *draft)
{
    struct image_block *block = draft_begin(draft, IMAGE_CUT, 0, source);
    const struct found found = found_of(source, FIND_DELEGATION, node);
    struct rendered plain, more;
    uint8_t children[IMAGE_CHILDREN_MAX];
    if (!render_for_all(source, &found, false, &plain) ||
        !children_add(source, &plain.response, block->children)) {
        draft->len = 0;
        return;
    }
    memcpy(children, block->children, sizeof children);
    bool has_more = source->zone->signing != ZONEDB_UNSIGNED &&
                    render_for_all(source, &found, true, &more) &&
                    children_add(source, &more.response, children);
    if (bodies_put(draft, &plain.response, has_more ? &more.response : NULL, block->body))
        memcpy(block->children, children, sizeof children);
    if (source->zone->signing == ZONEDB_UNSIGNED)
        block->body[1] = block->body[0];
    if (block->body[0].len > 0)
        draft_end(draft);
    else
        draft->len = 0;
}

void image_block_climb(const struct image_source *source, struct image_draft *draft)
{
    draft_begin(draft, IMAGE_CUT, 0, source);
    draft_end(draft);
}

static void rrset_put(const struct image_source *source, const struct found *found, uint16_t type,
                      struct image_draft *draft)
{
    struct image_block *block = draft_begin(draft, IMAGE_RRSET, type, source);
    struct rendered plain, more;
    if (render_for_one(source, found, type, false, &plain)) {
        bool has_more = source->zone->signing != ZONEDB_UNSIGNED &&
                        render_for_one(source, found, type, true, &more);
        bodies_put(draft, &plain.response, has_more ? &more.response : NULL, block->body);
        if (source->zone->signing == ZONEDB_UNSIGNED)
            block->body[1] = block->body[0];
    }
    draft_end(draft);
}

void image_block_rrset(const struct image_source *source, const struct node *node, uint16_t type,
                       struct image_draft *draft)
{
    const struct found found =
        found_of(source, node->place == NODE_CUT ? FIND_DELEGATION : FIND_NODE, node);
    rrset_put(source, &found, type, draft);
}

void image_block_alias(const struct image_source *source, uint16_t type, struct image_draft *draft)
{
    rrset_put(source, NULL, type, draft);
}

void image_block_types(const struct image_source *source, const uint16_t *types, unsigned count,
                       bool has_alias, struct image_draft *draft)
{
    struct image_block *block = draft_begin(draft, IMAGE_RRSET, 0, source);
    assert(count <= IMAGE_TYPES_MAX);
    block->flags = has_alias ? IMAGE_HAS_ALIAS : 0;
    draft->len += draft->len % 2;
    block->body[0].pointers_at = (uint16_t)draft->len;
    block->body[0].pointer_count = (uint8_t)count;
    memcpy(draft->octets + draft->len, types, count * sizeof *types);
    draft->len += count * sizeof *types;
    draft_end(draft);
}

size_t image_block_len(const struct image_block *block)
{
    size_t end = sizeof *block + block->name_len;
    for (unsigned i = 0; i < 2; i++) {
        const struct image_body *body = &block->body[i];
        size_t body_end = (size_t)body->at + body->len;
        if (body->len == 0)
            body_end = body->pointers_at + (size_t)2 * body->pointer_count;
        if (body_end > end)
            end = body_end;
    }
    return (end + IMAGE_UNIT_LEN - 1) / IMAGE_UNIT_LEN * IMAGE_UNIT_LEN;
}
