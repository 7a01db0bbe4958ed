/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/key.h"

#include "zonedb/name.h"

#include <errno.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FILE_MAX 16384
#define SECRET_MAX 512 /* octets; no HMAC gains by more */

static const char *make_key(const char *algorithm, const char *name, const char *secret,
                            struct tsig_key *key_out)
{
    uint8_t wire[NAME_MAX_LEN], octets[BASE64_DECODE_LENGTH(SECRET_MAX * 2)];
    struct base64_decode_ctx base64;
    size_t secret_text_len = strlen(secret), secret_len = sizeof octets;
    int number = tsig_algorithm_from_text(algorithm);
    if (number < 0)
        return "no TSIG algorithm that is known here";
    if (name_from_text(name, wire) == 0)
        return "the name of the key is no domain name";
    base64_decode_init(&base64);
    if (secret_text_len == 0 || secret_text_len > (size_t)SECRET_MAX * 2 ||
        !base64_decode_update(&base64, &secret_len, octets, secret_text_len, secret) ||
        !base64_decode_final(&base64) || secret_len == 0)
        return "the secret of the key is not base64";
    return tsig_key_set(key_out, wire, (enum tsig_algorithm)number, octets, secret_len)
               ? NULL
               : "the name of the key is too long";
}

const char *key_parse(const char *text, struct tsig_key *key_out)
{
    char copy[2048];
    if (strlen(text) >= sizeof copy)
        return "a key is [ALGORITHM:]NAME:SECRET";
    strcpy(copy, text);
    char *secret = strrchr(copy, ':'), *algorithm = copy;
    if (secret == NULL)
        return "a key is [ALGORITHM:]NAME:SECRET";
    *secret++ = '\0';
    char *name = strchr(copy, ':');
    if (name == NULL)
        return make_key("hmac-sha256", copy, secret, key_out);
    *name++ = '\0';
    return make_key(algorithm, name, secret, key_out);
}

/* Words of a file: what else is there is as good as blanks. */
#define BLANKS " \t\r\n\"{};:"

static const char *read_words(char *text, struct tsig_key *key_out)
{
    char *rest, *name = NULL, *algorithm = NULL, *secret = NULL;
    for (char *word = strtok_r(text, BLANKS, &rest); word != NULL && secret == NULL;
         word = strtok_r(NULL, BLANKS, &rest)) {
        char **value = NULL;
        if (strcasecmp(word, "key") == 0 || strcasecmp(word, "id") == 0)
            value = &name;
        else if (strcasecmp(word, "algorithm") == 0)
            value = &algorithm;
        else if (strcasecmp(word, "secret") == 0)
            value = &secret;
        if (value != NULL)
            *value = strtok_r(NULL, BLANKS, &rest);
    }
    if (name == NULL || secret == NULL)
        return "the file has no key that is written as lethe-query(1) says";
    return make_key(algorithm != NULL ? algorithm : "hmac-sha256", name, secret, key_out);
}

/* Behind blanks and lines of comment. */
static char *skip_comments(char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n");
        if (*text != '#')
            return text;
        text += strcspn(text, "\n");
    }
}

const char *key_read(const char *path, struct tsig_key *key_out)
{
    char text[FILE_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return strerror(errno);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    char *key = skip_comments(text);
    if (strncasecmp(key, "key", 3) == 0 && strcspn(key, " \t\r\n\"") <= strlen("key:"))
        return read_words(key, key_out);
    key[strcspn(key, " \t\r\n")] = '\0';
    return key_parse(key, key_out);
}
