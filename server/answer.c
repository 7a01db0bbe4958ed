/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/answer.h"

#include "zonedb/image.h"
#include "zonedb/image_respond.h"

/* The image is right for this view if it is of the same snapshot, before and after it was read. */
static size_t answer_from_image(struct zonedb_view *view, const struct answer_image *image,
                                bool is_tcp, const uint8_t *request, size_t request_len,
                                uint8_t *response, size_t response_cap)
{
    const uint64_t *version_now =
        &((const struct image_head *)(const void *)image->octets)->version;
    uint64_t version = zonedb_view_version(view);
    if (__atomic_load_n(version_now, __ATOMIC_ACQUIRE) != version)
        return 0;
    size_t len = image_respond(image->octets, image->len, is_tcp, request, request_len, response,
                               response_cap);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(version_now, __ATOMIC_RELAXED) == version ? len : 0;
}

size_t answer_request(struct zonedb_view *view, const struct answer_image *image,
                      const struct respond_policy *policy, const struct respond_client *client,
                      const uint8_t *request, size_t request_len, uint8_t *response,
                      size_t response_cap)
{
    size_t len = 0;
    if (image != NULL && client->restraint == RESPOND_FREELY)
        len = answer_from_image(view, image, client->transport == RESPOND_TCP, request, request_len,
                                response, response_cap);
    return len != 0 ? len
                    : respond(view, policy, client, request, request_len, response, response_cap);
}
