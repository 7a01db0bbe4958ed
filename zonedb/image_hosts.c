/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Whose referrals, or other answers, have the addresses of a host: of a hoster's, many delegations do. A filter tells
 * for nearly all other names at once that none has; else the notes are looked through one by one,
 * which for a million delegations takes some milliseconds. A note is the host's fingerprint and the
 * place of the block, as in a directory entry. Notes of blocks that were replaced stay until there
 * are too many: that they are out of date is seen by the directory.
 */
#include "zonedb/image_room.h"

#include <errno.h>
#include <stdlib.h>

#define HOST_BITS_MIN ((uint64_t)1 << 16)
#define NOTES_MIN ((size_t)1 << 12)

static uint64_t host_hash(const uint8_t *host)
{
    uint8_t lower[NAME_MAX_LEN];
    size_t len = name_copy_lower(lower, host);
    return image_name_hash(IMAGE_CUT, lower, len);
}

int image_hosts_begin(struct image *image, uint64_t name_count)
{
    struct image_hosts *hosts = &image->hosts;
    uint64_t bits = HOST_BITS_MIN;
    while (bits < 4 * name_count)
        bits *= 2;
    free(hosts->filter);
    hosts->filter = calloc(bits / 64, sizeof *hosts->filter);
    hosts->filter_mask = bits - 1;
    hosts->note_count = 0;
    hosts->clean_at = 0;
    hosts->has_lost = false;
    return hosts->filter != NULL ? 0 : -ENOMEM;
}

void image_hosts_end(struct image *image)
{
    free(image->hosts.filter);
    free(image->hosts.notes);
}

/* The block at a noted place, if it is still that of its name. */
static const struct image_block *block_of_note(struct image *image, uint64_t note)
{
    uint64_t place = note & IMAGE_PLACE_MASK;
    const struct image_block *block = image_block_of(image, place);
    size_t room = IMAGE_PAGE_LEN - place * IMAGE_UNIT_LEN % IMAGE_PAGE_LEN;
    if ((block->kind != IMAGE_CUT && block->kind != IMAGE_RRSET) ||
        sizeof *block + block->name_len > room)
        return NULL;
    const uint64_t *entry = image_entry_find(image, image_what(block->kind, block->type),
                                             (const uint8_t *)(block + 1), block->name_len);
    return entry != NULL && (*entry & IMAGE_PLACE_MASK) == place ? block : NULL;
}

void image_hosts_clean(struct image *image)
{
    struct image_hosts *hosts = &image->hosts;
    size_t kept = 0;
    if (hosts->note_count > hosts->clean_at) {
        for (size_t i = 0; i < hosts->note_count; i++)
            if (block_of_note(image, hosts->notes[i]) != NULL)
                hosts->notes[kept++] = hosts->notes[i];
        hosts->note_count = kept;
        hosts->clean_at = 0;
    }
    if (hosts->clean_at == 0)
        hosts->clean_at = 2 * hosts->note_count + NOTES_MIN;
}

static bool note_add(struct image_hosts *hosts, uint64_t note)
{
    if (hosts->note_count == hosts->note_cap) {
        size_t wanted = hosts->note_cap == 0 ? NOTES_MIN : 2 * hosts->note_cap;
        void *grown = reallocarray(hosts->notes, wanted, sizeof *hosts->notes);
        if (grown == NULL)
            return false;
        hosts->notes = grown;
        hosts->note_cap = wanted;
    }
    hosts->notes[hosts->note_count++] = note;
    return true;
}

static void host_note(struct image_hosts *hosts, const uint8_t *host, uint64_t place)
{
    uint64_t hash = host_hash(host), bit = hash & hosts->filter_mask;
    hosts->filter[bit / 64] |= UINT64_C(1) << bit % 64;
    if (!note_add(hosts, image_fingerprint(hash) << IMAGE_FINGERPRINT_SHIFT | place))
        hosts->has_lost = true;
}

void image_hosts_note(struct image *image, const struct image_apex *apex, const uint8_t *cut,
                      size_t cut_len, const struct node *node, uint64_t place)
{
    struct zonedb_rrset ns;
    const uint8_t *rdata;
    uint16_t rdata_len;
    if (rrsets_find(node->rrsets, RR_NS, &ns, NULL) != 1)
        return;
    for (struct rdata_cursor cursor = rdata_begin(&ns);
         rdata_next(&cursor, &rdata, &rdata_len) == 1;) {
        size_t len = name_len(rdata, rdata_len);
        if (len != 0 && name_ends_in(rdata, len, apex->name, apex->len) &&
            !name_ends_in(rdata, len, cut, cut_len))
            host_note(&image->hosts, rdata, place);
    }
}

void image_hosts_note_rrset(struct image *image, const struct image_apex *apex, const uint8_t *name,
                            size_t len, const struct zonedb_rrset *rrset, uint64_t place)
{
    const struct rdata_shape shape = rdata_shape(rrset->type);
    const uint8_t *rdata;
    uint16_t rdata_len;
    if (shape.name_count != 1)
        return;
    for (struct rdata_cursor cursor = rdata_begin(rrset);
         rdata_next(&cursor, &rdata, &rdata_len) == 1;) {
        const uint8_t *host = rdata + shape.prefix_len;
        size_t host_len =
            rdata_len > shape.prefix_len ? name_len(host, (size_t)rdata_len - shape.prefix_len) : 0;
        if (host_len != 0 && name_ends_in(host, host_len, apex->name, apex->len) &&
            !(host_len == len && name_equal(host, name)))
            host_note(&image->hosts, host, place);
    }
}

bool image_hosts_may_have(const struct image *image, const uint8_t *host)
{
    uint64_t bit = host_hash(host) & image->hosts.filter_mask;
    return (image->hosts.filter[bit / 64] >> bit % 64 & 1) != 0;
}

int image_hosts_visit(struct image *image, const uint8_t *host, image_host_visit *visit,
                      void *context)
{
    struct image_hosts *hosts = &image->hosts;
    uint64_t fingerprint = image_fingerprint(host_hash(host));
    if (hosts->has_lost)
        return -ENOMEM;
    /* Those that come by visiting are of blocks that are up to date. */
    for (size_t i = 0, count = hosts->note_count; i < count; i++) {
        if (hosts->notes[i] >> IMAGE_FINGERPRINT_SHIFT != fingerprint)
            continue;
        const struct image_block *block = block_of_note(image, hosts->notes[i]);
        int stop = block != NULL ? visit(context, block) : 0;
        if (stop != 0)
            return stop;
    }
    return 0;
}
