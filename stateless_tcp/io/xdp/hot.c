/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/io/xdp/hot.h"

#include "stateless_tcp/checksum.h"
#include "stateless_tcp/wire.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    ID_LEN = 2,
    UDP_HEADER_LEN = 8,
    UDP = 17,
};

struct hot {
    pthread_mutex_t lock;    /* of all that follows */
    unsigned joined, number; /* the last that came, and that gave a lease */
    struct driver_hot_answer *answers;
    struct driver_hot_lease *lease;
    uint32_t seen[DRIVER_HOT_ANSWERS]; /* what was asked last of what has its place there */
};

struct hot *hot_make(struct driver_hot_answer *answers, struct driver_hot_lease *lease)
{
    struct hot *hot = calloc(1, sizeof(*hot));
    if (hot == NULL)
        return NULL;
    pthread_mutex_init(&hot->lock, NULL);
    hot->answers = answers;
    hot->lease = lease;
    return hot;
}

void hot_free(struct hot *hot)
{
    if (hot != NULL)
        pthread_mutex_destroy(&hot->lock);
    free(hot);
}

unsigned hot_join(struct hot *hot)
{
    pthread_mutex_lock(&hot->lock);
    unsigned number = ++hot->joined;
    pthread_mutex_unlock(&hot->lock);
    return number;
}

void hot_lease(struct hot *hot, unsigned number, bool is_changed, uint64_t until_ns)
{
    pthread_mutex_lock(&hot->lock);
    if (number >= hot->number) {
        if (is_changed || number > hot->number)
            __atomic_store_n(&hot->lease->version, hot->lease->version + 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&hot->lease->until_ns, until_ns, __ATOMIC_SEQ_CST);
        hot->number = number;
    }
    pthread_mutex_unlock(&hot->lock);
}

/* The message of a plain frame, tags allowed; NULL: it is none of UDP. */
static const uint8_t *find_message(const uint8_t *frame, size_t len, size_t *len_out)
{
    size_t at = 14;
    while (at <= 18 && len >= at + 4 &&
           (wire_load_be16(frame + at - 2) == 0x8100 || wire_load_be16(frame + at - 2) == 0x88a8))
        at += 4;
    if (len < at + 40 + UDP_HEADER_LEN && len < at + 20 + UDP_HEADER_LEN)
        return NULL;
    bool is_v4 = wire_load_be16(frame + at - 2) == 0x0800;
    if (is_v4 ? frame[at] != 0x45 || frame[at + 9] != UDP : frame[at + 6] != UDP)
        return NULL;
    at += is_v4 ? 20 : 40;
    if (len < at + UDP_HEADER_LEN + ID_LEN)
        return NULL;
    size_t udp_len = wire_load_be16(frame + at + 4);
    if (udp_len < UDP_HEADER_LEN + ID_LEN || udp_len > len - at)
        return NULL;
    *len_out = udp_len - UDP_HEADER_LEN;
    return frame + at + UDP_HEADER_LEN;
}

static void write_answer(struct driver_hot_answer *answer, uint32_t version,
                         const struct driver_hot_request *request, const uint8_t *response,
                         size_t response_len)
{
    __atomic_store_n(&answer->sequence, answer->sequence | 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    answer->version = version;
    answer->len = (uint32_t)response_len;
    answer->sum =
        (uint32_t)checksum_be16(checksum_fold(checksum_add_octets(0, response, response_len)));
    answer->request = *request;
    memcpy(answer->response, response, response_len);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&answer->sequence, answer->sequence + 1, __ATOMIC_SEQ_CST);
}

/* What is known already is not written again: whoever gets it at that moment would get nothing. */
static bool is_known(const struct driver_hot_answer *answer, uint32_t version,
                     const struct driver_hot_request *request)
{
    return answer->version == version && answer->sequence != 0 &&
           memcmp(&answer->request, request, sizeof(*request)) == 0;
}

void hot_learn(struct hot *hot, unsigned number, const uint8_t *frame, size_t len,
               const uint8_t *answer, size_t answer_len)
{
    size_t request_len, response_len;
    const uint8_t *request = find_message(frame, len, &request_len);
    const uint8_t *response = find_message(answer, answer_len, &response_len);
    struct driver_hot_request key = {{0}};
    if (request == NULL || response == NULL || request_len - ID_LEN > DRIVER_HOT_REQUEST_MAX ||
        response_len - ID_LEN > DRIVER_HOT_RESPONSE_MAX || request_len <= ID_LEN)
        return;
    memcpy(key.words, request + ID_LEN, request_len - ID_LEN);
    key.words[DRIVER_HOT_REQUEST_MAX / 8] = request_len - ID_LEN;
    uint64_t mixed = driver_hot_mix(&key);
    uint32_t place = driver_hot_place(mixed), mark = (uint32_t)mixed | 1;
    pthread_mutex_lock(&hot->lock);
    struct driver_hot_answer *known = &hot->answers[place];
    if (hot->seen[place] == mark && number == hot->number &&
        !is_known(known, hot->lease->version, &key))
        write_answer(known, hot->lease->version, &key, response + ID_LEN, response_len - ID_LEN);
    hot->seen[place] = mark;
    pthread_mutex_unlock(&hot->lock);
}
