/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_link.h - being a neighbour on the link: ARP (RFC 826) and IPv6 neighbour discovery (RFC
 * 4861), as far as one must to be reached at addresses that no kernel has, and to reach the server.
 *
 * Pure.
 */
#ifndef TOOLS_BENCH_RAW_LINK_H
#define TOOLS_BENCH_RAW_LINK_H

#include "tools/bench/raw_frame.h"

/* The capture filter, in pcap's language, for what the functions below want to see: `out` has room
 * for RAW_LINK_FILTER_CAP. */
#define RAW_LINK_FILTER_CAP 128
void raw_link_filter(uint8_t family, char *out);

/* If a frame asks who has one of our addresses, append the answer to the train. Returns whether it
 * asked. `frame`: hostile. */
bool raw_link_answer(const struct raw_path *path, const uint8_t *frame, size_t frame_len,
                     struct train *train);

/* Append the question who has `target`, asked by our first address. */
void raw_link_ask(const struct raw_path *path, const struct packet_address *target,
                  struct train *train);

/* If a frame tells who has `target`, take the MAC. */
bool raw_link_learn(const uint8_t *frame, size_t frame_len, const struct packet_address *target,
                    uint8_t mac_out[6]);

#endif
