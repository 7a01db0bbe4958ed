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

/* Returns false if it does not serve all questions. */
static bool render(const struct image_source *source, const struct found *found, bool is_do,
                   struct rendered *out)
{
    const uint8_t *added[ADDED_MAX];
    const struct query query = {
        .has_question = true,
        .qname = source->name,
        .qname_len = source->name_len,
        .qtype = RR_A,
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
    answer_as_found(&answer, found);
    return !answer.is_corrupt && answer.ede == 0 && r->needed == SIZE_MAX &&
           r->pointer_count <= IMAGE_POINTERS_MAX && r->suffix_count < SUFFIXES_MAX &&
           r->len > r->question_end && r->count[0] < 256 && r->count[1] < 256 && r->count[2] < 256;
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

static bool bodies_equal(const struct response *a, const struct response *b)
{
    size_t len = a->len - a->question_end;
    return b->len - b->question_end == len && a->flags == b->flags && a->rcode == b->rcode &&
           memcmp(a->count, b->count, sizeof a->count) == 0 &&
           memcmp(a->octets + a->question_end, b->octets + b->question_end, len) == 0;
}

/* Append a body and its pointers. Returns false if they do not fit. */
static bool body_put(struct image_draft *draft, const struct response *r, struct image_body *out)
{
    size_t len = r->len - r->question_end;
    draft->len += draft->len % 2;
    if (IMAGE_PAGE_LEN - draft->len < len + 2 * r->pointer_count)
        return false;
    out->pointers_at = (uint16_t)draft->len;
    out->pointer_count = (uint8_t)r->pointer_count;
    for (unsigned i = 0; i < r->pointer_count; i++) {
        uint16_t at = (uint16_t)(r->pointer_at[i] - r->question_end);
        memcpy(draft->octets + draft->len, &at, sizeof at);
        draft->len += sizeof at;
        out->pointer_odd_count = (uint8_t)(out->pointer_odd_count + at % 2);
    }
    out->at = (uint16_t)draft->len;
    out->len = (uint16_t)len;
    out->flags = (uint16_t)((r->flags & FLAG_AA) | r->rcode);
    for (unsigned i = 0; i < 3; i++)
        out->count[i] = (uint8_t)r->count[i];
    memcpy(draft->octets + draft->len, r->octets + r->question_end, len);
    out->sum = body_sum(draft->octets + draft->len, len);
    draft->len += len;
    return true;
}

static struct image_block *draft_begin(struct image_draft *draft, enum image_kind kind,
                                       const struct image_source *source)
{
    struct image_block *block = (struct image_block *)(void *)draft->octets;
    *block = (struct image_block){
        .kind = (uint8_t)kind,
        .name_len = source->name_len,
        .label_count = source->label_count,
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

void image_block_apex(const struct image_source *source, bool has_negative,
                      struct image_draft *draft)
{
    struct image_block *block = draft_begin(draft, IMAGE_APEX, source);
    struct found found;
    struct rendered rendered;
    found.outcome = FIND_NO_NODE;
    found.zone = *source->zone;
    found.key.label_count = found.node_depth = found.encloser_depth = source->label_count;
    found.is_empty_non_terminal = false;
    if (has_negative && render(source, &found, false, &rendered) &&
        children_add(source, &rendered.response, block->children) &&
        body_put(draft, &rendered.response, &block->body[0]) &&
        source->zone->signing == ZONEDB_UNSIGNED)
        block->body[1] = block->body[0]; /* else it takes a proof that depends on the name */
    draft_end(draft);
}

void image_block_cut(const struct image_source *source, const struct node *node,
                     struct image_draft *draft)
{
    struct image_block *block = draft_begin(draft, IMAGE_CUT, source);
    struct found found;
    struct rendered plain, signed_;
    found.outcome = FIND_DELEGATION;
    found.zone = *source->zone;
    found.node = *node;
    found.key.label_count = found.node_depth = source->label_count;
    found.is_empty_non_terminal = false;
    if (!render(source, &found, false, &plain) ||
        !children_add(source, &plain.response, block->children) ||
        !body_put(draft, &plain.response, &block->body[0])) {
        draft->len = 0;
        return;
    }
    if (source->zone->signing == ZONEDB_UNSIGNED) {
        block->body[1] = block->body[0];
    } else if (render(source, &found, true, &signed_)) {
        uint8_t children[IMAGE_CHILDREN_MAX];
        memcpy(children, block->children, sizeof children);
        if (bodies_equal(&plain.response, &signed_.response))
            block->body[1] = block->body[0];
        else if (children_add(source, &signed_.response, children) &&
                 body_put(draft, &signed_.response, &block->body[1]))
            memcpy(block->children, children, sizeof children);
    }
    draft_end(draft);
}

void image_block_climb(const struct image_source *source, struct image_draft *draft)
{
    draft_begin(draft, IMAGE_CUT, source);
    draft_end(draft);
}

size_t image_block_len(const struct image_block *block)
{
    size_t end = sizeof *block + block->name_len;
    for (unsigned i = 0; i < 2; i++)
        if (block->body[i].len > 0 && (size_t)block->body[i].at + block->body[i].len > end)
            end = (size_t)block->body[i].at + block->body[i].len;
    return (end + IMAGE_UNIT_LEN - 1) / IMAGE_UNIT_LEN * IMAGE_UNIT_LEN;
}
