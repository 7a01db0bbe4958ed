/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Arbitrary requests to an image, whole or damaged. The answers of a whole one are respond()'s; a
 * damaged one may say anything, but nothing outside of it is read, nor written outside of the
 * response.
 *
 * The first octet of the input says over which transport, and how many octets of the image are
 * others; for each of them three octets say which and what; the rest is the request.
 */
#include "../unit/template_check.h"
#include "../unit/zone_fixture.h"
#include "fuzz.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"

#define IMAGE_LEN_MAX ((size_t)1 << 20)

static const char zone_text[] =
    "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 7 3600 900 604800 300\n@ NS ns1\n"
    "ns1 A 192.0.2.1\na.ent A 192.0.2.3\nold DNAME new\nalias CNAME ns1\n@ MX 1 ns1\n"
    "sub NS ns.sub\nns.sub A 192.0.2.4\nsub DS 1 8 1 0000000000000000000000000000000000000000\n";
static const char signed_text[] =
    "@ 60 SOA a.signed. b 1 2 3 4 5\n@ 60 NS a.signed.\n@ 60 NSEC a.signed. SOA NS NSEC\n"
    "a 60 A 192.0.2.1\na 60 NSEC cut.signed. A NSEC\n"
    "a 60 RRSIG A 13 2 60 20300101000000 20200101000000 1 signed. AAAA\n"
    "cut 60 NS ns.cut.signed.\nns.cut 60 A 192.0.2.2\ncut 60 NSEC signed. NS NSEC\n";

static struct fixture fixture;
static struct respond_policy policy;
static uint8_t *image_octets, *whole;
static size_t image_len;
static uint32_t *used_at; /* octets that are not 0: to change these tells most */
static uint32_t used_count;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct image *image;
    (void)argc;
    (void)argv;
    fixture_open(&fixture);
    fixture_unlink(&fixture);
    fixture_load(&fixture, "example.", zone_text);
    fixture_load(&fixture, "signed.", signed_text);
    policy = respond_policy_default();
    struct image_memory memory = {aligned_alloc(4096, IMAGE_LEN_MAX), IMAGE_LEN_MAX};
    MUST(memory.octets != NULL && image_open(&policy, &image) == 0);
    MUST(image_build(image, memory, fixture.view) == 0);
    /* Just as long as it is, so that what lies behind is noticed. */
    image_len = image_used(image);
    whole = malloc(image_len);
    image_octets = aligned_alloc(16, image_len);
    used_at = malloc(image_len * sizeof *used_at);
    MUST(whole != NULL && image_octets != NULL && used_at != NULL);
    memcpy(whole, memory.octets, image_len);
    memcpy(image_octets, whole, image_len);
    for (uint32_t at = 0; at < image_len; at++)
        if (whole[at] != 0)
            used_at[used_count++] = at;
    image_close(image);
    free(memory.octets);
    return 0;
}

/* Which octet the `i`th damage is of. */
static uint32_t damaged_at(const uint8_t *data, unsigned i)
{
    return used_at[((uint32_t)data[1 + 3 * i] << 8 | data[2 + 3 * i]) % used_count];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t plain[RESPOND_MESSAGE_MAX];
    if (size == 0 || size - 1 < 3u * (data[0] & 7))
        return 0;
    unsigned damage = data[0] & 7;
    struct respond_client client = {.transport = data[0] & 32 ? RESPOND_TCP : RESPOND_UDP};
    size_t cap = data[0] & 64 ? 512 : RESPOND_MESSAGE_MAX, request_len = size - 1 - 3 * damage;
    for (unsigned i = 0; i < damage; i++)
        image_octets[damaged_at(data, i)] = data[3 + 3 * i];
    uint8_t *request = exact_copy(data + 1 + 3 * damage, request_len), *response = malloc(cap);
    MUST(response != NULL);
    size_t len = image_respond(image_octets, image_len, client.transport == RESPOND_TCP, request,
                               request_len, response, cap);
    MUST(len <= cap);
    if (damage == 0 && len > 0) {
        MUST(respond_plainly(fixture.view, &policy, &client, request, request_len, plain, cap) ==
             len);
        MUST(memcmp(plain, response, len) == 0);
    }
    for (unsigned i = 0; i < damage; i++)
        image_octets[damaged_at(data, i)] = whole[damaged_at(data, i)];
    free(request);
    free(response);
    return 0;
}
