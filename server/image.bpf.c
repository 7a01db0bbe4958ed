/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The XDP programs that go on where lethe_driver climbs: requests are answered from the zone image
 * (zonedb/image.h), those that it does not hold climb as ever. lethe_image does it in the frame that
 * came, lethe_finish in copies of it where that has no room (copies.bpf.h).
 *
 * An object of its own, loaded when there is an image, so that the verifier's time is not the
 * start's. All maps but image_pages, image_jobs and image_turns are those of lethe_driver.
 */
#include "stateless_tcp/io/xdp/maps.bpf.h"
/* after it */
#include "server/image_tcp.bpf.h"
#include "server/image_udp.bpf.h"
#include "stateless_tcp/io/xdp/copies.bpf.h"

/* What is written down of an answer until all copies for it have come. */
struct image_job {
    uint32_t number;
    uint32_t is_tcp;
    uint32_t come;
    uint32_t zero;
    struct driver_work driver;
    struct image_work work;
};

/* More than frames that wait at a time to be sent: those are 16 (DEV_MAP_BULK_SIZE in Linux). */
#define IMAGE_JOBS 32u

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, IMAGE_JOBS);
    __type(key, uint32_t);
    __type(value, struct image_job);
} image_jobs SEC(".maps");

/* The number of the next job. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, uint32_t);
} image_turns SEC(".maps");

static __always_inline struct image_job *image_job(uint32_t number)
{
    uint32_t place = number % IMAGE_JOBS;
    return bpf_map_lookup_elem(&image_jobs, &place);
}

/* The answer is known, and there is no room for it: make it of copies. */
static __always_inline int image_copy(struct xdp_md *ctx, const struct driver_work *driver,
                                      struct image_job *job, uint32_t *turn)
{
    const struct image_work *work = &job->work;
    struct recent_note *note = image_tcp_note(driver);
    job->number = *turn;
    job->is_tcp = driver->frame.transport == DRIVER_TRANSPORT_TCP;
    job->come = 0;
    job->driver = *driver;
    struct recent_train *train = image_tcp_train(driver->decision.place.connection);
    if (train && job->is_tcp && work->segments > 1 && !image_train_note(ctx, driver, work, train))
        return driver_climb_up(ctx);
    if (!driver_ticket_put(ctx, job->number))
        return driver_climb_up(ctx);
    (*turn)++;
    if (note && job->is_tcp)
        driver_request_note(driver, work->len, (uint32_t)work->version, note);
    driver_count(job->is_tcp ? DRIVER_COUNT_REQUEST : DRIVER_COUNT_IMAGE);
    return driver_send_copies(1 + work->segments);
}

SEC("xdp")
int lethe_image(struct xdp_md *ctx)
{
    uint32_t zero = 0;
    struct driver_work *driver = bpf_map_lookup_elem(&driver_works, &zero);
    uint32_t *turn = bpf_map_lookup_elem(&image_turns, &zero);
    if (!driver || !turn)
        return driver_climb_up(ctx);
    uint32_t bank = driver->frame.bank & 1;
    const struct driver_config *config = bpf_map_lookup_elem(&driver_configs, &bank);
    struct image_job *job = image_job(*turn);
    if (!config || !job)
        return driver_climb_up(ctx);
    bool is_tcp = driver->frame.transport == DRIVER_TRANSPORT_TCP;
    if (is_tcp && driver->decision.room == 0) {
        if (!image_tcp_progress(config, driver))
            return driver_climb_up(ctx);
        driver_count(DRIVER_COUNT_ACK);
        driver_count(DRIVER_COUNT_SILENT);
        return XDP_DROP;
    }
    switch (is_tcp ? image_tcp_answer(ctx, config, driver, &job->work)
                   : image_udp(ctx, config, driver, &job->work)) {
    case DRIVER_CLIMB:
        break;
    case DRIVER_DROP:
        driver_count(DRIVER_COUNT_SILENT);
        return XDP_DROP;
    case DRIVER_TX:
        driver_count(is_tcp ? DRIVER_COUNT_REQUEST : DRIVER_COUNT_IMAGE);
        return driver_send(ctx, config);
    }
    return config->has_copies && job->work.segments > 0 ? image_copy(ctx, driver, job, turn)
                                                        : driver_climb_up(ctx);
}

/* Copy number `which` of a job. */
static __always_inline enum driver_verdict image_finish(struct xdp_md *ctx, struct image_job *job,
                                                        uint32_t which)
{
    if (!job->is_tcp)
        return image_udp_put(ctx, &job->driver, &job->work);
    return job->work.segments == 1 ? image_tcp_put(ctx, &job->driver, &job->work)
                                   : image_tcp_put_part(ctx, &job->driver, &job->work, which);
}

SEC("xdp/devmap")
int lethe_finish(struct xdp_md *ctx)
{
    uint32_t number;
    if (!driver_ticket_take(ctx, &number))
        return XDP_DROP;
    struct image_job *job = image_job(number);
    if (!job || job->number != number || job->come >= job->work.segments)
        return XDP_DROP;
    enum driver_verdict verdict = image_finish(ctx, job, job->come++);
    return verdict == DRIVER_TX ? XDP_PASS : XDP_DROP;
}

/* None of the functions that the kernel keeps for GPL programs is called. */
char image_license[] SEC("license") = "BSD-2-Clause";
