/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/imager.h"

#include "server/log.h"
#include "server/privilege.h"
#include "stateless_tcp/io/io.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Between two looks at the database. Until a change is in the image, all of it climbs. */
#define LOOK_MS 20
/* The same where programs in the driver answer: for so long they do without being told. */
#define LOOK_LEASED_MS 4
#define LEASE_MS 12 /* and until the clock of the kernel ticks */
/* A look at the database takes less. */
#define LOOK_SLICE_NS 100000
/* An image is made aside from what answers. */
#define BUILD_NICE 10
/* Longer than anybody reads one answer. */
#define GRACE_NS UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

struct imager {
    struct answer_image memory;
    bool has_driver;
    size_t pages_len; /* octets of it that programs in the driver see; 0: none */
    struct zonedb *db;
    struct park *park;
    struct zonedb_view *view;
    struct image *image;
    bool is_made;          /* the image is of some snapshot, so a change may do */
    uint64_t tried;        /* the snapshot that no image could be made of; 0: none */
    uint64_t not_until_ns; /* do not make it anew before */
    int problem;           /* said last */
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping; /* who makes the image shall leave it */
    pthread_mutex_t lock;
    pthread_cond_t is_called_cond;
    bool is_begun, is_called, is_ending; /* under the lock */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- opening ---- */

/* Address space, with memory behind what is written only. */
static int memory_reserve(void *place, size_t len, struct image_memory *memory_out)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *octets =
        mmap(place, len, PROT_READ | PROT_WRITE, flags | (place != NULL ? MAP_FIXED : 0), -1, 0);
    if (octets == MAP_FAILED)
        return -errno;
    /* Two or three lines that nobody touched lately make an answer: each look at the tables of
     * pages that is spared counts. */
    madvise(octets, len, MADV_HUGEPAGE);
    madvise(octets, len, MADV_DONTDUMP);
    *memory_out = (struct image_memory){octets, len};
    return 0;
}

int imager_open(const struct imager_config *config, struct imager **imager_out)
{
    pthread_condattr_t attributes;
    *imager_out = NULL;
    if (!image_can(config->policy))
        return -ENOTSUP;
    struct imager *imager = calloc(1, sizeof *imager);
    if (imager == NULL)
        return -ENOMEM;
    imager->db = config->db;
    imager->park = config->park;
    imager->has_driver = config->has_driver && io_pages != NULL;
    pthread_mutex_init(&imager->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&imager->is_called_cond, &attributes);
    pthread_condattr_destroy(&attributes);
    struct image_memory memory = {NULL, 0};
    int outcome = memory_reserve(NULL, config->size_max, &memory);
    imager->memory = (struct answer_image){memory.octets, memory.len};
    if (outcome == 0)
        outcome = image_open(config->policy, &imager->image);
    if (outcome == 0)
        outcome = zonedb_view_open(config->db, &imager->view);
    if (outcome == 0)
        image_set_stop(imager->image, &imager->is_stopping);
    if (outcome != 0) {
        imager_close(imager);
        return outcome;
    }
    zonedb_view_rest(imager->view);
    *imager_out = imager;
    return 0;
}

const struct answer_image *imager_image(const struct imager *imager)
{
    return imager != NULL ? &imager->memory : NULL;
}

/* ---- the thread ---- */

static struct image_memory imager_memory(const struct imager *imager)
{
    return (struct image_memory){(void *)(uintptr_t)imager->memory.octets, imager->memory.len};
}

static struct image_head *imager_head(const struct imager *imager)
{
    return imager_memory(imager).octets;
}

/* Have pages that programs in the driver see where the image is to be, with room to spare for what
 * is added later. They come in the place of what was there in one step: who reads it meets this or
 * that. Outcomes: 0; negative errno with `error`: there are none any more. */
static int imager_take_pages(struct imager *imager, size_t used, struct io_error *error)
{
    struct image_memory memory = imager_memory(imager);
    size_t len = (used + used / 8 + IMAGE_PAGE_LEN - 1) / IMAGE_PAGE_LEN * IMAGE_PAGE_LEN;
    int fd;
    if (used + used / 16 <= imager->pages_len)
        return 0;
    if (len > memory.len)
        len = memory.len / IMAGE_PAGE_LEN * IMAGE_PAGE_LEN;
    imager->pages_len = 0;
    int outcome = io_pages->give(len / IMAGE_PAGE_LEN, &fd, error);
    if (outcome != 0) {
        memory_reserve(memory.octets, memory.len, &memory);
        return outcome;
    }
    if (mmap(memory.octets, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
        MAP_FAILED) {
        imager->pages_len = len;
    } else {
        outcome = -errno;
        snprintf(error->text, sizeof error->text, "cannot map its pages: %s", strerror(-outcome));
        /* What was there may be gone, and others read it. */
        memory_reserve(memory.octets, memory.len, &memory);
    }
    close(fd);
    return outcome;
}

/* The image is made in memory of our own, since how much it takes is known only then. */
static int build_for_driver(struct imager *imager)
{
    struct image_memory aside, memory = imager_memory(imager);
    struct io_error error = {.text = "no memory"};
    int outcome = memory_reserve(NULL, memory.len, &aside);
    if (outcome != 0)
        return outcome;
    outcome = image_build(imager->image, aside, imager->view);
    if (imager_take_pages(imager, image_used(imager->image), &error) != 0)
        log_write(LOG_LEVEL_WARNING, "no request is answered in the driver: %s", error.text);
    if (imager->pages_len != 0)
        memory.len = imager->pages_len;
    __atomic_store_n(&imager_head(imager)->until_ns, 0, __ATOMIC_SEQ_CST);
    int moved = image_move(imager->image, memory);
    munmap(aside.octets, aside.len);
    return outcome != 0 ? outcome : moved;
}

/* Who keeps a lease has to be on time: before all others, if that is permitted. Else it asks for
 * short slices, which it gets the sooner (Linux 6.12; an older kernel takes no notice). */
static void imager_be_prompt(void)
{
    const struct sched_param first = {.sched_priority = 1};
    const struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } attributes = {.size = sizeof attributes, /* sched_setattr(2); its header defines too much */
                    .policy = SCHED_OTHER,
                    .nice = getpriority(PRIO_PROCESS, 0),
                    .runtime_ns = LOOK_SLICE_NS};
    if (sched_setscheduler(0, SCHED_FIFO, &first) != 0)
        syscall(SYS_sched_setattr, 0, &attributes, 0);
    privilege_drop_all();
}

static void *build_run(void *argument)
{
    struct imager *imager = argument;
    setpriority(PRIO_PROCESS, (id_t)gettid(), BUILD_NICE);
    int outcome = imager->has_driver
                      ? build_for_driver(imager)
                      : image_build(imager->image, imager_memory(imager), imager->view);
    return (void *)(intptr_t)outcome;
}

/* In a thread of its own: who has become nice may not go back, nor may who was first. */
static int imager_build(struct imager *imager)
{
    const struct sched_param usual = {0};
    pthread_attr_t attributes;
    pthread_t builder;
    void *outcome;
    pthread_attr_init(&attributes);
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_OTHER);
    pthread_attr_setschedparam(&attributes, &usual);
    int problem = -pthread_create(&builder, &attributes, build_run, imager);
    pthread_attr_destroy(&attributes);
    if (problem != 0)
        return problem;
    pthread_join(builder, &outcome);
    return (int)(intptr_t)outcome;
}

static void imager_tell(const struct imager *imager, uint64_t took_ns)
{
    struct image_counts counts = image_count(imager->image);
    char out[64] = "";
    if (counts.zones_out != 0)
        snprintf(out, sizeof out, " (%ju more only in the database)", (uintmax_t)counts.zones_out);
    log_write(LOG_LEVEL_INFO,
              "image ready%s: %ju delegation%s and %ju RRset%s of %ju zone%s%s, %zu octets, %ju ms",
              imager->pages_len != 0 ? " in the driver" : "", (uintmax_t)counts.delegations,
              counts.delegations == 1 ? "" : "s", (uintmax_t)counts.rrsets,
              counts.rrsets == 1 ? "" : "s", (uintmax_t)counts.zones, counts.zones == 1 ? "" : "s",
              out, image_used(imager->image), (uintmax_t)(took_ns / NS_PER_MS));
}

static void imager_make(struct imager *imager)
{
    uint64_t begin = now_ns();
    int outcome = imager_build(imager);
    uint64_t end = now_ns();
    imager->is_made = outcome == 0;
    /* Where zones are loaded all the time it is not worth more than a fifth of a processor. */
    imager->not_until_ns = outcome != -ECANCELED ? end + 4 * (end - begin) : 0;
    if (outcome == 0) {
        imager_tell(imager, end - begin);
    } else if (outcome != -ECANCELED) {
        imager->tried = zonedb_view_version(imager->view);
        if (outcome != imager->problem)
            log_write(LOG_LEVEL_WARNING, "no image of the zones: %s; the database answers all",
                      outcome == -ENOSPC ? "it would take more than \"image\" allows"
                                         : strerror(-outcome));
    }
    imager->problem = outcome;
}

/* The view is of the snapshot that was the newest `now`: so shall be the image. */
static void imager_follow(struct imager *imager, uint64_t now)
{
    uint64_t version = zonedb_view_version(imager->view);
    if (image_version(imager->memory.octets) == version || imager->tried == version)
        return;
    if (imager->is_made && image_patch(imager->image, imager->view, now, GRACE_NS) == 0)
        return;
    imager->is_made = false;
    if (now >= imager->not_until_ns)
        imager_make(imager);
}

static void imager_look(struct imager *imager)
{
    uint64_t now = now_ns();
    int outcome = zonedb_view_refresh(imager->view);
    if (outcome == -ESTALE)
        park_ask(imager->park);
    else if (outcome >= 0)
        imager_follow(imager, now);
    if (outcome >= 0 && imager->pages_len != 0 &&
        image_version(imager->memory.octets) == zonedb_view_version(imager->view))
        __atomic_store_n(&imager_head(imager)->until_ns, now + LEASE_MS * NS_PER_MS,
                         __ATOMIC_RELEASE);
    zonedb_view_rest(imager->view);
}

/* Returns false when it is to end. */
static bool imager_wait(struct imager *imager)
{
    uint64_t until = now_ns() + (imager->pages_len != 0 ? LOOK_LEASED_MS : LOOK_MS) * NS_PER_MS;
    const struct timespec until_ts = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
    pthread_mutex_lock(&imager->lock);
    int outcome = 0;
    while (!imager->is_called && !imager->is_ending && outcome == 0)
        outcome = pthread_cond_timedwait(&imager->is_called_cond, &imager->lock, &until_ts);
    imager->is_called = false;
    bool is_ending = imager->is_ending;
    pthread_mutex_unlock(&imager->lock);
    return !is_ending;
}

/* From now on who calls stops who makes the image. */
static void imager_go_on(struct imager *imager)
{
    pthread_mutex_lock(&imager->lock);
    atomic_store(&imager->is_stopping, imager->is_ending);
    pthread_mutex_unlock(&imager->lock);
}

static bool imager_wait_to_begin(struct imager *imager)
{
    pthread_mutex_lock(&imager->lock);
    while (!imager->is_begun && !imager->is_ending)
        pthread_cond_wait(&imager->is_called_cond, &imager->lock);
    bool is_ending = imager->is_ending;
    pthread_mutex_unlock(&imager->lock);
    return !is_ending;
}

static void *imager_run(void *argument)
{
    struct imager *imager = argument;
    if (imager->has_driver)
        imager_be_prompt();
    bool is_going = imager_wait_to_begin(imager);
    while (is_going) {
        imager_go_on(imager);
        if (park_is_asked(imager->park))
            park_wait(imager->park);
        imager_look(imager);
        is_going = imager_wait(imager);
    }
    park_leave(imager->park);
    return NULL;
}

/* ---- from outside ---- */

int imager_start(struct imager *imager)
{
    imager->is_begun = imager->is_ending = false;
    park_join(imager->park);
    int outcome = -pthread_create(&imager->thread, NULL, imager_run, imager);
    imager->has_thread = outcome == 0;
    if (outcome != 0)
        park_leave(imager->park);
    return outcome;
}

static void imager_call(struct imager *imager, bool is_ending)
{
    pthread_mutex_lock(&imager->lock);
    imager->is_called = true;
    imager->is_ending |= is_ending;
    atomic_store(&imager->is_stopping, true);
    pthread_cond_signal(&imager->is_called_cond);
    pthread_mutex_unlock(&imager->lock);
}

void imager_begin(struct imager *imager)
{
    if (imager == NULL)
        return;
    pthread_mutex_lock(&imager->lock);
    imager->is_begun = true;
    pthread_cond_signal(&imager->is_called_cond);
    pthread_mutex_unlock(&imager->lock);
}

void imager_wake(struct imager *imager)
{
    if (imager != NULL)
        imager_call(imager, false);
}

void imager_halt(struct imager *imager)
{
    if (imager == NULL || !imager->has_thread)
        return;
    imager_call(imager, true);
    pthread_join(imager->thread, NULL);
    imager->has_thread = false;
}

void imager_close(struct imager *imager)
{
    if (imager == NULL)
        return;
    imager_halt(imager);
    if (imager->has_driver)
        io_pages->take();
    image_close(imager->image);
    zonedb_view_close(imager->view);
    if (imager->memory.octets != NULL)
        munmap((void *)(uintptr_t)imager->memory.octets, imager->memory.len);
    pthread_cond_destroy(&imager->is_called_cond);
    pthread_mutex_destroy(&imager->lock);
    free(imager);
}
