/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/goaway/tell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *protocol_name(uint8_t protocol)
{
    return protocol == 6 ? "TCP" : "UDP";
}

static const char *address_text(const struct packet_address *address, char *text)
{
    return inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->octets, text,
                     INET6_ADDRSTRLEN);
}

/* A number of seconds since 1970, as other logs have it. */
static double clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void tell_json(const struct agent_news *news)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    const struct goaway_packet *packet = news->packet;
    printf("{\"event\": \"%s\", \"time\": %.3f", agent_event_name(news->event), clock_s());
    if (packet != NULL)
        printf(", \"source\": \"%s\", \"destination\": \"%s\", \"protocol\": \"%s\", "
               "\"source_port\": %u, \"destination_port\": %u",
               address_text(&packet->ends.source, source),
               address_text(&packet->ends.destination, destination),
               protocol_name(packet->protocol), packet->source_port, packet->destination_port);
    if (news->event == AGENT_BLOCKED || news->event == AGENT_ENDED)
        printf(", \"code\": \"%s\", \"seconds\": %u", agent_code_name(news->code), news->seconds);
    if (news->event == AGENT_FAILED)
        printf(", \"reason\": \"%s\"", strerror(news->problem));
    puts("}");
    fflush(stdout);
}

void tell_block_words(enum goaway_code code, const struct goaway_packet *packet, bool has_source,
                      char words_out[TELL_WORDS_MAX])
{
    char address[INET6_ADDRSTRLEN], from[INET6_ADDRSTRLEN + sizeof(" from ")] = "", port[16] = "";
    const char *what = code == GOAWAY_HOST ? "everything" : protocol_name(packet->protocol);
    if (has_source || code == GOAWAY_SOURCE)
        snprintf(from, sizeof(from), " from %s", address_text(&packet->ends.source, address));
    if (code == GOAWAY_PORT || code == GOAWAY_SOURCE)
        snprintf(port, sizeof(port), " port %u", packet->destination_port);
    snprintf(words_out, TELL_WORDS_MAX, "%s%s to %s%s", what, from,
             address_text(&packet->ends.destination, address), port);
}

static const char *event_words(enum agent_event event)
{
    switch (event) {
    case AGENT_ASKED:
        return "GoAway: asking whether it is so";
    case AGENT_DECLINED:
        return "no block: the target knows of no GoAway";
    case AGENT_FAILED:
        return "failed";
    case AGENT_SILENT:
        return "no Block Reply came";
    case AGENT_UNSOUND:
        return "ignored: malformed";
    case AGENT_UNKNOWN:
        return "ignored: GoAway about nothing sent lately";
    case AGENT_ANSWERED:
        return "ignored: the target had answered";
    case AGENT_REPEATED:
        return "ignored: GoAway about what was asked about already";
    case AGENT_COVERED:
        return "ignored: that is blocked already";
    case AGENT_BUSY:
        return "ignored: too many at a time";
    case AGENT_UNASKED:
        return "ignored: Block Reply that nobody waits for";
    case AGENT_BLOCKED:
    case AGENT_ENDED:
    case AGENT_EVENT_COUNT:
        break;
    }
    return "";
}

static void tell_people(const struct tell *tell, const struct agent_news *news)
{
    char words[TELL_WORDS_MAX], source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    const struct goaway_packet *packet = news->packet;
    if (news->event == AGENT_BLOCKED || news->event == AGENT_ENDED) {
        tell_block_words(news->code, packet, tell->is_edge, words);
        if (news->event == AGENT_BLOCKED)
            tell_line("%s %s for %u s", tell->is_dry ? "would block" : "blocked", words,
                      news->seconds);
        else
            tell_line("block is over: %s", words);
        return;
    }
    const char *between = news->event == AGENT_FAILED ? ": " : "";
    const char *reason = news->event != AGENT_FAILED ? ""
                         : news->problem == EINVAL && !tell->is_edge
                             ? "the source is no address of this host; on a router say --edge"
                             : strerror(news->problem);
    if (packet == NULL)
        tell_line("%s%s%s", event_words(news->event), between, reason);
    else
        tell_line("%s%s%s (%s %s port %u to %s port %u)", event_words(news->event), between, reason,
                  protocol_name(packet->protocol), address_text(&packet->ends.source, source),
                  packet->source_port, address_text(&packet->ends.destination, destination),
                  packet->destination_port);
}

void tell_news(struct tell *tell, uint64_t now_ms, const struct agent_news *news)
{
    if (news->event >= AGENT_UNSOUND) {
        if (tell->second != now_ms / 1000) {
            tell->second = now_ms / 1000;
            tell->ignored = 0;
        }
        if (++tell->ignored > TELL_IGNORED_MAX) {
            tell->unsaid++;
            return;
        }
    }
    if (tell->unsaid != 0 && !tell->is_json)
        tell_line("ignored: %ju more", (uintmax_t)tell->unsaid);
    tell->unsaid = 0;
    if (tell->is_json)
        tell_json(news);
    else
        tell_people(tell, news);
}

void tell_line(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    fprintf(stderr, "lethe-goaway: %s\n", line);
}

void tell_sums(const struct tell *tell, const struct agent *agent, unsigned lost)
{
    if (!tell->is_json) {
        uint64_t ignored = 0;
        for (unsigned i = AGENT_UNSOUND; i < AGENT_EVENT_COUNT; i++)
            ignored += agent->counts[i];
        tell_line("%ju asked, %ju blocked, %ju declined, %ju ignored, %u packets not seen",
                  (uintmax_t)agent->counts[AGENT_ASKED], (uintmax_t)agent->counts[AGENT_BLOCKED],
                  (uintmax_t)agent->counts[AGENT_DECLINED], (uintmax_t)ignored, lost);
        return;
    }
    printf("{\"event\": \"end\", \"time\": %.3f", clock_s());
    for (unsigned i = 0; i < AGENT_EVENT_COUNT; i++)
        printf(", \"%s\": %ju", agent_event_name((enum agent_event)i), (uintmax_t)agent->counts[i]);
    printf(", \"lost\": %u}\n", lost);
    fflush(stdout);
}
