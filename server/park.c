/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/park.h"

#include <assert.h>

void park_open(struct park *park, park_act *act, park_wake *wake, void *context)
{
    pthread_mutex_init(&park->lock, NULL);
    pthread_cond_init(&park->is_over, NULL);
    park->member_count = park->waiting_count = 0;
    park->round = 0;
    atomic_init(&park->is_asked, false);
    park->act = act;
    park->wake = wake;
    park->context = context;
}

void park_close(struct park *park)
{
    assert(park->member_count == 0);
    pthread_cond_destroy(&park->is_over);
    pthread_mutex_destroy(&park->lock);
}

void park_join(struct park *park)
{
    pthread_mutex_lock(&park->lock);
    park->member_count++;
    pthread_mutex_unlock(&park->lock);
}

/* With the lock held: if all members wait, act and let them go. */
static void park_finish(struct park *park)
{
    if (park->waiting_count < park->member_count || !atomic_load(&park->is_asked))
        return;
    park->act(park->context);
    atomic_store(&park->is_asked, false);
    park->waiting_count = 0;
    park->round++;
    pthread_cond_broadcast(&park->is_over);
}

void park_leave(struct park *park)
{
    pthread_mutex_lock(&park->lock);
    assert(park->member_count > 0);
    park->member_count--;
    if (park->member_count > 0)
        park_finish(park);
    pthread_mutex_unlock(&park->lock);
}

void park_ask(struct park *park)
{
    /* Under the lock, so that a halt that ends just now does not swallow the request. */
    pthread_mutex_lock(&park->lock);
    atomic_store(&park->is_asked, true);
    pthread_mutex_unlock(&park->lock);
    park->wake(park->context);
}

bool park_is_asked(const struct park *park)
{
    return atomic_load(&park->is_asked);
}

void park_wait(struct park *park)
{
    pthread_mutex_lock(&park->lock);
    if (atomic_load(&park->is_asked)) {
        unsigned long round = park->round;
        park->waiting_count++;
        park_finish(park);
        while (park->round == round)
            pthread_cond_wait(&park->is_over, &park->lock);
    }
    pthread_mutex_unlock(&park->lock);
}
