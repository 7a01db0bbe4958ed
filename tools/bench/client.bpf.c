/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The XDP program that is a client: its memory, and its two ways in (client.h has the drawing).
 */
#include "tools/bench/client.h"

#include <linux/bpf.h>
/* after it */
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define MEMORY(name, kind, value_type)     \
    struct {                               \
        __uint(type, kind);                \
        __uint(map_flags, BPF_F_MMAPABLE); \
        __uint(max_entries, 1);            \
        __type(key, uint32_t);             \
        __type(value, value_type);         \
    } name SEC(".maps")

/* As many entries as there are to be says who loads it. */
MEMORY(client_configs, BPF_MAP_TYPE_ARRAY, struct client_config);
MEMORY(client_shareds, BPF_MAP_TYPE_ARRAY, struct client_shared);
MEMORY(client_chunks, BPF_MAP_TYPE_ARRAY, struct client_chunk);
MEMORY(client_references, BPF_MAP_TYPE_ARRAY, uint64_t);
MEMORY(client_places, BPF_MAP_TYPE_ARRAY, struct client_place);
MEMORY(client_commands, BPF_MAP_TYPE_ARRAY, struct client_command);
MEMORY(client_tallies, BPF_MAP_TYPE_ARRAY, struct client_tally);

#define client_context xdp_md

static __always_inline uint8_t *client_data(struct xdp_md *ctx)
{
    return (uint8_t *)(long)ctx->data;
}

static __always_inline uint8_t *client_end(struct xdp_md *ctx)
{
    return (uint8_t *)(long)ctx->data_end;
}

/* At its end, or where there is no room, as behind short frames of a kernel, where it begins: all of
 * it is written anew. */
static __always_inline bool client_resize(struct xdp_md *ctx, uint32_t len)
{
    int more = (int)len - (int)(ctx->data_end - ctx->data);
    return more == 0 || bpf_xdp_adjust_tail(ctx, more) == 0 ||
           (more > 0 && bpf_xdp_adjust_head(ctx, -more) == 0);
}

static __always_inline uint64_t client_now_ns(void)
{
    return bpf_ktime_get_ns();
}

static __always_inline const struct client_config *client_settings(void)
{
    uint32_t key = 0;
    return bpf_map_lookup_elem(&client_configs, &key);
}

static __always_inline struct client_shared *client_progress(void)
{
    uint32_t key = 0;
    return bpf_map_lookup_elem(&client_shareds, &key);
}

static __always_inline struct client_tally *client_counts(void)
{
    const struct client_shared *shared = client_progress();
    if (!shared)
        return NULL;
    uint32_t key = bpf_get_smp_processor_id() * CLIENT_BANKS +
                   (*(const volatile uint32_t *)&shared->bank & (CLIENT_BANKS - 1));
    return bpf_map_lookup_elem(&client_tallies, &key);
}

static __always_inline struct client_place *client_place_at(uint32_t number)
{
    return bpf_map_lookup_elem(&client_places, &number);
}

static __always_inline const uint64_t *client_reference_at(uint32_t number)
{
    return bpf_map_lookup_elem(&client_references, &number);
}

static __always_inline const struct client_chunk *client_chunk_at(uint32_t number)
{
    return bpf_map_lookup_elem(&client_chunks, &number);
}

static __always_inline const struct client_command *client_command_at(uint32_t number)
{
    return bpf_map_lookup_elem(&client_commands, &number);
}

#include "tools/bench/client.bpf.h"

/* Memory to work in, as in tcp.bpf.h: for frames that came, that were made, and that leave. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 3);
    __type(key, uint32_t);
    __type(value, struct client_work);
} client_works SEC(".maps");

/* Frames leave by this where some are to leave twice: every entry is the interface itself, with
 * lethe_leave. */
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 2);
    __type(key, uint32_t);
    __type(value, struct bpf_devmap_val);
} client_doors SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct client_copy);
} client_copies SEC(".maps");

/* Every frame must come here, not only those that leave twice: frames that leave together all meet
 * the program of the first. */
SEC("xdp/devmap")
int lethe_leave(struct xdp_md *ctx)
{
    uint32_t key = 0, work_key = 2;
    struct client_work *work = bpf_map_lookup_elem(&client_works, &work_key);
    struct client_copy *copy = bpf_map_lookup_elem(&client_copies, &key);
    if (!work || !copy)
        return XDP_DROP;
    return client_split(ctx, work, copy) == CLIENT_PASS ? XDP_PASS : XDP_DROP;
}

static __always_inline int leave(struct xdp_md *ctx, const struct client_config *config,
                                 bool is_twice)
{
    if (config->has_own_ack)
        return (int)bpf_redirect_map(&client_doors, 0, is_twice ? BPF_F_BROADCAST : 0);
    return config->has_redirect ? (int)bpf_redirect(ctx->ingress_ifindex, 0) : XDP_TX;
}

/* Live frames have metadata in front, which frames of the wire have not. */
static __always_inline bool is_command(struct xdp_md *ctx)
{
    return (uint8_t *)(long)ctx->data_meta + CLIENT_META_LEN <= client_data(ctx);
}

/* One program for both: that it is on an interface spares the kernel, for each row of live frames,
 * what it does before it runs a program that is on none (it waits for all processors). */
SEC("xdp")
int lethe_client(struct xdp_md *ctx)
{
    const struct client_config *config = client_settings();
    uint32_t key = is_command(ctx);
    struct client_work *work = bpf_map_lookup_elem(&client_works, &key);
    if (!work || !config)
        return XDP_PASS;
    if (key != 0) {
        /* Gone it must be, lest the frame come back as a command. */
        bool is_made = bpf_xdp_adjust_meta(ctx, CLIENT_META_LEN) == 0 &&
                       client_command(ctx, work) == CLIENT_TX;
        return is_made ? XDP_TX : XDP_DROP;
    }
    int verdict = client_receive(ctx, work);
    if (verdict == CLIENT_TX || verdict == CLIENT_TWICE)
        return leave(ctx, config, verdict == CLIENT_TWICE);
    return verdict == CLIENT_PASS ? XDP_PASS : XDP_DROP;
}

/* None of the functions that the kernel keeps for GPL programs is called. */
char client_license[] SEC("license") = "BSD-2-Clause";
