/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/goaway/list.h"

#include "tools/goaway/agent.h"
#include "tools/goaway/table.h"
#include "tools/goaway/tell.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PARTS_MAX = 4 };

/* "1d2h3m4s567ms" */
static unsigned read_seconds(const char *text)
{
    static const struct {
        const char *unit;
        unsigned long seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {"ms", 0}};
    unsigned long seconds = 0;
    char *end = NULL;
    for (const char *at = text; *at >= '0' && *at <= '9'; at = end + strcspn(end, "0123456789")) {
        unsigned long number = strtoul(at, &end, 10);
        size_t len = strcspn(end, "0123456789");
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
            if (len == strlen(units[i].unit) && strncmp(end, units[i].unit, len) == 0 &&
                number <= AGENT_DAMPENING_MAX_S)
                seconds += number * units[i].seconds;
    }
    return (unsigned)seconds;
}

static bool read_address(const char *text, int family, struct packet_address *address_out)
{
    address_out->family = family == AF_INET ? 4 : 6;
    return inet_pton(family, text, address_out->octets) == 1;
}

static bool read_number(const char *text, unsigned long max, unsigned long *number_out)
{
    char *end;
    *number_out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && *number_out <= max;
}

/* The parts of a key, as the set's name says. */
static bool read_key(enum goaway_code code, int family, char *const *parts, unsigned count,
                     struct list_block *block_out)
{
    static const unsigned bases[GOAWAY_CODE_COUNT] = {0, 1, 2, 3, 3};
    unsigned long protocol = 0, port = 0;
    *block_out = (struct list_block){.code = code, .has_source = count == bases[code] + 1};
    struct goaway_packet *packet = &block_out->packet;
    packet->ends.source.family = family == AF_INET ? 4 : 6;
    if (block_out->has_source && !read_address(*parts++, family, &packet->ends.source))
        return false;
    count -= block_out->has_source;
    if (count != bases[code] || !read_address(parts[0], family, &packet->ends.destination) ||
        (count > 1 && !read_number(parts[1], UINT8_MAX, &protocol)) ||
        (count > 2 && !read_number(parts[2], UINT16_MAX, &port)))
        return false;
    packet->protocol = (uint8_t)protocol;
    packet->destination_port = (uint16_t)port;
    return true;
}

/* "port4": which code, which IP version. */
static enum goaway_code read_set(const char *name, int *family_out)
{
    size_t len = strlen(name);
    for (unsigned code = GOAWAY_HOST; code < GOAWAY_CODE_COUNT; code++) {
        const char *word = agent_code_name((enum goaway_code)code);
        if (len != strlen(word) + 1 || strncmp(name, word, len - 1) != 0)
            continue;
        *family_out = name[len - 1] == '4' ? AF_INET : AF_INET6;
        return (enum goaway_code)code;
    }
    return GOAWAY_NO_BLOCK;
}

/* One element: "198.18.0.1 . 17 . 53 timeout 1m expires 58s". */
static void read_element(char *element, enum goaway_code code, int family,
                         void (*take)(void *context, const struct list_block *block), void *context)
{
    char *parts[PARTS_MAX], *rest = NULL;
    unsigned count = 0;
    bool is_key = true, is_over = false;
    struct list_block block = {0};
    const char *expires = NULL;
    for (char *word = strtok_r(element, " \t\n", &rest); word != NULL;
         word = strtok_r(NULL, " \t\n", &rest)) {
        if (expires != NULL && *expires == '\0')
            expires = word;
        else if (strcmp(word, "expires") == 0)
            expires = "";
        is_key = is_key && strcmp(word, "timeout") != 0 && strcmp(word, "expires") != 0;
        is_over |= is_key && count == PARTS_MAX && strcmp(word, ".") != 0;
        if (is_key && count < PARTS_MAX && strcmp(word, ".") != 0)
            parts[count++] = word;
    }
    if (is_over || count == 0 || expires == NULL || !read_key(code, family, parts, count, &block))
        return;
    block.seconds = read_seconds(expires);
    take(context, &block);
}

void list_read(char *text, void (*take)(void *context, const struct list_block *block),
               void *context)
{
    for (char *set = strstr(text, "\tset "); set != NULL; set = strstr(set, "\tset ")) {
        int family = AF_INET;
        set += strlen("\tset ");
        char *end = strstr(set, "\n\t}");
        char *name_end = set + strcspn(set, " \n");
        if (end == NULL || name_end >= end)
            return;
        *name_end = *end = '\0';
        enum goaway_code code = read_set(set, &family);
        char *elements = strstr(name_end + 1, "elements = {"), *rest = NULL;
        set = end + 1;
        if (code == GOAWAY_NO_BLOCK || elements == NULL)
            continue;
        elements += strlen("elements = {");
        elements[strcspn(elements, "}")] = '\0';
        for (char *one = strtok_r(elements, ",", &rest); one != NULL;
             one = strtok_r(NULL, ",", &rest))
            read_element(one, code, family, take, context);
    }
}

/* ---- what is printed ---- */

struct list {
    bool is_json;
    const char *table;
    unsigned count;
};

static const char *address_text(const struct packet_address *address, char *text)
{
    return inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->octets, text,
                     INET6_ADDRSTRLEN);
}

static void print_json(const struct list *list, const struct list_block *block, time_t until)
{
    char text[INET6_ADDRSTRLEN];
    const struct goaway_packet *packet = &block->packet;
    printf("{\"table\": \"%s\", \"code\": \"%s\", \"destination\": \"%s\"", list->table,
           agent_code_name(block->code), address_text(&packet->ends.destination, text));
    if (block->has_source)
        printf(", \"source\": \"%s\"", address_text(&packet->ends.source, text));
    if (block->code != GOAWAY_HOST)
        printf(", \"protocol\": \"%s\"", packet->protocol == 6 ? "TCP" : "UDP");
    if (block->code == GOAWAY_PORT || block->code == GOAWAY_SOURCE)
        printf(", \"destination_port\": %u", packet->destination_port);
    printf(", \"seconds\": %u, \"until\": %jd}\n", block->seconds, (intmax_t)until);
}

static void print_block(void *context, const struct list_block *block)
{
    struct list *list = context;
    char words[TELL_WORDS_MAX], clock[16] = "";
    time_t until = time(NULL) + (time_t)block->seconds;
    struct tm local;
    list->count++;
    if (list->is_json) {
        print_json(list, block, until);
        return;
    }
    if (localtime_r(&until, &local) != NULL)
        strftime(clock, sizeof(clock), "%H:%M:%S", &local);
    tell_block_words(block->code, &block->packet, block->has_source, words);
    printf("until %s, %u s: %s\n", clock, block->seconds, words);
}

static void list_table(void *context, const char *name, char *text)
{
    struct list *list = context;
    list->table = name;
    list_read(text, print_block, list);
}

int list_blocks(bool is_json)
{
    struct list list = {.is_json = is_json};
    struct table_error error;
    int outcome = table_each(list_table, &list, &error);
    if (outcome != 0)
        tell_line("%s", error.text);
    else if (list.count == 0 && !is_json)
        puts("nothing is blocked");
    return outcome;
}
