/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/question.h"

#include "stateless_tcp/wire.h"
#include "zonedb/checksum.h"
#include "zonedb/name.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COMPLAINTS_MAX 10
#define LINE_CAP 4096 /* the longest name in escapes has 1,004 */
#define OPT_LEN 11
#define CHECKSUM_OPTION_LEN (4 + QUESTION_NONCE_LEN + 1)

static const struct {
    const char *name;
    uint16_t type;
} types[] = {
    {"A", 1},       {"NS", 2},         {"CNAME", 5},       {"SOA", 6},    {"PTR", 12},
    {"HINFO", 13},  {"MX", 15},        {"TXT", 16},        {"RP", 17},    {"AFSDB", 18},
    {"KEY", 25},    {"AAAA", 28},      {"LOC", 29},        {"SRV", 33},   {"NAPTR", 35},
    {"CERT", 37},   {"DNAME", 39},     {"APL", 42},        {"DS", 43},    {"SSHFP", 44},
    {"RRSIG", 46},  {"NSEC", 47},      {"DNSKEY", 48},     {"NSEC3", 50}, {"NSEC3PARAM", 51},
    {"TLSA", 52},   {"SMIMEA", 53},    {"HIP", 55},        {"CDS", 59},   {"CDNSKEY", 60},
    {"CSYNC", 62},  {"ZONEMD", 63},    {"SVCB", 64},       {"HTTPS", 65}, {"SPF", 99},
    {"EUI48", 108}, {"EUI64", 109},    {"OPENPGPKEY", 61}, {"ANY", 255},  {"URI", 256},
    {"CAA", 257},   {"MD", 3},         {"MF", 4},          {"MB", 7},     {"MG", 8},
    {"MR", 9},      {"NULL", 10},      {"WKS", 11},        {"MINFO", 14}, {"X25", 19},
    {"ISDN", 20},   {"RT", 21},        {"NSAP", 22},       {"SIG", 24},   {"PX", 26},
    {"GPOS", 27},   {"NXT", 30},       {"KX", 36},         {"A6", 38},    {"IPSECKEY", 45},
    {"DHCID", 49},  {"TALINK", 58},    {"NID", 104},       {"L32", 105},  {"L64", 106},
    {"LP", 107},    {"AMTRELAY", 260}, {"DLV", 32769},
};

uint16_t question_type(const char *text)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcasecmp(types[i].name, text) == 0)
            return types[i].type;
    if (strncasecmp(text, "TYPE", 4) != 0)
        return 0;
    size_t digits = strspn(text + 4, "0123456789");
    unsigned long value = strtoul(text + 4, NULL, 10);
    return digits > 0 && digits <= 5 && text[4 + digits] == '\0' && value <= 65535 ? (uint16_t)value
                                                                                   : 0;
}

uint16_t question_sum(const uint8_t *octets, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += wire_load_be16(octets + i);
    if (len % 2 == 1)
        sum += (uint32_t)octets[len - 1] << 8;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

void question_pool_begin(struct question_pool *pool, const struct question_form *form)
{
    *pool = (struct question_pool){.form = *form};
    if (form->has_edns || form->is_do || form->has_checksum) {
        pool->form.has_edns = true;
        pool->tail_len = OPT_LEN + (form->has_checksum ? CHECKSUM_OPTION_LEN : 0);
    }
}

void question_pool_end(struct question_pool *pool)
{
    free(pool->octets);
    free(pool->offsets);
    free(pool->sums);
    free(pool->rcodes);
    *pool = (struct question_pool){0};
}

static bool grow(void **memory, size_t count, size_t size)
{
    void *larger = reallocarray(*memory, count, size);
    if (larger == NULL)
        return false;
    *memory = larger;
    return true;
}

static int pool_reserve(struct question_pool *pool)
{
    if (pool->len + 2 + QUESTION_MESSAGE_MAX > UINT32_MAX)
        return -EFBIG;
    if (pool->cap - pool->len < 2 + QUESTION_MESSAGE_MAX) {
        size_t cap = pool->cap * 2 + 65536;
        if (!grow((void **)&pool->octets, cap, 1))
            return -ENOMEM;
        pool->cap = cap;
    }
    if (pool->count == pool->count_cap) {
        uint32_t cap = pool->count_cap * 2 + 1024;
        if (!grow((void **)&pool->offsets, (size_t)cap + 1, sizeof *pool->offsets) ||
            !grow((void **)&pool->sums, cap, sizeof *pool->sums) ||
            !grow((void **)&pool->rcodes, cap, sizeof *pool->rcodes))
            return -ENOMEM;
        pool->count_cap = cap;
    }
    return 0;
}

/* RFC 6891 6.1.2, with the option that is asked for. Returns its length. */
static size_t put_opt(const struct question_form *form, uint8_t *at)
{
    memset(at, 0, OPT_LEN);
    wire_store_be16(at + 1, 41);
    wire_store_be16(at + 3, form->payload);
    at[7] = form->is_do ? 0x80 : 0;
    if (!form->has_checksum)
        return OPT_LEN;
    static const uint8_t nonce[QUESTION_NONCE_LEN];
    size_t len = checksum_request_write(CHECKSUM_LAYOUT_01, nonce, at + OPT_LEN + 4);
    assert(len + 4 == CHECKSUM_OPTION_LEN);
    wire_store_be16(at + 9, CHECKSUM_OPTION_LEN);
    wire_store_be16(at + OPT_LEN, form->checksum_code);
    wire_store_be16(at + OPT_LEN + 2, (uint16_t)len);
    return OPT_LEN + CHECKSUM_OPTION_LEN;
}

int question_add(struct question_pool *pool, const uint8_t *name, uint16_t type,
                 uint8_t expected_rcode)
{
    int result = pool_reserve(pool);
    if (result != 0)
        return result;
    uint8_t *framed = pool->octets + pool->len, *at = framed + 2;
    memset(at, 0, QUESTION_HEADER_LEN);
    at[2] = pool->form.has_rd ? 1 : 0;
    at[5] = 1;
    at[11] = pool->form.has_edns ? 1 : 0;
    at += QUESTION_HEADER_LEN;
    size_t name_octets = name_len(name, NAME_MAX_LEN);
    memcpy(at, name, name_octets);
    at += name_octets;
    wire_store_be16(at, type);
    wire_store_be16(at + 2, 1);
    at += 4;
    if (pool->form.has_edns)
        at += put_opt(&pool->form, at);
    size_t len = (size_t)(at - framed) - 2;
    wire_store_be16(framed, (uint16_t)len);
    pool->offsets[pool->count] = (uint32_t)pool->len;
    pool->sums[pool->count] = question_sum(framed + 2, len);
    pool->rcodes[pool->count++] = expected_rcode;
    pool->len += 2 + len;
    pool->offsets[pool->count] = (uint32_t)pool->len;
    return 0;
}

/* One line, NUL-terminated, its end cut off. Returns what is wrong with it; NULL: nothing, with
 * *result_out as of question_add(). */
static const char *add_line(struct question_pool *pool, char *line, int *result_out)
{
    uint8_t wire[NAME_MAX_LEN];
    char *rest = line + strspn(line, " \t\r");
    *result_out = 0;
    if (*rest == '\0' || *rest == ';' || *rest == '#')
        return NULL;
    char *name = strsep(&rest, " \t\r");
    if (rest != NULL)
        rest += strspn(rest, " \t\r");
    if (rest == NULL || *rest == '\0')
        return "a line has a name and a type, for example \"www.example.com A\"";
    char *type_text = strsep(&rest, " \t\r");
    if (rest != NULL && rest[strspn(rest, " \t\r")] != '\0')
        return "there is something behind the type";
    uint16_t type = question_type(type_text);
    if (type == 0)
        return "this is no type; an unknown one is written as TYPE123";
    if (name_from_text(name, wire) == 0)
        return "this is no domain name";
    *result_out = question_add(pool, wire, type, QUESTION_RCODE_ANY);
    return NULL;
}

/* A line without its end, NUL-terminated, *len_out octets; longer ones are cut. false: there is
 * none. */
static bool read_line(FILE *file, char line[LINE_CAP], size_t *len_out)
{
    size_t len = 0;
    int c = EOF;
    while (len < LINE_CAP - 1 && (c = getc_unlocked(file)) != EOF && c != '\n')
        line[len++] = (char)c;
    line[len] = '\0';
    *len_out = len;
    return len > 0 || c != EOF;
}

int question_read(struct question_pool *pool, FILE *file, const char *path, FILE *complaints,
                  struct question_error *error)
{
    char line[LINE_CAP];
    size_t len = 0;
    unsigned long number = 0, wrong = 0;
    int result = 0;
    errno = 0;
    while (result == 0 && len < LINE_CAP - 1 && read_line(file, line, &len)) {
        number++;
        const char *complaint = len == LINE_CAP - 1   ? "this line is too long"
                                : strlen(line) == len ? add_line(pool, line, &result)
                                                      : "there is a NUL in this line";
        if (complaint != NULL && wrong++ < COMPLAINTS_MAX)
            fprintf(complaints, "%s:%lu: %s\n", path, number, complaint);
    }
    if (ferror(file))
        result = errno != 0 ? -errno : -EIO;
    if (result != 0)
        snprintf(error->text, sizeof error->text, "cannot read questions from %s: %s", path,
                 result == -EFBIG ? "more than 4 GiB of them" : strerror(-result));
    else if (wrong > 0)
        snprintf(error->text, sizeof error->text, "%lu line%s of %s %s no question", wrong,
                 wrong == 1 ? "" : "s", path, wrong == 1 ? "is" : "are");
    return result == 0 && wrong > 0 ? -EINVAL : result;
}

uint16_t question_copy(const struct question_pool *pool, uint32_t index, uint16_t id,
                       uint64_t nonce, uint8_t *out)
{
    uint16_t len = question_len(pool, index);
    memcpy(out, question_framed(pool, index) + 2, len);
    wire_store_be16(out, id);
    if (pool->form.has_checksum)
        memcpy(out + len - QUESTION_NONCE_LEN - 1, &nonce, QUESTION_NONCE_LEN);
    return len;
}
