/* SPDX-License-Identifier: BSD-2-Clause
 *
 * template_zones DB: the answers with templates are those without, octet for octet, to all questions
 * of zone_questions.h.
 */
#include "template_check.h"
#include "zone_questions.h"

static struct zonedb_view *asked; /* the walk has a view of its own: it moves cursors */

static bool answer_is_right(const struct respond_client *client, const uint8_t *request,
                            size_t request_len)
{
    struct respond_policy policy = respond_policy_default();
    policy.nsid = (const uint8_t *)"templates";
    policy.nsid_len = 9;
    policy.is_any_full = roll(2) == 0;
    policy.udp_payload = roll(3) == 0 ? 4096 : 1232;
    return templates_agree(asked, &policy, client, request, request_len, RESPOND_MESSAGE_MAX);
}

int main(int argc, char **argv)
{
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_view *view;
    struct zonedb_zone zone;
    if (argc != 2 || zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "usage: template_zones DB; or it cannot be opened\n");
        return 2;
    }
    MUST(zonedb_view_open(db, &view) == 0 && zonedb_view_open(db, &asked) == 0);
    const uint8_t *after = NULL;
    uint8_t apex[NAME_MAX_LEN];
    while (zonedb_zone_next(view, after, &zone) == 0) {
        memcpy(apex, zone.apex, zone.apex_len);
        after = apex;
        uint64_t head = asked->templates->head;
        unsigned long count = zone_questions(view, apex);
        char text[NAME_TEXT_MAX];
        printf("%s: %lu questions, %lu octets of templates\n", name_to_text(apex, text), count,
               8 * (unsigned long)(asked->templates->head - head));
        MUST(asked->templates->head > head);
    }
    printf("%lu questions, %lu differences\n", questions, differences);
    zonedb_view_close(asked);
    zonedb_view_close(view);
    zonedb_close(db);
    return differences > 0 || questions == 0;
}
