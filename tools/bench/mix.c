/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/mix.h"

#include "tools/bench/schedule.h"
#include "zonedb/name.h"
#include "zonedb/respond.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_AAAA = 28,
    TYPE_RRSIG = 46,
    TYPE_NSEC = 47,
    TYPE_NSEC3 = 50,
    RCODE_NXDOMAIN = 3,
};

#define TRIES 16     /* to find a name that is not there */
#define TYPES_MAX 16 /* of an owner, that are chosen from */
#define LABEL_RANDOM 12

struct owner {
    uint16_t type;
    uint8_t *name;
};

/* Owners of the zone, a fair sample of no more than owner_cap (reservoir sampling). */
struct mix {
    const uint8_t *apex;
    struct owner *owners;
    uint32_t owner_count, owner_cap;
    uint64_t seen;
    uint64_t random;
    bool is_full;               /* out of memory */
    uint8_t name[NAME_MAX_LEN]; /* the owner that is walked over; name_len 0: none yet */
    size_t name_len;
    uint16_t types[TYPES_MAX];
    unsigned type_count;
    bool is_cut;
};

static uint64_t below(struct mix *mix, uint64_t limit)
{
    return schedule_random(&mix->random) % limit;
}

static void keep(struct mix *mix, struct owner *place)
{
    uint8_t *name = malloc(mix->name_len);
    if (name == NULL) {
        mix->is_full = true;
        return;
    }
    memcpy(name, mix->name, mix->name_len);
    free(place->name);
    place->name = name;
    place->type = mix->is_cut ? (uint16_t)TYPE_A : mix->types[below(mix, mix->type_count)];
}

static void end_owner(struct mix *mix)
{
    if (mix->type_count == 0)
        return;
    uint64_t number = mix->seen++;
    if (number < mix->owner_cap) {
        keep(mix, &mix->owners[mix->owner_count++]);
        return;
    }
    uint64_t place = below(mix, mix->seen);
    if (place < mix->owner_cap)
        keep(mix, &mix->owners[place]);
}

static int visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct mix *mix = context;
    if (mix->name_len == 0 || !name_equal(owner, mix->name)) {
        end_owner(mix);
        mix->name_len = name_copy_lower(mix->name, owner);
        mix->type_count = 0;
        mix->is_cut = false;
    }
    if (rrset->type == TYPE_RRSIG || rrset->type == TYPE_NSEC || rrset->type == TYPE_NSEC3)
        return 0;
    if (rrset->type == TYPE_NS && !name_equal(owner, mix->apex))
        mix->is_cut = true;
    if (mix->type_count < TYPES_MAX)
        mix->types[mix->type_count++] = rrset->type;
    return mix->is_full ? -ENOMEM : 0;
}

/* ---- names that are not there ---- */

static void put_random_label(struct mix *mix, size_t len, uint8_t *at)
{
    static const char letters[36] = "abcdefghijklmnopqrstuvwxyz0123456789";
    *at++ = (uint8_t)len;
    for (size_t i = 0; i < len; i++)
        *at++ = (uint8_t)letters[below(mix, sizeof letters)];
}

/* `rest` below a random label. Returns false: there is no room for one. */
static bool make_random(struct mix *mix, const uint8_t *rest, size_t label_len, uint8_t *out)
{
    size_t rest_len = name_len(rest, NAME_MAX_LEN);
    if (1 + label_len + rest_len > NAME_MAX_LEN)
        return false;
    put_random_label(mix, label_len, out);
    memcpy(out + 1 + label_len, rest, rest_len);
    return true;
}

/* The name with one letter of its first label changed; the apex below a random label. */
static void make_neighbour(struct mix *mix, const uint8_t *name, uint8_t *out)
{
    if (name_equal(name, mix->apex) && make_random(mix, name, LABEL_RANDOM, out))
        return;
    memcpy(out, name, name_len(name, NAME_MAX_LEN));
    if (out[0] > 0)
        out[1 + below(mix, out[0])] = (uint8_t)('a' + below(mix, 26));
}

/* ---- questions ---- */

static uint8_t rcode_of(struct zonedb_view *view, const uint8_t *name, uint16_t type)
{
    const struct respond_policy policy = respond_policy_default();
    const struct respond_client client = {.transport = RESPOND_TCP};
    static _Thread_local uint8_t response[RESPOND_MESSAGE_MAX];
    uint8_t request[QUESTION_MESSAGE_MAX] = {[5] = 1};
    size_t len = name_len(name, NAME_MAX_LEN);
    memcpy(request + QUESTION_HEADER_LEN, name, len);
    uint8_t *at = request + QUESTION_HEADER_LEN + len;
    at[0] = (uint8_t)(type >> 8);
    at[1] = (uint8_t)type;
    at[3] = 1;
    size_t response_len = respond(view, &policy, &client, request, QUESTION_HEADER_LEN + len + 4,
                                  response, sizeof response);
    return response_len >= QUESTION_HEADER_LEN ? response[3] & 0x0f : QUESTION_RCODE_ANY;
}

static int add_existing(struct mix *mix, struct question_pool *pool, struct zonedb_view *view)
{
    const struct owner *owner = &mix->owners[below(mix, mix->owner_count)];
    return question_add(pool, owner->name, owner->type, rcode_of(view, owner->name, owner->type));
}

/* Where a wildcard or a zone cut is above nearly everything there may be no such name: then take
 * what has come out. */
static int add_missing(struct mix *mix, struct question_pool *pool, struct zonedb_view *view,
                       bool is_random)
{
    uint8_t name[NAME_MAX_LEN], rcode = QUESTION_RCODE_ANY;
    uint16_t type = below(mix, 3) == 0 ? TYPE_AAAA : TYPE_A;
    for (unsigned i = 0; i < TRIES && rcode != RCODE_NXDOMAIN; i++) {
        const struct owner *owner = &mix->owners[below(mix, mix->owner_count)];
        if (!is_random || !make_random(mix, mix->apex, LABEL_RANDOM, name))
            make_neighbour(mix, owner->name, name);
        rcode = rcode_of(view, name, type);
    }
    return question_add(pool, name, type, rcode);
}

static int add_all(struct mix *mix, struct question_pool *pool, struct zonedb_view *view,
                   const struct mix_order *order)
{
    unsigned all = order->parts[0] + order->parts[1] + order->parts[2];
    int result = 0;
    for (uint32_t i = 0; i < order->count && result == 0; i++) {
        uint64_t choice = below(mix, all);
        if (choice < order->parts[0])
            result = add_existing(mix, pool, view);
        else
            result = add_missing(mix, pool, view, choice >= order->parts[0] + order->parts[1]);
    }
    return result;
}

int mix_make(struct question_pool *pool, struct zonedb_view *view, const struct mix_order *order)
{
    struct mix mix = {.apex = order->apex, .owner_cap = order->count, .random = order->seed};
    mix.owners = calloc(order->count, sizeof *mix.owners);
    if (mix.owners == NULL)
        return -ENOMEM;
    int result = zonedb_zone_walk(view, order->apex, visit, &mix);
    if (result == 0)
        end_owner(&mix);
    if (result == 0 && (mix.is_full || mix.owner_count == 0))
        result = mix.is_full ? -ENOMEM : -EBADMSG;
    if (result == 0)
        result = add_all(&mix, pool, view, order);
    for (uint32_t i = 0; i < mix.owner_count; i++)
        free(mix.owners[i].name);
    free(mix.owners);
    return result;
}
