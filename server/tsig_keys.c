/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/tsig_keys.h"

#include "zonedb/name.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/base64.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_LEN ((size_t)4 << 20)
#define WORD_CAP 1100
#define SECRET_MAX 768

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_QUOTED,
    TOKEN_MARK, /* one of { } ; */
    TOKEN_BAD,
};

struct token {
    enum token_kind kind;
    unsigned line;
    bool is_first; /* on its line */
    char text[WORD_CAP];
};

struct reader {
    const char *name;
    const char *at, *end;
    unsigned line;
    bool is_line_begin; /* nothing but blanks since the line's begin */
    bool has_sha1;
    struct tsig_key_list *list;
    size_t cap;
    unsigned *lines; /* of each key, to name the first of two */
    char *reason;
    size_t reason_cap;
};

/* One key as text. */
struct entry {
    unsigned line;
    struct token name, algorithm, secret;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct reader *reader, unsigned line,
                                                        const char *format, ...)
{
    int used = snprintf(reader->reason, reader->reason_cap, "%s:%u: ", reader->name, line);
    if (used < 0 || (size_t)used >= reader->reason_cap)
        return -EINVAL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->reason + used, reader->reason_cap - (size_t)used, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- words ---- */

static bool begins_with(const struct reader *reader, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(reader->end - reader->at) >= len && memcmp(reader->at, text, len) == 0;
}

static void step(struct reader *reader)
{
    bool is_newline = *reader->at == '\n';
    reader->line += is_newline;
    reader->is_line_begin = is_newline;
    reader->at++;
}

/* Blanks and comments. A secret may well begin with two slashes: they are a comment only where no
 * secret can be. False: a comment does not end. */
static bool skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end) {
        if (strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0') {
            bool was_begin = reader->is_line_begin;
            step(reader);
            reader->is_line_begin |= was_begin;
        } else if (*reader->at == '#' || (reader->is_line_begin && begins_with(reader, "//"))) {
            while (reader->at < reader->end && *reader->at != '\n')
                reader->at++;
        } else if (begins_with(reader, "/*")) {
            while (reader->at < reader->end && !begins_with(reader, "*/"))
                step(reader);
            if (reader->at == reader->end)
                return false;
            reader->at += 2;
        } else {
            return true;
        }
    }
    return true;
}

static bool is_word_end(char c, bool is_quoted)
{
    return is_quoted ? c == '"' || c == '\n' : strchr(" \t\r\n{};\"", c) != NULL;
}

static void next(struct reader *reader, struct token *token)
{
    bool is_whole = skip_blanks(reader);
    token->line = reader->line;
    token->is_first = reader->is_line_begin;
    token->text[0] = '\0';
    token->kind = is_whole ? TOKEN_END : TOKEN_BAD;
    if (reader->at == reader->end)
        return;
    reader->is_line_begin = false;
    if (strchr("{};", *reader->at) != NULL && *reader->at != '\0') {
        token->kind = TOKEN_MARK;
        token->text[0] = *reader->at++;
        token->text[1] = '\0';
        return;
    }
    token->kind = *reader->at == '"' ? TOKEN_QUOTED : TOKEN_WORD;
    reader->at += token->kind == TOKEN_QUOTED;
    size_t len = 0;
    for (; reader->at < reader->end && !is_word_end(*reader->at, token->kind == TOKEN_QUOTED);
         reader->at++) {
        if (len == WORD_CAP - 1 || *reader->at == '\0') {
            token->kind = TOKEN_BAD;
            return;
        }
        token->text[len++] = *reader->at;
    }
    token->text[len] = '\0';
    if (token->kind == TOKEN_QUOTED) {
        if (reader->at == reader->end || *reader->at != '"')
            token->kind = TOKEN_BAD;
        else
            reader->at++;
    }
}

static bool is_mark(const struct token *token, char mark)
{
    return token->kind == TOKEN_MARK && token->text[0] == mark;
}

static bool is_word(const struct token *token, const char *text)
{
    return token->kind == TOKEN_WORD && strcmp(token->text, text) == 0;
}

static bool is_value(const struct token *token)
{
    return (token->kind == TOKEN_WORD || token->kind == TOKEN_QUOTED) && token->text[0] != '\0';
}

/* ---- entries ---- */

/* The place of "algorithm" or "secret" in an entry; NULL: the word is neither. */
static struct token *field_of(struct entry *entry, const char *word, const char *algorithm,
                              const char *secret)
{
    if (strcmp(word, algorithm) == 0)
        return &entry->algorithm;
    return strcmp(word, secret) == 0 ? &entry->secret : NULL;
}

static int check_fields(const struct reader *reader, const struct entry *entry)
{
    if (entry->algorithm.kind == TOKEN_END)
        return refuse(reader, entry->line, "the key has no algorithm");
    if (entry->secret.kind == TOKEN_END)
        return refuse(reader, entry->line, "the key has no secret");
    return 0;
}

/* Behind: key "name" { */
static int read_block(struct reader *reader, struct entry *entry)
{
    struct token word, end;
    for (;;) {
        next(reader, &word);
        if (is_mark(&word, '}'))
            break;
        struct token *field =
            word.kind == TOKEN_WORD ? field_of(entry, word.text, "algorithm", "secret") : NULL;
        if (field == NULL)
            return refuse(reader, word.line, "here algorithm, secret or } must stand");
        if (field->kind != TOKEN_END)
            return refuse(reader, word.line, "%s: is there twice", word.text);
        next(reader, field);
        if (!is_value(field))
            return refuse(reader, word.line, "%s: its value is missing, or has no end", word.text);
        next(reader, &end);
        if (!is_mark(&end, ';'))
            return refuse(reader, end.line, "the ; behind %s is missing", word.text);
    }
    struct reader before = *reader;
    next(reader, &end);
    if (!is_mark(&end, ';'))
        return refuse(&before, before.line, "the ; behind } is missing");
    return check_fields(reader, entry);
}

/* Behind: - id: NAME; until there is no more of it. */
static int read_item(struct reader *reader, struct entry *entry)
{
    struct token word;
    for (;;) {
        struct reader before = *reader;
        next(reader, &word);
        struct token *field =
            word.kind == TOKEN_WORD ? field_of(entry, word.text, "algorithm:", "secret:") : NULL;
        if (field == NULL) {
            *reader = before;
            return check_fields(reader, entry);
        }
        if (field->kind != TOKEN_END)
            return refuse(reader, word.line, "%s is there twice", word.text);
        next(reader, field);
        if (!is_value(field) || field->line != word.line)
            return refuse(reader, word.line, "%s its value is missing", word.text);
    }
}

/* The first word was read: what follows it on its line. */
static int read_line(struct reader *reader, struct entry *entry)
{
    struct token more;
    struct reader before;
    if (entry->algorithm.line != entry->line || !is_value(&entry->algorithm))
        return refuse(reader, entry->line,
                      "a key is: NAME ALGORITHM SECRET, or key \"NAME\" {...};");
    next(reader, &entry->secret);
    if (entry->secret.line != entry->line || !is_value(&entry->secret))
        return refuse(reader, entry->line, "the key has no secret");
    before = *reader;
    next(reader, &more);
    if (more.kind != TOKEN_END && more.line == entry->line)
        return refuse(reader, entry->line, "there is more behind the secret");
    *reader = before;
    return 0;
}

/* One entry. Outcomes: 1; 0 there is no more; -EINVAL. */
static int read_entry(struct reader *reader, struct entry *entry)
{
    struct token brace;
    memset(entry, 0, sizeof *entry);
    do
        next(reader, &entry->name);
    while (is_word(&entry->name, "key:") && entry->name.is_first);
    entry->line = entry->name.line;
    if (entry->name.kind == TOKEN_END)
        return 0;
    if (is_word(&entry->name, "-")) {
        next(reader, &brace);
        next(reader, &entry->name);
        if (!is_word(&brace, "id:") || !is_value(&entry->name) || entry->name.line != entry->line)
            return refuse(reader, entry->line, "behind - must stand id: NAME");
        return read_item(reader, entry) == 0 ? 1 : -EINVAL;
    }
    if (!is_value(&entry->name))
        return refuse(reader, entry->line,
                      entry->name.kind == TOKEN_BAD ? "a word, quotation or comment has no end"
                                                    : "here a key must begin");
    struct reader before = *reader;
    next(reader, &entry->algorithm);
    if (is_word(&entry->name, "key")) {
        next(reader, &brace);
        if (is_mark(&brace, '{')) {
            entry->name = entry->algorithm;
            memset(&entry->algorithm, 0, sizeof entry->algorithm);
            if (!is_value(&entry->name))
                return refuse(reader, entry->line, "the key has no name");
            return read_block(reader, entry) == 0 ? 1 : -EINVAL;
        }
        *reader = before;
        next(reader, &entry->algorithm);
    }
    return read_line(reader, entry) == 0 ? 1 : -EINVAL;
}

/* ---- keys ---- */

static int secret_decode(const char *text, uint8_t secret[SECRET_MAX + 1])
{
    struct base64_decode_ctx context;
    size_t len = SECRET_MAX + 1, text_len = strlen(text);
    base64_decode_init(&context);
    if (BASE64_DECODE_LENGTH(text_len) > SECRET_MAX + 1 ||
        !base64_decode_update(&context, &len, secret, text_len, text) ||
        !base64_decode_final(&context))
        return -EINVAL;
    return (int)len;
}

static int list_grow(struct reader *reader)
{
    struct tsig_key_list *list = reader->list;
    if (list->count < reader->cap)
        return 0;
    size_t cap = reader->cap == 0 ? 16 : 2 * reader->cap;
    struct tsig_key *items = calloc(cap, sizeof *items);
    unsigned *lines = realloc(reader->lines, cap * sizeof *lines);
    reader->lines = lines != NULL ? lines : reader->lines;
    if (items == NULL || lines == NULL) {
        free(items);
        snprintf(reader->reason, reader->reason_cap, "out of memory");
        return -ENOMEM;
    }
    size_t count = list->count;
    if (count > 0)
        memcpy(items, list->items, count * sizeof *items);
    bool is_readable_by_all = list->is_readable_by_all;
    tsig_keys_free(list);
    *list = (struct tsig_key_list){items, count, is_readable_by_all};
    reader->cap = cap;
    return 0;
}

static int key_add(struct reader *reader, const struct entry *entry)
{
    uint8_t name[NAME_MAX_LEN], secret[SECRET_MAX + 1];
    struct tsig_key_list *list = reader->list;
    if (name_from_text(entry->name.text, name) == 0)
        return refuse(reader, entry->name.line, "the key's name is not a domain name");
    int algorithm = tsig_algorithm_from_text(entry->algorithm.text);
    if (algorithm < 0)
        return refuse(reader, entry->algorithm.line,
                      "the algorithm is none of hmac-sha256, hmac-sha384, hmac-sha512, "
                      "hmac-sha256-128, hmac-sha384-192, hmac-sha512-256, hmac-sha1");
    if (algorithm == TSIG_HMAC_SHA1 && !reader->has_sha1)
        return refuse(reader, entry->algorithm.line,
                      "hmac-sha1 is not recommended; to take it all the same say tsig: {sha1: on}");
    int secret_len = secret_decode(entry->secret.text, secret);
    if (secret_len <= 0)
        return refuse(reader, entry->secret.line, "the secret is not base64, or too long");
    int outcome = list->count == TSIG_KEYS_MAX
                      ? refuse(reader, entry->line, "more than %d keys", TSIG_KEYS_MAX)
                      : list_grow(reader);
    if (outcome == 0 && !tsig_key_set(&list->items[list->count], name,
                                      (enum tsig_algorithm)algorithm, secret, (size_t)secret_len))
        outcome = refuse(reader, entry->name.line, "the key's name is longer than %d octets",
                         TSIG_KEY_NAME_MAX);
    explicit_bzero(secret, sizeof secret);
    if (outcome == 0)
        reader->lines[list->count++] = entry->line;
    return outcome;
}

static int add_well_known(struct reader *reader)
{
    struct tsig_key_list *list = reader->list;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].name_len == 1)
            return refuse(reader, reader->lines[i],
                          "the key . is the well-known one, as tsig: {well-known: on} has it");
    int outcome = list_grow(reader);
    if (outcome != 0)
        return outcome;
    tsig_key_set_well_known(&list->items[list->count]);
    reader->lines[list->count++] = reader->line;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return tsig_key_compare(a, b);
}

/* No two keys of one name. The lines are in the order of reading, which the names tell. */
static int check_twice(const struct reader *reader, const struct tsig_key *in_order)
{
    const struct tsig_key_list *list = reader->list;
    char text[NAME_TEXT_MAX];
    unsigned lines[2] = {0, 0};
    for (size_t i = 1; i < list->count; i++) {
        if (tsig_key_compare(&list->items[i - 1], &list->items[i]) != 0)
            continue;
        for (size_t j = 0; j < list->count && lines[1] == 0; j++)
            if (tsig_key_compare(&in_order[j], &list->items[i]) == 0)
                lines[lines[0] != 0] = reader->lines[j];
        name_to_text(list->items[i].name, text);
        return refuse(reader, lines[1], "the key %s is there twice, first on line %u", text,
                      lines[0]);
    }
    return 0;
}

/* In the order that look-ups want. */
static int list_sort(struct reader *reader)
{
    struct tsig_key_list *list = reader->list;
    if (list->count == 0)
        return 0;
    struct tsig_key_list in_order = {calloc(list->count, sizeof *list->items), list->count, false};
    if (in_order.items == NULL) {
        snprintf(reader->reason, reader->reason_cap, "out of memory");
        return -ENOMEM;
    }
    memcpy(in_order.items, list->items, list->count * sizeof *list->items);
    qsort(list->items, list->count, sizeof *list->items, compare);
    int outcome = check_twice(reader, in_order.items);
    tsig_keys_free(&in_order);
    return outcome;
}

int tsig_keys_read_text(const struct tsig_key_source *source, const char *name, const char *text,
                        size_t text_len, struct tsig_key_list *list_out, char *reason_out,
                        size_t reason_cap)
{
    struct reader reader = {.name = name,
                            .at = text,
                            .end = text + text_len,
                            .line = 1,
                            .is_line_begin = true,
                            .has_sha1 = source->has_sha1,
                            .list = list_out,
                            .reason = reason_out,
                            .reason_cap = reason_cap};
    struct entry entry;
    int outcome;
    *list_out = (struct tsig_key_list){0};
    while ((outcome = read_entry(&reader, &entry)) == 1 &&
           (outcome = key_add(&reader, &entry)) == 0)
        ;
    explicit_bzero(&entry, sizeof entry);
    if (outcome == 0 && source->has_well_known)
        outcome = add_well_known(&reader);
    if (outcome == 0)
        outcome = list_sort(&reader);
    free(reader.lines);
    if (outcome != 0)
        tsig_keys_free(list_out);
    return outcome;
}

/* The whole file into `text`, which has FILE_MAX_LEN + 1 octets. Returns its length; negative
 * errno. */
static ssize_t file_read(const char *path, char *text, bool *is_readable_by_all_out)
{
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file >= 0 && fstat(file, &about) == 0 ? 1 : -1;
    size_t len = 0;
    while (got > 0 && len <= FILE_MAX_LEN) {
        got = read(file, text + len, FILE_MAX_LEN + 1 - len);
        if (got > 0)
            len += (size_t)got;
    }
    int problem = got < 0 ? errno : len > FILE_MAX_LEN ? EFBIG : 0;
    if (file >= 0)
        close(file);
    if (problem == 0)
        *is_readable_by_all_out = (about.st_mode & S_IROTH) != 0;
    return problem == 0 ? (ssize_t)len : -problem;
}

int tsig_keys_read(const struct tsig_key_source *source, struct tsig_key_list *list_out,
                   char *reason_out, size_t reason_cap)
{
    bool is_readable_by_all = false;
    *list_out = (struct tsig_key_list){0};
    if (source->path[0] == '\0')
        return tsig_keys_read_text(source, "tsig", "", 0, list_out, reason_out, reason_cap);
    char *text = malloc(FILE_MAX_LEN + 1);
    ssize_t len = text != NULL ? file_read(source->path, text, &is_readable_by_all) : -ENOMEM;
    int outcome = -EIO;
    if (len < 0)
        snprintf(reason_out, reason_cap, "tsig keys %s: cannot be read: %s", source->path,
                 strerror((int)-len));
    else
        outcome = tsig_keys_read_text(source, source->path, text, (size_t)len, list_out, reason_out,
                                      reason_cap);
    if (outcome == 0)
        list_out->is_readable_by_all = is_readable_by_all;
    if (len > 0)
        explicit_bzero(text, (size_t)len);
    free(text);
    return outcome;
}

void tsig_keys_free(struct tsig_key_list *list)
{
    if (list->items != NULL)
        explicit_bzero(list->items, list->count * sizeof *list->items);
    free(list->items);
    *list = (struct tsig_key_list){0};
}
