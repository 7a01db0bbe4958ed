/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_zones DB PERCENT: what images of the database answer is what respond() answers, octet for
 * octet, to all questions of zone_questions.h; and they answer so many percent of them at least.
 */
#include "template_check.h"
#include "zone_questions.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"

#include <stdlib.h>

#define MEMORY_LEN ((size_t)64 << 20)

static struct zonedb_view *asked; /* the walk has a view of its own: it moves cursors */
static const uint16_t payloads_of_images[] = {4096, 1232};
static struct image *images[2];
static struct image_memory memories[2];
static unsigned long answered;

static struct respond_policy policy_of(unsigned which)
{
    struct respond_policy policy = respond_policy_default();
    policy.udp_payload = payloads_of_images[which];
    policy.is_minimal = which == 1;
    return policy;
}

static bool answer_is_right(const struct respond_client *client, const uint8_t *request,
                            size_t request_len)
{
    static uint8_t plain[RESPOND_MESSAGE_MAX], response[RESPOND_MESSAGE_MAX];
    unsigned which = roll(2);
    size_t cap = client->transport == RESPOND_TCP && roll(4) == 0 ? 512 : RESPOND_MESSAGE_MAX;
    struct respond_policy policy = policy_of(which);
    policy.is_any_full = roll(2) == 0;
    size_t len =
        image_respond(memories[which].octets, memories[which].len, client->transport == RESPOND_TCP,
                      request, request_len, response, cap);
    answered += len > 0;
    return len == 0 ||
           (respond_plainly(asked, &policy, client, request, request_len, plain, cap) == len &&
            memcmp(plain, response, len) == 0);
}

static void images_make(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct respond_policy policy = policy_of(i);
        memories[i].len = MEMORY_LEN;
        memories[i].octets = aligned_alloc(4096, MEMORY_LEN);
        MUST(memories[i].octets != NULL && image_can(&policy));
        memset(memories[i].octets, 0xa5, MEMORY_LEN);
        MUST(image_open(&policy, &images[i]) == 0);
        MUST(image_build(images[i], memories[i], asked) == 0);
        MUST(image_version(memories[i].octets) == zonedb_view_version(asked));
    }
}

int main(int argc, char **argv)
{
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_view *view;
    struct zonedb_zone zone;
    if (argc != 3 || zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "usage: image_zones DB PERCENT; or it cannot be opened\n");
        return 2;
    }
    MUST(zonedb_view_open(db, &view) == 0 && zonedb_view_open(db, &asked) == 0);
    images_make();
    const uint8_t *after = NULL;
    uint8_t apex[NAME_MAX_LEN];
    while (zonedb_zone_next(view, after, &zone) == 0) {
        memcpy(apex, zone.apex, zone.apex_len);
        after = apex;
        unsigned long before = answered, count = zone_questions(view, apex);
        char text[NAME_TEXT_MAX];
        printf("%s: %lu questions, %lu answered\n", name_to_text(apex, text), count,
               answered - before);
    }
    printf("%lu questions, %lu answered, %lu differences, %zu octets\n", questions, answered,
           differences, image_used(images[0]));
    for (unsigned i = 0; i < 2; i++) {
        image_close(images[i]);
        MUST(image_version(memories[i].octets) == 0);
        free(memories[i].octets);
    }
    zonedb_view_close(asked);
    zonedb_view_close(view);
    zonedb_close(db);
    return differences > 0 || 100 * answered < questions * strtoul(argv[2], NULL, 10);
}
