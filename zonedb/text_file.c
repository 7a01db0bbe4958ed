/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_file.c - files of text: read whole, or piece by piece where they are large.
 *
 * Read, not mapped: an editor that cuts the file short meanwhile would end us with a bus error. A
 * piece ends where no record can go on behind it: at the end of a line with no parenthesis open.
 */
#include "zonedb/text_zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Smaller files are read whole. */
#define PIECES_FROM ((size_t)8 << 20)
#define PIECE ((size_t)1 << 20)
#define PIECE_MIN 32

int text_file_add(struct text_zone *zone, const char *name, struct text_file **file_out)
{
    struct text_file *files =
        reallocarray(zone->files, zone->file_count + 1, sizeof(zone->files[0]));
    char *copy = strdup(name);

    if (files != NULL)
        zone->files = files;
    if (files == NULL || copy == NULL) {
        free(copy);
        return -ENOMEM;
    }
    *file_out = &zone->files[zone->file_count++];
    **file_out = (struct text_file){.name = copy, .base = "", .descriptor = -1};
    return 0;
}

static int reserve(struct text_file *file, size_t cap)
{
    char *grown = realloc(file->is_allocated ? (void *)(uintptr_t)file->base : NULL, cap);

    if (grown == NULL)
        return -ENOMEM;
    file->base = grown;
    file->is_allocated = true;
    file->cap = cap;
    return 0;
}

/* Read on behind what is there, until memory is full. Returns 1, 0 at the end, negative errno. */
static int fill(struct text_file *file, int descriptor)
{
    while (file->filled < file->cap) {
        char *to = (char *)(uintptr_t)file->base + file->filled;
        const ssize_t got = read(descriptor, to, file->cap - file->filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? 0 : -errno;
        file->filled += (size_t)got;
    }
    return 1;
}

static int read_whole(struct text_file *file, int descriptor, size_t expected)
{
    int status = reserve(file, expected);

    while (status == 0 && (status = fill(file, descriptor)) == 1)
        status = reserve(file, file->cap * 2);
    file->size = file->filled;
    return status;
}

static int read_file(const struct text_zone *zone, struct text_file *file, int descriptor)
{
    const size_t memory = zone->options.memory_octets;
    const size_t piece = memory == 0 || memory > 8 * PIECE ? PIECE : memory / 8 + PIECE_MIN;
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return -errno;
    file->device = status.st_dev;
    file->inode = status.st_ino;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    const size_t size = S_ISREG(status.st_mode) ? (size_t)status.st_size : 65535;
    if (!S_ISREG(status.st_mode) || zone->is_change || zone->is_tinydns ||
        size < (memory == 0 ? PIECES_FROM : 8 * piece))
        /* One octet more than a regular file has: the end is found without growing. */
        return read_whole(file, descriptor, size + 1);
    file->total = size;
    file->descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (file->descriptor < 0)
        return -errno;
    return reserve(file, piece);
}

int text_file_open(struct text_zone *zone, const char *name, const char *label)
{
    struct text_file *file;
    int error = text_file_add(zone, label, &file);

    if (error != 0)
        return error;
    const bool is_stdin = strcmp(name, "-") == 0;
    const int descriptor = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    error = read_file(zone, file, descriptor);
    if (!is_stdin)
        close(descriptor);
    if (error == 0 && file->descriptor < 0)
        file->total = file->size;
    return error;
}

void text_file_close(struct text_file *file)
{
    if (file->is_allocated)
        free((void *)(uintptr_t)file->base);
    if (file->is_allocated && file->descriptor >= 0)
        close(file->descriptor);
    free(file->name);
}

/* ---- pieces ---- */

/* Octets up to the last end of a line behind which a record may begin; 0: there is none. */
static size_t last_line(const char *text, size_t len)
{
    if (memchr(text, '(', len) == NULL) {
        const char *newline = memrchr(text, '\n', len);
        return newline == NULL ? 0 : (size_t)(newline - text) + 1;
    }
    bool is_quoted = false, is_comment = false;
    size_t depth = 0, end = 0;
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        if (c == '\n') {
            is_comment = false;
            is_quoted = is_quoted && depth > 0;
            end = depth == 0 ? i + 1 : end;
        } else if (is_comment) {
            continue;
        } else if (c == '\\') {
            i++;
        } else if (c == '"') {
            is_quoted = !is_quoted;
        } else if (!is_quoted) {
            is_comment = c == ';';
            depth += c == '(';
            depth -= c == ')' && depth > 0;
        }
    }
    return end;
}

int text_file_next(struct text_file *file)
{
    char *base = (char *)(uintptr_t)file->base;

    if (file->descriptor < 0 || file->is_at_end) {
        const bool is_first = file->descriptor < 0 && !file->is_at_end;
        file->is_at_end = true;
        return is_first;
    }
    file->base_offset += file->size;
    file->filled -= file->size;
    memmove(base, base + file->size, file->filled);
    for (;;) {
        const int status = fill(file, file->descriptor);
        if (status < 0)
            return status;
        file->is_at_end = status == 0;
        file->size = file->is_at_end ? file->filled : last_line(file->base, file->filled);
        if (file->size > 0 || file->is_at_end)
            return file->size > 0;
        const int error = reserve(file, file->cap * 2);
        if (error != 0)
            return error;
    }
}

size_t text_file_peek(const struct text_file *file, size_t offset, char *buffer, size_t cap,
                      const char **text_out)
{
    if (file->descriptor < 0) {
        *text_out = file->base + (offset < file->size ? offset : file->size);
        return offset < file->size ? file->size - offset : 0;
    }
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len<cap; len += got> 0 ? (size_t)got : 0)
        got = pread(file->descriptor, buffer + len, cap - len, (off_t)(offset + len));
    *text_out = buffer;
    return len;
}
