/* SPDX-License-Identifier: BSD-2-Clause
 *
 * replay_main.c - run a fuzz target without a fuzzing engine.
 *
 * usage: TARGET MUTATIONS FILE|DIRECTORY...
 *
 * Every file is run as it is, then MUTATIONS times altered in ways that repeat exactly. Each input
 * is a heap block of exactly its size, so that a sanitizer sees the first octet too many.
 */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#define INPUT_MAX (1 << 20)

static uint64_t random_state;
static unsigned long run_count;

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

/* xorshift64*: repeatable, and nothing hangs on its quality. */
static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)(random_state * 2685821657736338717U >> 32) % bound;
}

static void run(const uint8_t *octets, size_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    MUST(exact != NULL);
    memcpy(exact, octets, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    run_count++;
}

/* One alteration of `len` octets in place (room for `cap`); returns the new length. */
static size_t mutate(uint8_t *octets, size_t len, size_t cap)
{
    static const uint8_t interesting[] = {0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xc0, 0xff};
    size_t at = len > 0 ? random_below((uint32_t)len) : 0, count;
    switch (random_below(6)) {
    case 0: /* a bit */
        if (len > 0)
            octets[at] ^= (uint8_t)(1u << random_below(8));
        return len;
    case 1: /* an octet with a meaning somewhere */
        if (len > 0)
            octets[at] = interesting[random_below(sizeof interesting)];
        return len;
    case 2: /* cut off */
        return at;
    case 3: /* leave some out */
        count = len > at ? 1 + random_below((uint32_t)(len - at)) : 0;
        count = count > 8 ? 8 : count;
        memmove(octets + at, octets + at + count, len - at - count);
        return len - count;
    case 4: /* say some twice */
        count = len > at ? 1 + random_below((uint32_t)(len - at)) : 0;
        count = count > cap - len ? cap - len : count;
        memmove(octets + at + count, octets + at, len - at);
        return len + count;
    default: /* any octet */
        if (len > 0)
            octets[at] = (uint8_t)random_below(256);
        return len;
    }
}

static void replay_file(const char *path, unsigned long mutations)
{
    static uint8_t original[INPUT_MAX], altered[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    size_t len = fread(original, 1, INPUT_MAX, file);
    fclose(file);
    run(original, len);
    random_state = 88172645463325252U + len;
    for (unsigned long i = 0; i < mutations; i++) {
        memcpy(altered, original, len);
        size_t altered_len = len;
        for (uint32_t steps = 1 + random_below(4); steps > 0; steps--)
            altered_len = mutate(altered, altered_len, INPUT_MAX);
        run(altered, altered_len);
    }
}

static void replay(const char *path, unsigned long mutations)
{
    struct stat status;
    struct dirent **entries;
    char inner[PATH_MAX];
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        replay_file(path, mutations);
        return;
    }
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
            replay(inner, mutations);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s MUTATIONS FILE|DIRECTORY...\n", argv[0]);
        return 2;
    }
    unsigned long mutations = strtoul(argv[1], NULL, 10);
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 2; i < argc; i++)
        replay(argv[i], mutations);
    printf("%lu inputs\n", run_count);
    return run_count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
