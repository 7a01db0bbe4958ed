/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names and keys from arbitrary octets: taken as wire format, as key and as text.
 */
#include "fuzz.h"
#include "zonedb/name.h"

static void wire(const uint8_t *data, size_t size)
{
    uint8_t key[NAME_KEY_MAX], back[NAME_MAX_LEN], lower[NAME_MAX_LEN], again[NAME_MAX_LEN];
    char text[NAME_TEXT_MAX];
    size_t len = name_len(data, size);
    if (len == 0)
        return;
    MUST(len <= size && len <= NAME_MAX_LEN && data[len - 1] == 0);
    size_t key_len = name_to_key(data, key);
    size_t lower_len = name_copy_lower(lower, data);
    MUST(lower_len == len && name_equal(lower, data));
    MUST(name_from_key(key, key_len, back) == len && memcmp(back, lower, len) == 0);
    MUST(name_from_text(name_to_text(data, text), again) == len && memcmp(again, data, len) == 0);
    MUST(name_is_at_or_below(data, back) && name_compare(data, back) == 0);
    unsigned labels = name_label_count(data);
    MUST(labels <= NAME_LABELS_MAX && name_skip(data, labels)[0] == 0);
}

static void key(const uint8_t *data, size_t size)
{
    uint8_t name[NAME_MAX_LEN], key_again[NAME_KEY_MAX];
    size_t len = name_from_key(data, size, name);
    if (len == 0)
        return;
    MUST(name_len(name, len) == len);
    /* A key with capital letters is nobody's, but its name has one all the same. */
    bool has_capital = false;
    for (size_t i = 0; i < size; i++)
        has_capital |= data[i] >= 'A' && data[i] <= 'Z';
    if (!has_capital)
        MUST(name_to_key(name, key_again) == size && memcmp(key_again, data, size) == 0);
}

static void text(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    uint8_t name[NAME_MAX_LEN];
    MUST(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    size_t len = name_from_text(copy, name);
    MUST(len == 0 || name_len(name, len) == len);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wire(data, size);
    key(data, size);
    text(data, size);
    return 0;
}
