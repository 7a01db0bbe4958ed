/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A request with a COOKIE option of whatever octets, or one that was made right and then damaged: it is
 * taken if, and only if, a second opinion on RFC 9018 finds one of the secrets, this address and the
 * time in it; and whatever came, the response's is taken.
 *
 *     how | now, 4 octets | made, 4 | address, 16 | where, what: damage | COOKIE's data
 */
#include "../unit/message.h"
#include "fuzz.h"
#include "zonedb/dns_cookie.h"
#include "zonedb/respond.h"

#define HEAD_LEN (1 + 4 + 4 + 16 + 2)

static const struct dns_cookie_secrets secrets = {3, {{1, 2, 3}, {0xff, 0xfe}, {0}}};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint64_t rotated(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void half_round(uint64_t v[4], unsigned a, unsigned b, unsigned c, unsigned d, unsigned by,
                       unsigned and_by)
{
    v[a] += v[b];
    v[c] += v[d];
    v[b] = rotated(v[b], by) ^ v[a];
    v[d] = rotated(v[d], and_by) ^ v[c];
    v[a] = rotated(v[a], 32);
}

static void rounds(uint64_t v[4], unsigned count)
{
    for (; count > 0; count--) {
        half_round(v, 0, 1, 2, 3, 13, 16);
        half_round(v, 2, 1, 0, 3, 17, 21);
    }
}

/* SipHash-2-4 as its authors draw it, in octets. */
static void second_hash(const uint8_t *key, const uint8_t *in, size_t len, uint8_t *out)
{
    uint64_t k[2] = {0}, v[4], word = 0;
    for (unsigned i = 0; i < 16; i++)
        k[i / 8] |= (uint64_t)key[i] << 8 * (i % 8);
    v[0] = k[0] ^ 0x736f6d6570736575u;
    v[1] = k[1] ^ 0x646f72616e646f6du;
    v[2] = k[0] ^ 0x6c7967656e657261u;
    v[3] = k[1] ^ 0x7465646279746573u;
    for (size_t i = 0; i < len + 8 - len % 8; i++) {
        uint8_t octet = i < len ? in[i] : i % 8 == 7 ? (uint8_t)len : 0;
        word |= (uint64_t)octet << 8 * (i % 8);
        if (i % 8 == 7) {
            v[3] ^= word;
            rounds(v, 2);
            v[0] ^= word;
            word = 0;
        }
    }
    v[2] ^= 0xff;
    rounds(v, 4);
    word = v[0] ^ v[1] ^ v[2] ^ v[3];
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(word >> 8 * i);
}

static void second_make(const uint8_t *secret, const uint8_t *address, size_t address_len,
                        const uint8_t *first, uint8_t *out)
{
    uint8_t in[32];
    memcpy(in, first, 16);
    memcpy(in + 16, address, address_len);
    memcpy(out, first, 16);
    second_hash(secret, in, 16 + address_len, out + 16);
}

static bool second_opinion(const uint8_t *address, size_t address_len, uint32_t now_s,
                           const uint8_t *cookie, size_t len)
{
    uint8_t right[24];
    if (len != 24 || cookie[8] != 1)
        return false;
    uint32_t behind_s = now_s - get32(cookie + 12), ahead_s = get32(cookie + 12) - now_s;
    if (behind_s > 3600 && ahead_s > 300)
        return false;
    for (unsigned i = 0; i < secrets.count; i++) {
        second_make(secrets.octets[i], address, address_len, cookie, right);
        if (memcmp(right, cookie, sizeof right) == 0)
            return true;
    }
    return false;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

/* Make the cookie right, with what was given for the client's part, and damage one octet of it. */
static size_t made_right(const uint8_t *data, const uint8_t *address, size_t address_len,
                         uint8_t *cookie)
{
    uint8_t first[16];
    memcpy(first, cookie, 8);
    memcpy(first + 8, (const uint8_t[4]){1, data[0] & 16 ? data[26] : 0}, 4);
    memcpy(first + 12, data + 5, 4);
    second_make(secrets.octets[(data[0] >> 2) % 3], address, address_len, first, cookie);
    cookie[data[25] % 24] ^= data[0] & 32 ? data[26] : 0;
    return 24;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct message message;
    uint8_t request[512], option[4 + 64] = {0, 10}, response[RESPOND_UDP_PAYLOAD_DEFAULT];
    if (size < HEAD_LEN || size > HEAD_LEN + 60)
        return 0;
    size_t len = size - HEAD_LEN, address_len = data[0] & 1 ? 16 : 4;
    uint8_t *address = exact_copy(data + 9, address_len);
    uint32_t now_s = get32(data + 1);
    memcpy(option + 4, data + HEAD_LEN, len);
    if (data[0] & 2)
        len = made_right(data, address, address_len, option + 4);
    option[3] = (uint8_t)len;
    struct respond_policy policy = respond_policy_default();
    policy.cookie = &secrets;
    struct respond_client client = {.now_s = UINT64_C(1) << 32 | now_s,
                                    .address = address,
                                    .address_len = (uint8_t)address_len};
    size_t request_len = request_make(request, "www.example.", 1, 1232, false, option, 4 + len);
    uint8_t *exact = exact_copy(request, request_len);
    bool is_good = respond_has_cookie(&policy, &client, exact, request_len);
    MUST(is_good == second_opinion(address, address_len, now_s, option + 4, len));
    /* Nobody is admitted: there is no view to look into. */
    client.restraint = is_good ? RESPOND_TRUNCATED : RESPOND_WITH_COOKIE;
    size_t response_len =
        respond(NULL, &policy, &client, exact, request_len, response, sizeof response);
    message_parse(&message, response, response_len);
    unsigned back_len = 0;
    const uint8_t *back = message_option(&message, 10, &back_len);
    MUST((back != NULL) == dns_cookie_has_len(len));
    MUST(message.rcode == (back == NULL ? 1u : is_good ? 0u : 23u));
    if (back != NULL) {
        MUST(back_len == 24 && memcmp(back, option + 4, 8) == 0);
        MUST(second_opinion(address, address_len, now_s, back, back_len));
    }
    free(exact);
    free(address);
    return 0;
}
