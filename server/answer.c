/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/answer.h"

#include "zonedb/image.h"
#include "zonedb/image_respond.h"

#include <string.h>

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

/* ---- COOKIE ----
 *
 * An image knows requests whose OPT has no option. One that ends with COOKIE, as those of most
 * clients that have any, is asked without, and the option put behind the answer: octet for octet
 * what respond() makes of it. */

#define HEADER_LEN 12
#define QUESTION_MAX (255 + 4)
#define OPT_LEN 11
#define OPTION_LEN 4
#define EDNS_COOKIE 10

static unsigned be16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* Octets of the COOKIE at the end of a request that has OPT with nothing else; 0: it is not so. That
 * these octets are an OPT is for the image to find: it wants one behind the question. */
static size_t cookie_at_end(const uint8_t *request, size_t len)
{
    static const size_t lens[] = {DNS_COOKIE_LEN, DNS_COOKIE_CLIENT_LEN};
    for (unsigned i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        size_t opt_len = OPT_LEN + OPTION_LEN + lens[i];
        if (len < HEADER_LEN + opt_len || len - opt_len > HEADER_LEN + QUESTION_MAX)
            continue;
        const uint8_t *opt = request + len - opt_len;
        if (be16(opt + 9) == OPTION_LEN + lens[i] && be16(opt + OPT_LEN) == EDNS_COOKIE &&
            be16(opt + OPT_LEN + 2) == lens[i])
            return lens[i];
    }
    return 0;
}

/* Room for an answer without COOKIE. */
static size_t cap_without_cookie(const struct respond_policy *policy, bool is_tcp, unsigned payload,
                                 size_t cap)
{
    if (!is_tcp) {
        size_t limit = payload < RESPOND_UDP_PAYLOAD_MIN ? RESPOND_UDP_PAYLOAD_MIN : payload;
        limit = limit < policy->udp_payload ? limit : policy->udp_payload;
        cap = limit < cap ? limit : cap;
    }
    return cap - OPTION_LEN - DNS_COOKIE_LEN;
}

static size_t answer_with_cookie(struct zonedb_view *view, const struct answer_image *image,
                                 const struct respond_policy *policy,
                                 const struct respond_client *client, const uint8_t *request,
                                 size_t request_len, size_t cookie_len, uint8_t *response,
                                 size_t response_cap)
{
    uint8_t plain[HEADER_LEN + QUESTION_MAX + OPT_LEN];
    bool is_tcp = client->transport == RESPOND_TCP;
    size_t plain_len = request_len - OPTION_LEN - cookie_len;
    memcpy(plain, request, plain_len);
    memset(plain + plain_len - 2, 0, 2);
    size_t len = answer_from_image(
        view, image, is_tcp, plain, plain_len, response,
        cap_without_cookie(policy, is_tcp, be16(plain + plain_len - OPT_LEN + 3), response_cap));
    if (len == 0)
        return 0;
    uint8_t *option = response + len;
    option[-1] = OPTION_LEN + DNS_COOKIE_LEN;
    memcpy(option, (const uint8_t[OPTION_LEN]){0, EDNS_COOKIE, 0, DNS_COOKIE_LEN}, OPTION_LEN);
    respond_cookie_write(policy, client, request + request_len - cookie_len, cookie_len,
                         option + OPTION_LEN);
    return len + OPTION_LEN + DNS_COOKIE_LEN;
}

size_t answer_request(struct zonedb_view *view, const struct answer_image *image,
                      const struct respond_policy *policy, const struct respond_client *client,
                      const uint8_t *request, size_t request_len, uint8_t *response,
                      size_t response_cap)
{
    size_t len = 0, cookie_len;
    if (image != NULL && client->restraint == RESPOND_FREELY) {
        len = answer_from_image(view, image, client->transport == RESPOND_TCP, request, request_len,
                                response, response_cap);
        if (len == 0 && policy->cookie != NULL &&
            (cookie_len = cookie_at_end(request, request_len)) != 0)
            len = answer_with_cookie(view, image, policy, client, request, request_len, cookie_len,
                                     response, response_cap);
    }
    return len != 0 ? len
                    : respond(view, policy, client, request, request_len, response, response_cap);
}
