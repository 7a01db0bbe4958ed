/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A flood of SYNs in the name of others: 198.18.1.0 to 198.19.255.255, any port, any sequence
 * number, with the options that Linux sends. At its end, or at SIGTERM, it says how many went out,
 * and in how many milliseconds.
 *
 * usage: syn_sender INTERFACE SERVER_MAC SERVER PORT SECONDS RATE
 *
 * RATE: SYNs a second, 0: as many as one processor manages.
 */
#include "test/fault/segments.h"
#include "test/must.h"

#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#define SECONDS_MAX 120
#define SOURCE_FIRST 0xc6120100u /* 198.18.1.0 */
#define SOURCE_COUNT (0xc6140000u - SOURCE_FIRST)

static volatile sig_atomic_t is_ending;

static void end_soon(int number)
{
    (void)number;
    is_ending = 1;
}

/* xorshift64*: no secret, but no period that anybody sees. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dU;
}

static void add_syn(struct segments *segments, uint64_t *state)
{
    uint64_t r = next_random(state), s = next_random(state);
    const struct packet_segment syn = {.seq = (uint32_t)r,
                                       .window = 64240,
                                       .flags = PACKET_SYN,
                                       .mss = 1460,
                                       .has_sack_permitted = true,
                                       .has_timestamps = true,
                                       .timestamp_value = (uint32_t)s};
    segments_add(segments, SOURCE_FIRST + (uint32_t)(r >> 32) % SOURCE_COUNT,
                 (uint16_t)(1024 + (s >> 32) % 64000), &syn, NULL, 0);
}

int main(int argc, char **argv)
{
    struct segments segments;
    uint64_t state;
    MUST(argc == 7);
    uint64_t seconds = strtoul(argv[5], NULL, 10), rate = strtoul(argv[6], NULL, 10);
    MUST(seconds > 0 && seconds <= SECONDS_MAX);
    MUST(getrandom(&state, sizeof state, 0) == sizeof state);
    state |= 1;
    segments_open(&segments, argv[1], argv[2], argv[3], argv[4], true);

    uint64_t begin = segments_now_ms(), end = begin + seconds * 1000, sent = 0, now;
    signal(SIGTERM, end_soon);
    while ((now = segments_now_ms()) < end && !is_ending) {
        if (rate != 0 && sent >= (now - begin) * rate / 1000) {
            usleep(500);
            continue;
        }
        for (int i = 0; i < SEGMENTS_BATCH; i++, sent++)
            add_syn(&segments, &state);
        segments_flush(&segments);
    }
    printf("%llu %llu\n", (unsigned long long)sent, (unsigned long long)(now - begin));
    return 0;
}
