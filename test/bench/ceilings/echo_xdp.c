/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ceiling of AF_XDP in copy mode, as on veth. usage: echo_xdp INTERFACE PROGRAM
 *
 * One queue; PROGRAM is the object of ceiling.bpf.c. The program stays attached: whoever starts
 * this detaches it.
 */
#include "test/bench/ceilings/echo.h"
#include "test/must.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/xsk.h>

#define FRAME_COUNT 8192u
#define FRAME_SIZE 2048u
#define RING_SIZE 4096u
#define BATCH 64u

static uint8_t *memory;
static struct xsk_ring_prod fill, transmit;
static struct xsk_ring_cons completed, received;
static struct xsk_socket *xsk;
static uint64_t unused[FRAME_COUNT];
static uint32_t unused_count, under_way;

static void open_socket(const char *interface)
{
    struct xsk_umem *umem;
    struct xsk_umem_config memory_config = {
        .fill_size = RING_SIZE, .comp_size = RING_SIZE, .frame_size = FRAME_SIZE};
    struct xsk_socket_config config = {.rx_size = RING_SIZE,
                                       .tx_size = RING_SIZE,
                                       .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
                                       .bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP};
    memory = mmap(NULL, FRAME_COUNT * FRAME_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    MUST(memory != MAP_FAILED);
    MUST(xsk_umem__create(&umem, memory, FRAME_COUNT * FRAME_SIZE, &fill, &completed,
                          &memory_config) == 0);
    MUST(xsk_socket__create(&xsk, interface, 0, umem, &received, &transmit, &config) == 0);
}

static void attach(const char *interface, const char *path)
{
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    MUST(object != NULL && bpf_object__load(object) == 0);
    int program = bpf_program__fd(bpf_object__find_program_by_name(object, "redirect"));
    int map = bpf_object__find_map_fd_by_name(object, "sockets");
    int queue = 0, fd = xsk_socket__fd(xsk);
    MUST(bpf_map_update_elem(map, &queue, &fd, BPF_ANY) == 0);
    MUST(bpf_xdp_attach((int)if_nametoindex(interface), program, XDP_FLAGS_DRV_MODE, NULL) == 0);
}

static void wake(void)
{
    sendto(xsk_socket__fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, 0);
}

static void take_completed(void)
{
    uint32_t at, count = xsk_ring_cons__peek(&completed, RING_SIZE, &at);
    for (uint32_t i = 0; i < count; i++)
        unused[unused_count++] = *xsk_ring_cons__comp_addr(&completed, at + i);
    xsk_ring_cons__release(&completed, count);
    under_way -= count;
}

static void refill(uint32_t count)
{
    uint32_t at;
    while (unused_count < count) {
        wake();
        take_completed();
    }
    while (xsk_ring_prod__reserve(&fill, count, &at) != count)
        take_completed();
    for (uint32_t i = 0; i < count; i++)
        *xsk_ring_prod__fill_addr(&fill, at + i) = unused[--unused_count];
    xsk_ring_prod__submit(&fill, count);
}

static void answer(uint32_t count, uint32_t from)
{
    uint32_t to;
    while (xsk_ring_prod__reserve(&transmit, count, &to) != count) {
        wake();
        take_completed();
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct xdp_desc *got = xsk_ring_cons__rx_desc(&received, from + i);
        struct xdp_desc *sent = xsk_ring_prod__tx_desc(&transmit, to + i);
        echo_answer(xsk_umem__get_data(memory, got->addr), got->len);
        *sent = (struct xdp_desc){.addr = got->addr, .len = got->len};
    }
    xsk_ring_prod__submit(&transmit, count);
    xsk_ring_cons__release(&received, count);
    under_way += count;
    if (xsk_ring_prod__needs_wakeup(&transmit))
        wake();
}

int main(int argc, char **argv)
{
    MUST(argc == 3);
    open_socket(argv[1]);
    attach(argv[1], argv[2]);
    for (uint32_t i = 0; i < FRAME_COUNT; i++)
        unused[unused_count++] = (uint64_t)i * FRAME_SIZE;
    refill(RING_SIZE);
    struct pollfd readable = {.fd = xsk_socket__fd(xsk), .events = POLLIN};
    for (;;) {
        uint32_t from, count = xsk_ring_cons__peek(&received, BATCH, &from);
        if (under_way > 0)
            take_completed();
        if (count == 0) {
            poll(&readable, 1, 100);
            continue;
        }
        refill(count);
        answer(count, from);
    }
}
