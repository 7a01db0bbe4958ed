/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/name.h"

#include <assert.h>
#include <string.h>

size_t name_len(const uint8_t *name, size_t available)
{
    size_t at = 0, end = available < NAME_MAX_LEN ? available : NAME_MAX_LEN;
    while (at < end && name[at] <= 63) {
        if (name[at] == 0)
            return at + 1;
        at += 1u + name[at];
    }
    return 0;
}

unsigned name_label_count(const uint8_t *name)
{
    unsigned count = 0;
    for (; name[0] != 0; name += 1 + name[0])
        count++;
    return count;
}

const uint8_t *name_skip(const uint8_t *name, unsigned labels)
{
    for (; labels > 0; labels--) {
        assert(name[0] != 0);
        name += 1 + name[0];
    }
    return name;
}

bool name_label_equal(const uint8_t *a, const uint8_t *b)
{
    if (a[0] != b[0])
        return false;
    if (memcmp(a + 1, b + 1, a[0]) == 0)
        return true;
    for (unsigned i = 1; i <= a[0]; i++)
        if (name_octet_lower(a[i]) != name_octet_lower(b[i]))
            return false;
    return true;
}

bool name_equal(const uint8_t *a, const uint8_t *b)
{
    /* Length octets are below 'A', so that folding them changes nothing. */
    for (;;) {
        uint8_t len = a[0];
        if (len != b[0])
            return false;
        if (len == 0)
            return true;
        for (unsigned i = 1; i <= len; i++)
            if (name_octet_lower(a[i]) != name_octet_lower(b[i]))
                return false;
        a += 1 + len;
        b += 1 + len;
    }
}

bool name_is_at_or_below(const uint8_t *name, const uint8_t *parent)
{
    return name_ends_in(name, name_len(name, NAME_MAX_LEN), parent, name_len(parent, NAME_MAX_LEN));
}

bool name_ends_in(const uint8_t *name, size_t name_octets, const uint8_t *parent,
                  size_t parent_octets)
{
    if (name_octets < parent_octets)
        return false;
    const uint8_t *suffix = name + (name_octets - parent_octets);
    while (name < suffix)
        name += 1 + name[0];
    return name == suffix && (memcmp(name, parent, parent_octets) == 0 || name_equal(name, parent));
}

int name_compare(const uint8_t *a, const uint8_t *b)
{
    uint8_t a_key[NAME_KEY_MAX], b_key[NAME_KEY_MAX];
    size_t a_len = name_to_key(a, a_key), b_len = name_to_key(b, b_key);
    int order = memcmp(a_key, b_key, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

size_t name_copy_lower(uint8_t *out, const uint8_t *name)
{
    /* Length octets are below 'A': folding them changes nothing. */
    size_t len = 0;
    while (name[len] != 0)
        len += 1u + name[len];
    for (size_t i = 0; i <= len; i++)
        out[i] = name_octet_lower(name[i]);
    return len + 1;
}

unsigned name_to_key_labels(const uint8_t *name, uint8_t *key, size_t at, uint16_t *end_out)
{
    uint8_t label_at[NAME_LABELS_MAX];
    unsigned label_count = 0, labels = 0;
    for (size_t i = 0; name[i] != 0; i += 1u + name[i]) {
        assert(label_count < NAME_LABELS_MAX);
        label_at[label_count] = (uint8_t)i;
        label_count++;
    }
    end_out[0] = (uint16_t)at;
    uint8_t *k = key + at;
    while (labels < label_count) {
        const uint8_t *c = name + label_at[label_count - 1 - labels];
        const uint8_t *end = c + c[0];
        while (c < end) {
            c++;
            *k = name_octet_lower(*c);
            if (*c <= 1) {
                *k = 1;
                k++;
                *k = (uint8_t)(*c + 1);
            }
            k++;
        }
        *k = 0;
        k++;
        labels++;
        end_out[labels] = (uint16_t)(k - key);
    }
    assert(k - key - (ptrdiff_t)at <= NAME_KEY_MAX);
    return label_count;
}

size_t name_to_key(const uint8_t *name, uint8_t *key)
{
    uint16_t end[NAME_LABELS_MAX + 1];
    unsigned label_count = name_to_key_labels(name, key, 0, end);
    return end[label_count];
}

/* One label of a key, up to its terminator, unescaped into `label` (room for 63).
 * Returns its length, 0 if malformed; *key_at moves behind the terminator. */
static size_t label_from_key(const uint8_t *key, size_t key_len, size_t *key_at, uint8_t *label)
{
    size_t len = 0;
    for (size_t at = *key_at; at < key_len; at++) {
        if (key[at] == 0) {
            *key_at = at + 1;
            return len;
        }
        if (len == 63)
            return 0;
        if (key[at] == 1) {
            at++;
            if (at == key_len || key[at] < 1 || key[at] > 2)
                return 0;
            label[len] = (uint8_t)(key[at] - 1);
        } else {
            label[len] = key[at];
        }
        len++;
    }
    return 0;
}

size_t name_from_key(const uint8_t *key, size_t key_len, uint8_t *name)
{
    /* Labels come root first: fill from the end of a scratch buffer towards its beginning. */
    uint8_t scratch[NAME_MAX_LEN];
    size_t begin = sizeof scratch - 1, at = 0;
    scratch[begin] = 0;
    while (at < key_len) {
        uint8_t label[63];
        size_t len = label_from_key(key, key_len, &at, label);
        if (len == 0 || len + 1 > begin)
            return 0;
        begin -= len + 1;
        scratch[begin] = (uint8_t)len;
        memcpy(scratch + begin + 1, label, len);
    }
    memcpy(name, scratch + begin, sizeof scratch - begin);
    return sizeof scratch - begin;
}

/* One octet of a label in presentation format; *text moves behind it. Returns -1 if malformed. */
static int octet_from_text(const char **text)
{
    const char *t = *text;
    if (t[0] != '\\') {
        *text = t + 1;
        return (unsigned char)t[0];
    }
    if (t[1] == '\0')
        return -1;
    if (t[1] < '0' || t[1] > '9') {
        *text = t + 2;
        return (unsigned char)t[1];
    }
    int value = 0;
    for (int i = 1; i <= 3; i++) {
        if (t[i] < '0' || t[i] > '9')
            return -1;
        value = 10 * value + (t[i] - '0');
    }
    *text = t + 4;
    return value <= 255 ? value : -1;
}

size_t name_from_text(const char *text, uint8_t *name)
{
    size_t len = 0; /* of complete labels */
    if (text[0] == '\0')
        return 0;
    if (text[0] == '.' && text[1] == '\0') {
        name[0] = 0;
        return 1;
    }
    while (text[0] != '\0') {
        size_t label_len = 0;
        while (text[0] != '\0' && text[0] != '.') {
            int octet = octet_from_text(&text);
            if (octet < 0 || label_len == 63 || len + 1 + label_len + 1 >= NAME_MAX_LEN)
                return 0;
            label_len++;
            name[len + label_len] = (uint8_t)octet;
        }
        if (label_len == 0)
            return 0;
        name[len] = (uint8_t)label_len;
        len += 1 + label_len;
        if (text[0] == '.')
            text++;
    }
    name[len] = 0;
    return len + 1;
}

char *name_to_text(const uint8_t *name, char *text)
{
    char *t = text;
    if (name[0] == 0)
        *t++ = '.';
    for (; name[0] != 0; name += 1 + name[0]) {
        for (unsigned i = 1; i <= name[0]; i++) {
            uint8_t c = name[i];
            if (c <= ' ' || c >= 0x7f) {
                *t++ = '\\';
                *t++ = (char)('0' + c / 100);
                *t++ = (char)('0' + c / 10 % 10);
                *t++ = (char)('0' + c % 10);
                continue;
            }
            if (strchr(".\\\"();@$", c) != NULL)
                *t++ = '\\';
            *t++ = (char)c;
        }
        *t++ = '.';
    }
    *t = '\0';
    assert(t - text < NAME_TEXT_MAX);
    return text;
}
