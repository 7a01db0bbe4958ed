/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe kiting - does a cache still believe in servers that the parent does not name any more?
 */
#include "server/address.h"
#include "tools/audit/ask.h"
#include "tools/lethe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 3
#define TIMEOUT_MAX_S 60
#define TRIES 2

enum kite {
    KITE_NONE,    /* the cache has what the parent says */
    KITE_EMPTY,   /* the cache has nothing */
    KITE_MORE,    /* servers of the parent, and others that the zone may name itself */
    KITE_GHOST,   /* none of the servers is the parent's */
    KITE_UNKNOWN, /* one of the two did not tell */
};

struct finding {
    enum kite kite;
    struct audit_cached cached;
    struct audit_answer parent;
    char why[AUDIT_WHY_MAX];
};

static const char *kite_name(enum kite kite)
{
    switch (kite) {
    case KITE_NONE:
        return "good";
    case KITE_EMPTY:
        return "empty";
    case KITE_MORE:
        return "more";
    case KITE_GHOST:
        return "ghost";
    case KITE_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}

static bool has_name(const struct audit_names *names, const uint8_t *name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (name_equal(names->of[i], name))
            return true;
    return false;
}

static enum kite compare(const struct finding *finding)
{
    unsigned shared = 0;

    if (finding->parent.verdict != AUDIT_VERDICT_FOUND)
        return KITE_UNKNOWN;
    if (finding->cached.servers.count == 0)
        return KITE_EMPTY;
    for (unsigned i = 0; i < finding->cached.servers.count; i++)
        shared += has_name(&finding->parent.servers, finding->cached.servers.of[i]);
    return shared == 0                              ? KITE_GHOST
           : shared < finding->cached.servers.count ? KITE_MORE
                                                    : KITE_NONE;
}

static void look(struct audit_asker *asker, unsigned timeout_s, const uint8_t *apex,
                 const struct sockaddr_storage *cache, const struct audit_servers *parents,
                 struct finding *finding)
{
    struct audit_zone zone = {.servers = {.rr_count = 0}};

    name_copy_lower(zone.apex, apex);
    *finding = (struct finding){.kite = KITE_UNKNOWN};
    if (!audit_ask_cache(apex, cache, timeout_s, TRIES, &finding->cached, finding->why))
        return;
    audit_ask(asker, &zone, parents, &finding->parent);
    finding->kite = compare(finding);
    if (finding->parent.verdict != AUDIT_VERDICT_FOUND)
        snprintf(finding->why, sizeof(finding->why), "%s", finding->parent.why);
}

/* ---- telling ---- */

static void print_names(const struct audit_names *names)
{
    char text[NAME_TEXT_MAX];

    for (unsigned i = 0; i < names->count; i++)
        printf(" %s", name_to_text(names->of[i], text));
    if (names->count == 0)
        fputs(" nobody", stdout);
}

static void print_names_json(const struct audit_names *names)
{
    char text[NAME_TEXT_MAX];

    fputs("[", stdout);
    for (unsigned i = 0; i < names->count; i++) {
        fputs(i > 0 ? ", " : "", stdout);
        lethe_json_string(stdout, name_to_text(names->of[i], text));
    }
    fputs("]", stdout);
}

static void tell_json(const char *zone, const struct finding *finding, bool is_first)
{
    printf("%s{\"zone\": ", is_first ? "[" : ",\n ");
    lethe_json_string(stdout, zone);
    printf(", \"verdict\": \"%s\", \"cache\": ", kite_name(finding->kite));
    print_names_json(&finding->cached.servers);
    printf(", \"cache_ttl\": %" PRIu32 ", \"cache_asked_others\": %s, \"parent\": ",
           finding->cached.ttl, finding->cached.has_asked_others ? "true" : "false");
    print_names_json(&finding->parent.servers);
    printf(", \"parent_ttl\": %" PRIu32 ", \"why\": ", finding->parent.ttl);
    lethe_json_string(stdout, finding->kite == KITE_UNKNOWN ? finding->why : "");
    printf("}");
}

static void tell(const char *zone, const struct finding *finding)
{
    printf("%s: %s", zone, kite_name(finding->kite));
    if (finding->kite == KITE_UNKNOWN) {
        printf(": %s\n", finding->why);
        return;
    }
    if (finding->cached.servers.count > 0) {
        printf(": the cache has, for %" PRIu32 " s more,", finding->cached.ttl);
        print_names(&finding->cached.servers);
    } else {
        fputs(": the cache has nothing", stdout);
    }
    fputs("; the parent delegates to", stdout);
    print_names(&finding->parent.servers);
    if (finding->parent.servers.count > 0)
        printf(" for %" PRIu32 " s", finding->parent.ttl);
    if (finding->cached.servers.count > 0 && finding->parent.servers.count > 0 &&
        finding->cached.ttl > finding->parent.ttl)
        fputs(": the cache keeps it longer than the parent says", stdout);
    fputs("\n", stdout);
}

/* ---- the command ---- */

static int read_parents(const struct lethe_arguments *arguments, struct audit_servers *parents)
{
    char error[AUDIT_WHY_MAX];

    for (int i = 0; i < arguments->parent_count; i++)
        if (!address_parse(arguments->parents[i], &parents->of[parents->count++]))
            return lethe_usage("--parent %s: not ADDRESS or ADDRESS@PORT", arguments->parents[i]);
    if (parents->count == 0 && arguments->hints != NULL &&
        audit_hints(arguments->hints, parents, error) != 0)
        return lethe_fail("%s", error);
    if (parents->count == 0)
        return lethe_usage("kiting wants --parent ADDRESS or --hints FILE");
    return EXIT_OK;
}

/* Seconds for each try; 0: told. */
static unsigned read_timeout(const struct lethe_arguments *arguments)
{
    const char *text = arguments->timeout;

    if (text == NULL)
        return TIMEOUT_S;
    const size_t digits = strspn(text, "0123456789");
    const unsigned long seconds = digits > 0 && digits <= 2 ? strtoul(text, NULL, 10) : 0;
    if (text[digits] == '\0' && seconds > 0 && seconds <= TIMEOUT_MAX_S)
        return (unsigned)seconds;
    lethe_usage("--timeout %s: 1 to %d seconds", text, TIMEOUT_MAX_S);
    return 0;
}

static int look_at_all(const struct lethe_arguments *arguments,
                       const struct sockaddr_storage *cache, const struct audit_servers *parents,
                       unsigned timeout_s, struct audit_asker *asker, struct finding *finding)
{
    bool has_ghost = false;

    for (int i = 0; i < arguments->word_count; i++) {
        uint8_t apex[NAME_MAX_LEN];
        char text[NAME_TEXT_MAX];
        if (!lethe_name(arguments->words[i], apex))
            return EXIT_USAGE;
        look(asker, timeout_s, apex, cache, parents, finding);
        has_ghost |= finding->kite == KITE_GHOST;
        if (arguments->is_json)
            tell_json(name_to_text(apex, text), finding, i == 0);
        else if (!arguments->is_quiet || finding->kite == KITE_GHOST)
            tell(name_to_text(apex, text), finding);
    }
    if (arguments->is_json)
        fputs("]\n", stdout);
    return lethe_finish_output(has_ghost ? EXIT_REFUSED : EXIT_OK);
}

int lethe_kiting(const struct lethe_arguments *arguments)
{
    struct sockaddr_storage cache;
    struct audit_servers parents = {.count = 0};

    if (arguments->cache == NULL || !address_parse(arguments->cache, &cache))
        return lethe_usage("kiting wants --cache ADDRESS[@PORT]");
    const int exit_code = read_parents(arguments, &parents);
    if (exit_code != EXIT_OK)
        return exit_code;
    const unsigned timeout_s = read_timeout(arguments);
    if (timeout_s == 0)
        return EXIT_USAGE;
    struct audit_asker *asker = audit_asker_new(timeout_s, TRIES);
    struct finding *finding = malloc(sizeof(*finding));
    const int outcome = asker == NULL || finding == NULL
                            ? lethe_fail("out of memory")
                            : look_at_all(arguments, &cache, &parents, timeout_s, asker, finding);
    audit_asker_free(asker);
    free(finding);
    return outcome;
}
