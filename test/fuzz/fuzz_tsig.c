/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signed requests, right and wrong. The first octets of the input choose transport, limits, key,
 * time and damage; the rest is a request, which may be signed here and altered then. Whatever is
 * answered with a signature must have had a good one, by the judgement of other code; what was
 * signed and not altered must get one. The same octets are then taken for a response.
 */
#include "../unit/tsig_second.h"
#include "../unit/zone_fixture.h"
#include "fuzz.h"
#include "zonedb/respond.h"
#include "zonedb/tsig.h"

#define NOW_S UINT64_C(1700000000)
#define HEAD_LEN 4
#define KEY_COUNT 4
#define REQUEST_CAP 65535

enum choice {
    CHOICE_KEY = 3,
    CHOICE_TCP = 4,
    CHOICE_SIGN = 8,
    CHOICE_SHORT = 16,
    CHOICE_NO_KEYS = 32,
    CHOICE_ALTER = 64,
};

static const struct second_key second_keys[KEY_COUNT] = {
    {".", SECOND_SHA256, (const uint8_t[32]){0}, 32},
    {"k.", SECOND_SHA1, (const uint8_t *)"one", 3},
    {"key.", SECOND_SHA384, (const uint8_t *)"two", 3},
    {"key.example.", SECOND_SHA512, (const uint8_t *)"three", 5},
};

static struct fixture fixture;
static struct message message;
static struct tsig_key keys[KEY_COUNT];
static const struct tsig_keys table = {keys, KEY_COUNT};
static uint8_t again[RESPOND_MESSAGE_MAX];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const enum tsig_algorithm algorithms[KEY_COUNT] = {
        TSIG_HMAC_SHA256, TSIG_HMAC_SHA1, TSIG_HMAC_SHA384_192, TSIG_HMAC_SHA512};
    (void)argc;
    (void)argv;
    fixture_open(&fixture);
    fixture_unlink(&fixture);
    fixture_load(
        &fixture, "example.",
        "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\nsub 60 NS a.sub\n"
        "a.sub 60 A 192.0.2.2\n* 60 TXT "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        uint8_t name[NAME_MAX_LEN];
        MUST(name_from_text(second_keys[i].name, name) > 0);
        MUST(tsig_key_set(&keys[i], name, algorithms[i], second_keys[i].secret,
                          second_keys[i].secret_len));
        MUST(i == 0 || tsig_key_compare(&keys[i - 1], &keys[i]) < 0);
    }
    return 0;
}

static const struct second_key *signer_of(const uint8_t *m, const struct second *s,
                                          const struct second *prior)
{
    for (unsigned i = 0; i < KEY_COUNT; i++)
        if (second_is_signed(&second_keys[i], m, s, prior))
            return &second_keys[i];
    return NULL;
}

/* Returns whether the response is signed, and says that all was well. */
static bool check(const uint8_t *request, size_t request_len, const uint8_t *response, size_t len)
{
    struct second asked, answered;
    message_parse(&message, response, len);
    MUST((response[2] & 0x80) != 0 && memcmp(response, request, 2) == 0);
    if (!second_find(response, len, &answered)) {
        for (unsigned i = 0; i < message.record_count; i++)
            MUST(message.record[i].type != 250);
        return false;
    }
    MUST(second_find(request, request_len, &asked));
    unsigned error = get16(answered.rest + 2);
    if (answered.mac_len == 0) {
        MUST(message.rcode == 9 && (error == TSIG_BADKEY || error == TSIG_BADSIG));
        MUST(signer_of(request, &asked, NULL) == NULL || error == TSIG_BADKEY);
        MUST(message.count[0] == 0 && message.count[1] == 0);
        return false;
    }
    const struct second_key *key = signer_of(request, &asked, NULL);
    MUST(key != NULL && signer_of(response, &answered, &asked) == key);
    MUST(memcmp(answered.times, asked.times, 6) == 0);
    MUST(error == 0 || message.rcode == 9);
    return error == 0;
}

/* A response that a client got: good only if the other code says so too. */
static void check_as_client(const struct tsig_asked *asked, const uint8_t *data, size_t size)
{
    struct tsig tsig;
    struct second found, prior = {.mac = asked->mac, .mac_len = (unsigned)asked->mac_len};
    enum tsig_answer verdict = tsig_response_verify(asked, data, size, NOW_S, &tsig);
    if (verdict == TSIG_ANSWER_GOOD || verdict == TSIG_ANSWER_REFUSED)
        MUST(second_find(data, size, &found) && signer_of(data, &found, &prior) != NULL);
    if (verdict != TSIG_ANSWER_ABSENT && verdict != TSIG_ANSWER_MALFORMED)
        MUST(second_find(data, size, &found) && found.at == tsig.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[REQUEST_CAP];
    if (size < HEAD_LEN + 12 || size - HEAD_LEN > REQUEST_CAP)
        return 0;
    uint8_t choice = data[0];
    struct respond_policy policy = respond_policy_default();
    policy.tsig = choice & CHOICE_NO_KEYS ? NULL : &table;
    policy.udp_payload = choice & CHOICE_SHORT ? 512 : 4096;
    int64_t shift_s = (int64_t)(int8_t)data[1] * 5;
    struct respond_client client = {.transport = choice & CHOICE_TCP ? RESPOND_TCP : RESPOND_UDP,
                                    .now_s = NOW_S + (uint64_t)shift_s};
    struct tsig_asked asked = {.key = &keys[choice & CHOICE_KEY], .mac_len = 16};
    size_t request_len = size - HEAD_LEN, signed_len = 0;
    memcpy(room, data + HEAD_LEN, request_len);
    size_t plain_len = respond(fixture.view, &policy, &client, room, request_len, again, 512);
    bool is_whole = plain_len != 0 && (again[3] & 15) != 1 && (again[3] & 15) != 4;
    if (choice & CHOICE_SIGN)
        signed_len = tsig_request_sign(asked.key, NOW_S, data, data[1] % 9u, room, request_len,
                                       sizeof room, &asked);
    request_len = signed_len != 0 ? signed_len : request_len;
    bool is_altered = (choice & CHOICE_ALTER) != 0;
    if (is_altered)
        room[((size_t)data[2] << 8 | data[3]) % request_len] ^= (uint8_t)(1u << (data[1] & 7));
    size_t cap = client.transport == RESPOND_TCP ? RESPOND_MESSAGE_MAX : policy.udp_payload;
    uint8_t *request = exact_copy(room, request_len), *response = malloc(cap);
    MUST(response != NULL);
    size_t len = respond(fixture.view, &policy, &client, request, request_len, response, cap);
    MUST(len <= cap);
    bool is_good = len != 0 && check(request, request_len, response, len);
    bool is_in_time = shift_s >= -300 && shift_s <= 300;
    struct second before;
    if (signed_len != 0 && !is_altered && policy.tsig != NULL && is_in_time && is_whole)
        MUST(is_good || second_find(data + HEAD_LEN, size - HEAD_LEN, &before)); /* signed twice */
    MUST(!is_good || policy.tsig != NULL);
    MUST(respond(fixture.view, &policy, &client, request, request_len, again, cap) == len);
    MUST(memcmp(again, response, len) == 0);
    check_as_client(&asked, request, request_len);
    if (signed_len != 0 && len != 0)
        check_as_client(&asked, response, len);
    free(request);
    free(response);
    return 0;
}
