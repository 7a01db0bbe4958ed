/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Very many TCP clients that cost next to nothing: no sockets, sixteen octets each.
 *
 * usage: idle_clients INTERFACE SERVER_MAC SERVER PORT FIRST_ADDRESS QUERY RESPONSE [GIVE_UP_MS]
 *
 * Client addresses are FIRST_ADDRESS and those behind it; no kernel may own them. QUERY and
 * RESPONSE are DNS messages in hexadecimal digits; their IDs do not matter. Commands come on
 * standard input, one a line, and each is answered by one:
 *
 *     open N          N more connections            opened N reset N silent N
 *     ask N SEED      ask the query on N of them,   right N wrong N reset N silent N
 *                     chosen at random
 *     close           reset all                     closed N
 *
 * `silent`: given up after 20 seconds, or GIVE_UP_MS, without anything new.
 */
#include "test/fault/segments.h"
#include "test/must.h"

#include <arpa/inet.h>

#define CONNECTIONS_MAX 1000000u
#define ADDRESS_COUNT 100u
#define PORT_FIRST 10000u
#define SEQ_FIRST 1000u
#define PENDING_MAX 200u
#define REPEAT_MS 400u
#define MESSAGE_MAX 1200u

enum state {
    UNUSED,
    SYN_SENT,
    OPEN,
    ASKED,
    RESET, /* or ended by the server */
};

struct connection {
    uint32_t next; /* our next octet */
    uint32_t seen; /* the server's next octet */
    uint32_t echo; /* its timestamp */
    uint8_t state;
};

/* What one command waits for. */
struct pending {
    uint32_t index;
    uint16_t id;
    uint64_t sent_ms;
    size_t got_len;
    uint8_t got[2 + MESSAGE_MAX];
};

static uint64_t give_up_ms = 20000;
static struct segments segments;
static struct connection *connections;
static uint32_t opened_count, address_first;
static struct pending pending[PENDING_MAX];
static uint32_t pending_count;
static uint8_t query[2 + MESSAGE_MAX], response[2 + MESSAGE_MAX];
static size_t query_len, response_len; /* with the two octets of length */
static uint64_t news_ms;               /* when something came last */

static void message_parse(const char *text, uint8_t *message_out, size_t *len_out)
{
    size_t len = strlen(text) / 2;
    MUST(len >= 12 && len <= MESSAGE_MAX);
    message_out[0] = (uint8_t)(len >> 8);
    message_out[1] = (uint8_t)len;
    for (size_t i = 0; i < len; i++) {
        unsigned octet;
        MUST(sscanf(text + 2 * i, "%2x", &octet) == 1);
        message_out[2 + i] = (uint8_t)octet;
    }
    *len_out = 2 + len;
}

static void send_segment(uint32_t index, uint8_t flags, const uint8_t *payload, size_t len)
{
    const struct connection *c = &connections[index];
    const struct packet_segment segment = {.seq = c->next,
                                           .ack = flags & PACKET_ACK ? c->seen : 0,
                                           .window = 64240,
                                           .flags = flags,
                                           .mss = flags & PACKET_SYN ? 1460 : 0,
                                           .has_sack_permitted = (flags & PACKET_SYN) != 0,
                                           .has_timestamps = true,
                                           .timestamp_value = (uint32_t)segments_now_ms(),
                                           .timestamp_echo = c->echo};
    segments_add(&segments, address_first + index % ADDRESS_COUNT,
                 (uint16_t)(PORT_FIRST + index / ADDRESS_COUNT), &segment, payload, len);
}

static void send_query(const struct pending *p)
{
    query[2] = (uint8_t)(p->id >> 8);
    query[3] = (uint8_t)p->id;
    send_segment(p->index, PACKET_PSH | PACKET_ACK, query, query_len);
}

static struct pending *pending_find(uint32_t index)
{
    for (uint32_t i = 0; i < pending_count; i++)
        if (pending[i].index == index)
            return &pending[i];
    return NULL;
}

/* Octets of the server that come next in order. */
static void take_payload(uint32_t index, const struct packet *packet)
{
    struct connection *c = &connections[index];
    struct pending *p = c->state == ASKED ? pending_find(index) : NULL;
    c->seen += packet->payload_len;
    if (packet->has_timestamps)
        c->echo = packet->timestamp_value;
    if (p == NULL)
        return;
    if (packet->payload_len > sizeof p->got - p->got_len) {
        p->got_len = sizeof p->got; /* too long: wrong */
    } else {
        memcpy(p->got + p->got_len, packet->payload, packet->payload_len);
        p->got_len += packet->payload_len;
    }
    if (p->got_len >= 2 && p->got_len >= 2 + ((size_t)p->got[0] << 8 | p->got[1])) {
        c->state = OPEN;
        c->next += (uint32_t)query_len;
    }
}

static void take(const struct packet *packet)
{
    uint32_t client = 0;
    for (int i = 0; i < 4; i++)
        client = client << 8 | packet->destination.octets[i];
    uint32_t column = client - address_first, row = packet->destination_port - PORT_FIRST;
    uint32_t index = row * ADDRESS_COUNT + column;
    if (packet->destination_port < PORT_FIRST || column >= ADDRESS_COUNT || index >= opened_count)
        return;
    struct connection *c = &connections[index];
    if (c->state == RESET)
        return;
    news_ms = segments_now_ms();
    if (packet->flags & PACKET_RST) {
        c->state = RESET;
    } else if ((packet->flags & (PACKET_SYN | PACKET_ACK)) == (PACKET_SYN | PACKET_ACK)) {
        if (c->state == SYN_SENT && packet->ack == SEQ_FIRST + 1) {
            c->state = OPEN;
            c->next = SEQ_FIRST + 1;
            c->seen = packet->seq + 1;
            c->echo = packet->timestamp_value;
        }
        send_segment(index, PACKET_ACK, NULL, 0);
    } else if (c->state != SYN_SENT && packet->payload_len > 0) {
        if (packet->seq == c->seen)
            take_payload(index, packet);
        send_segment(index, PACKET_ACK, NULL, 0);
    }
    if (packet->flags & PACKET_FIN)
        c->state = RESET;
}

/* Send again what is waited for too long; keep only what is waited for. `busy`: the state of that.
 * Calls `done` for what is over. */
static void look_through(enum state busy, void (*done)(const struct pending *))
{
    uint32_t kept = 0;
    uint64_t now = segments_now_ms();
    for (uint32_t i = 0; i < pending_count; i++) {
        struct pending *p = &pending[i];
        if (connections[p->index].state != busy || now - news_ms > give_up_ms) {
            done(p);
            continue;
        }
        if (now - p->sent_ms > REPEAT_MS) {
            p->sent_ms = now;
            if (busy == SYN_SENT)
                send_segment(p->index, PACKET_SYN, NULL, 0);
            else
                send_query(p);
        }
        if (kept != i)
            pending[kept] = *p;
        kept++;
    }
    pending_count = kept;
}

static void turn(enum state busy, void (*done)(const struct pending *))
{
    struct packet packet;
    segments_flush(&segments);
    segments_wait(&segments, 1);
    while (segments_next(&segments, &packet))
        take(&packet);
    look_through(busy, done);
}

static uint32_t good_count, wrong_count, reset_count, silent_count;

static void done_open(const struct pending *p)
{
    good_count += connections[p->index].state == OPEN;
    reset_count += connections[p->index].state == RESET;
    silent_count += connections[p->index].state == SYN_SENT;
}

static void command_open(uint32_t count)
{
    uint32_t target = opened_count + count;
    MUST(target <= CONNECTIONS_MAX && target / ADDRESS_COUNT < 65536 - PORT_FIRST);
    news_ms = segments_now_ms();
    while (opened_count < target || pending_count > 0) {
        while (opened_count < target && pending_count < PENDING_MAX &&
               segments_now_ms() - news_ms <= give_up_ms) {
            uint32_t index = opened_count++;
            connections[index] = (struct connection){.next = SEQ_FIRST, .state = SYN_SENT};
            pending[pending_count++] =
                (struct pending){.index = index, .sent_ms = segments_now_ms()};
            send_segment(index, PACKET_SYN, NULL, 0);
        }
        if (pending_count == 0)
            break;
        turn(SYN_SENT, done_open);
    }
    segments_flush(&segments);
    printf("opened %u reset %u silent %u\n", good_count, reset_count,
           silent_count + target - opened_count);
}

static void done_ask(const struct pending *p)
{
    bool is_right = p->got_len == response_len && p->got[2] == (uint8_t)(p->id >> 8) &&
                    p->got[3] == (uint8_t)p->id &&
                    memcmp(p->got + 4, response + 4, response_len - 4) == 0 &&
                    memcmp(p->got, response, 2) == 0;
    good_count += connections[p->index].state == OPEN && is_right;
    wrong_count += connections[p->index].state == OPEN && !is_right;
    reset_count += connections[p->index].state == RESET;
    silent_count += connections[p->index].state == ASKED;
}

/* Connections that are open, each at most once, in random order. */
static uint32_t *choose(uint32_t *count, unsigned seed)
{
    uint32_t *indices = calloc(opened_count + 1, sizeof *indices), open_count = 0;
    MUST(indices != NULL);
    srandom(seed);
    for (uint32_t i = 0; i < opened_count; i++)
        if (connections[i].state == OPEN)
            indices[open_count++] = i;
    if (*count > open_count)
        *count = open_count;
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t other = i + (uint32_t)random() % (open_count - i), index = indices[i];
        indices[i] = indices[other];
        indices[other] = index;
    }
    return indices;
}

static void command_ask(uint32_t count, unsigned seed)
{
    uint32_t *chosen = choose(&count, seed), next = 0;
    news_ms = segments_now_ms();
    while (next < count || pending_count > 0) {
        while (next < count && pending_count < PENDING_MAX) {
            struct pending *p = &pending[pending_count++];
            *p = (struct pending){.index = chosen[next],
                                  .id = (uint16_t)(random() & 0xffff),
                                  .sent_ms = segments_now_ms()};
            connections[chosen[next++]].state = ASKED;
            send_query(p);
        }
        turn(ASKED, done_ask);
    }
    segments_flush(&segments);
    free(chosen);
    printf("right %u wrong %u reset %u silent %u\n", good_count, wrong_count, reset_count,
           silent_count);
}

static void command_close(void)
{
    uint32_t closed = 0;
    for (uint32_t i = 0; i < opened_count; i++) {
        if (connections[i].state == OPEN || connections[i].state == ASKED) {
            send_segment(i, PACKET_RST | PACKET_ACK, NULL, 0);
            connections[i].state = RESET;
            /* no faster than a server can take them */
            if (++closed % SEGMENTS_BATCH == 0)
                segments_wait(&segments, 1);
        }
    }
    segments_flush(&segments);
    printf("closed %u\n", closed);
}

int main(int argc, char **argv)
{
    char line[128];
    struct in_addr address;
    MUST(argc == 8 || argc == 9);
    if (argc == 9)
        give_up_ms = strtoul(argv[8], NULL, 10);
    MUST(inet_pton(AF_INET, argv[5], &address) == 1);
    address_first = ntohl(address.s_addr);
    message_parse(argv[6], query, &query_len);
    message_parse(argv[7], response, &response_len);
    connections = calloc(CONNECTIONS_MAX, sizeof *connections);
    MUST(connections != NULL);
    segments_open(&segments, argv[1], argv[2], argv[3], argv[4], false);
    while (fgets(line, sizeof line, stdin) != NULL) {
        unsigned count = 0, seed = 0;
        good_count = wrong_count = reset_count = silent_count = 0;
        if (sscanf(line, "open %u", &count) == 1)
            command_open(count);
        else if (sscanf(line, "ask %u %u", &count, &seed) == 2)
            command_ask(count, seed);
        else if (strcmp(line, "close\n") == 0)
            command_close();
        else
            printf("what?\n");
        fflush(stdout);
    }
    return 0;
}
