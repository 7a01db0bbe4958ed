/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/imager.h"

#include "server/log.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Between two looks at the database. Until a change is in the image, all of it climbs. */
#define LOOK_MS 20
/* An image is made aside from what answers. */
#define BUILD_NICE 10
/* Longer than anybody reads one answer. */
#define GRACE_NS UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

struct imager {
    struct answer_image memory;
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
    pthread_mutex_t lock;
    pthread_cond_t is_called_cond;
    bool is_called, is_ending; /* under the lock */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- opening ---- */

/* Address space, with memory behind what is written only. */
static int imager_reserve(struct imager *imager, size_t len)
{
    void *octets =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (octets == MAP_FAILED)
        return -errno;
    /* Two or three lines that nobody touched lately make an answer: each look at the tables of
     * pages that is spared counts. */
    madvise(octets, len, MADV_HUGEPAGE);
    madvise(octets, len, MADV_DONTDUMP);
    imager->memory = (struct answer_image){octets, len};
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
    pthread_mutex_init(&imager->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&imager->is_called_cond, &attributes);
    pthread_condattr_destroy(&attributes);
    int outcome = imager_reserve(imager, config->size_max);
    if (outcome == 0)
        outcome = image_open(config->policy, &imager->image);
    if (outcome == 0)
        outcome = zonedb_view_open(config->db, &imager->view);
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

static void *build_run(void *argument)
{
    struct imager *imager = argument;
    setpriority(PRIO_PROCESS, (id_t)gettid(), BUILD_NICE);
    return (void *)(intptr_t)image_build(imager->image, imager_memory(imager), imager->view);
}

/* In a thread of its own: who has become nice may not go back. */
static int imager_build(struct imager *imager)
{
    pthread_t builder;
    void *outcome;
    int problem = -pthread_create(&builder, NULL, build_run, imager);
    if (problem != 0)
        return problem;
    pthread_join(builder, &outcome);
    return (int)(intptr_t)outcome;
}

static void imager_make(struct imager *imager)
{
    uint64_t begin = now_ns();
    int outcome = imager_build(imager);
    uint64_t end = now_ns();
    imager->is_made = outcome == 0;
    /* It shall serve at least as long as it took. */
    imager->not_until_ns = end + (end - begin);
    if (outcome == 0) {
        log_write(LOG_LEVEL_INFO, "image ready: %zu octets, %ju ms", image_used(imager->image),
                  (uintmax_t)((end - begin) / NS_PER_MS));
    } else {
        imager->tried = zonedb_view_version(imager->view);
        if (outcome != imager->problem)
            log_write(LOG_LEVEL_WARNING, "no image of the zones: %s; the database answers all",
                      outcome == -ENOSPC ? "it would take more than \"image\" allows"
                                         : strerror(-outcome));
    }
    imager->problem = outcome;
}

/* The view is of the newest snapshot: so shall be the image. */
static void imager_follow(struct imager *imager)
{
    uint64_t version = zonedb_view_version(imager->view), now = now_ns();
    if (image_version(imager->memory.octets) == version || imager->tried == version)
        return;
    imager->is_made = false;
    if (now >= imager->not_until_ns)
        imager_make(imager);
}

static void imager_look(struct imager *imager)
{
    int outcome = zonedb_view_refresh(imager->view);
    if (outcome == -ESTALE)
        park_ask(imager->park);
    else if (outcome >= 0)
        imager_follow(imager);
    zonedb_view_rest(imager->view);
}

/* Returns false when it is to end. */
static bool imager_wait(struct imager *imager)
{
    uint64_t until = now_ns() + LOOK_MS * NS_PER_MS;
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

static void *imager_run(void *argument)
{
    struct imager *imager = argument;
    do {
        if (park_is_asked(imager->park))
            park_wait(imager->park);
        imager_look(imager);
    } while (imager_wait(imager));
    park_leave(imager->park);
    return NULL;
}

/* ---- from outside ---- */

int imager_start(struct imager *imager)
{
    imager->is_ending = false;
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
    image_close(imager->image);
    zonedb_view_close(imager->view);
    if (imager->memory.octets != NULL)
        munmap((void *)(uintptr_t)imager->memory.octets, imager->memory.len);
    pthread_cond_destroy(&imager->is_called_cond);
    pthread_mutex_destroy(&imager->lock);
    free(imager);
}
