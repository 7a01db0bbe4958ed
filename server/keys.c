/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define KEYS_LABEL_LEN 16

int keys_secret_random(struct keys_secret *secret_out)
{
    /* Up to 256 octets come whole, once the kernel has seeded itself (getrandom(2)). */
    ssize_t got = getrandom(secret_out->octets, KEYS_SECRET_LEN, 0);
    if (got == KEYS_SECRET_LEN)
        return 0;
    return got < 0 ? -errno : -EIO;
}

static int hex_value(char digit)
{
    const char *digits = "0123456789abcdefABCDEF";
    const char *found = digit == '\0' ? NULL : strchr(digits, digit);
    if (found == NULL)
        return -1;
    int index = (int)(found - digits);
    return index < 16 ? index : index - 6;
}

/* `hex` has 2 * len characters or fewer, and ends. */
static bool hex_parse(const char *hex, size_t len, uint8_t *out)
{
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex[2 * i]), low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool keys_secret_parse(const char *hex, struct keys_secret *secret_out)
{
    struct keys_secret secret;
    if (strlen(hex) != 2 * KEYS_SECRET_LEN || !hex_parse(hex, KEYS_SECRET_LEN, secret.octets))
        return false;
    *secret_out = secret;
    return true;
}

/* The beginning of a file as text; `text` has room for cap octets, zeros. */
static int file_read(const char *path, char *text, size_t cap, char *reason_out, size_t reason_cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, cap - 1);
    int problem = errno;
    if (fd >= 0)
        close(fd);
    if (len < 0) {
        snprintf(reason_out, reason_cap, "key-file %s: %s", path, strerror(problem));
        return -problem;
    }
    return 0;
}

int keys_secret_read(const char *path, struct keys_secret *secret_out, char *reason_out,
                     size_t reason_cap)
{
    char text[2 * KEYS_SECRET_LEN + 2] = "";
    int outcome = file_read(path, text, sizeof text, reason_out, reason_cap);
    if (outcome != 0)
        return outcome;
    text[strcspn(text, "\n")] = '\0';
    bool is_good = keys_secret_parse(text, secret_out);
    explicit_bzero(text, sizeof text);
    if (is_good)
        return 0;
    snprintf(reason_out, reason_cap,
             "key-file %s: its first line must be %d hexadecimal digits; make one with: "
             "openssl rand -hex %d",
             path, 2 * KEYS_SECRET_LEN, KEYS_SECRET_LEN);
    return -EINVAL;
}

int keys_dns_cookie_random(struct dns_cookie_secrets *secrets_out)
{
    secrets_out->count = 1;
    ssize_t got = getrandom(secrets_out->octets[0], DNS_COOKIE_SECRET_LEN, 0);
    if (got == DNS_COOKIE_SECRET_LEN)
        return 0;
    return got < 0 ? -errno : -EIO;
}

/* One secret in a line, and no line without. Returns the number of the line that is not so, 0 if all
 * are. */
static unsigned dns_cookie_parse(const char *text, struct dns_cookie_secrets *secrets_out)
{
    secrets_out->count = 0;
    for (unsigned line = 1;; line++) {
        size_t len = strcspn(text, "\n");
        if (len == 0 && text[0] == '\0' && line > 1)
            return 0;
        if (len != 2 * DNS_COOKIE_SECRET_LEN || line > DNS_COOKIE_SECRETS_MAX ||
            !hex_parse(text, DNS_COOKIE_SECRET_LEN, secrets_out->octets[line - 1]))
            return line;
        secrets_out->count = line;
        text += len + (text[len] == '\n');
    }
}

int keys_dns_cookie_read(const char *path, struct dns_cookie_secrets *secrets_out, char *reason_out,
                         size_t reason_cap)
{
    /* One octet more than the longest: then there is another line, which is one too many. */
    char text[DNS_COOKIE_SECRETS_MAX * (2 * DNS_COOKIE_SECRET_LEN + 1) + 2] = "";
    int outcome = file_read(path, text, sizeof text, reason_out, reason_cap);
    if (outcome != 0)
        return outcome;
    unsigned bad_line = dns_cookie_parse(text, secrets_out);
    explicit_bzero(text, sizeof text);
    if (bad_line == 0)
        return 0;
    snprintf(reason_out, reason_cap,
             "key-file %s:%u: must be up to %d lines of %d hexadecimal digits; make one with: "
             "openssl rand -hex %d",
             path, bad_line, DNS_COOKIE_SECRETS_MAX, 2 * DNS_COOKIE_SECRET_LEN,
             DNS_COOKIE_SECRET_LEN);
    return -EINVAL;
}

static const char cookie_label[] = "lethe cookie key", goaway_label[] = "lethe goaway key";
_Static_assert(sizeof cookie_label == KEYS_LABEL_LEN + 1, "one length for all");
_Static_assert(sizeof goaway_label == KEYS_LABEL_LEN + 1, "one length for all");

static void derive(const struct keys_secret *secret, const char *label, uint64_t epoch,
                   uint8_t key[COOKIE_KEY_LEN])
{
    uint8_t epoch_be64[8];
    for (unsigned i = 0; i < 8; i++)
        epoch_be64[i] = (uint8_t)(epoch >> (56 - 8 * i));
    struct hmac_sha256_ctx hmac;
    hmac_sha256_set_key(&hmac, KEYS_SECRET_LEN, secret->octets);
    hmac_sha256_update(&hmac, KEYS_LABEL_LEN, (const uint8_t *)label);
    hmac_sha256_update(&hmac, sizeof(epoch_be64), epoch_be64);
    hmac_sha256_digest(&hmac, COOKIE_KEY_LEN, key);
    key[0] = (uint8_t)((key[0] & 0xfe) | (epoch & 1));
}

void keys_at(const struct keys_secret *secret, uint64_t now_s, struct stateless_tcp_keys *keys_out)
{
    uint64_t epoch = now_s / KEYS_EPOCH_S;
    bool is_next_near = now_s % KEYS_EPOCH_S >= KEYS_LIFE_S;
    _Static_assert(COOKIE_EPOCHS == 2, "the present one and a neighbour");
    derive(secret, cookie_label, epoch, keys_out->epochs[0]);
    /* Before epoch 0 it wraps: a key too. */
    derive(secret, cookie_label, is_next_near ? epoch + 1 : epoch - 1, keys_out->epochs[1]);
}

void keys_goaway_at(const struct keys_secret *secret, uint64_t now_s, struct goaway_keys *keys_out)
{
    uint64_t epoch = now_s / KEYS_EPOCH_S;
    bool is_next_near = now_s % KEYS_EPOCH_S >= KEYS_LIFE_S;
    _Static_assert(GOAWAY_EPOCHS == 2 && GOAWAY_KEY_LEN == COOKIE_KEY_LEN, "as for cookies");
    derive(secret, goaway_label, epoch, keys_out->epochs[0]);
    derive(secret, goaway_label, is_next_near ? epoch + 1 : epoch - 1, keys_out->epochs[1]);
}
