/* SPDX-License-Identifier: BSD-2-Clause
 *
 * make_tld - write a zone like that of a large top-level domain, or many small zones.
 *
 *     make_tld [--seed S] [--shuffle] DELEGATIONS > ZONE
 *     make_tld [--seed S] --small DIRECTORY ZONES
 *
 * Zone tld. in the form in which large registries hand it out: relative names, $TTL, an owner on
 * each line. Of 100 delegations 80 have two name servers, 5 three and 15 four; 64 are with one of
 * DELEGATIONS / 2000 hosters inside of the zone, 33 with one outside, 3 have servers of their own,
 * with glue (every third also IPv6); 5 have a DS. Canonical order, or with --shuffle any other.
 * --small: files zN.example.zone of some ten records, and `list` for `lethe zone load --list`.
 * The same arguments make the same octets on every machine.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Delegations beyond the number of prefixes would not be told apart. */
#define PREFIX_LETTERS 6
#define PREFIX_BASE 26
#define PREFIX_COUNT (26ull * 26 * 26 * 26 * 26 * 26)
#define HOSTERS_OUTSIDE 4000
#define DELEGATIONS_PER_HOSTER 2000
#define TAIL_MAX 12
/* Not a divisor of any number of delegations that people ask for: a walk that meets all of them. */
#define STRIDE 1000000007ull

struct tld {
    uint64_t count, seed;
};

/* splitmix64: the same number for the same place, whatever the order. */
static uint64_t mixed(const struct tld *tld, uint64_t place, uint64_t use)
{
    uint64_t x = tld->seed + place * 0x9e3779b97f4a7c15u + use * 0xd1342543de82ef95u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Letters that count up, so that names are different and in order; then a tail for the length. */
static const char *name_of(const struct tld *tld, uint64_t number, char name[32])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t prefix = number * (PREFIX_COUNT / tld->count);
    uint64_t dice = mixed(tld, number, 1);
    size_t len = PREFIX_LETTERS;
    for (size_t i = len; i > 0; i--, prefix /= PREFIX_BASE)
        name[i - 1] = letters[prefix % PREFIX_BASE];
    for (uint64_t tail = dice % (TAIL_MAX + 1); tail > 0; tail--) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        name[len++] = letters[(dice >> 33) % 36];
    }
    name[len] = '\0';
    return name;
}

static unsigned server_count(uint64_t dice)
{
    return dice % 100 < 80 ? 2 : dice % 100 < 85 ? 3 : 4;
}

static void put_own_servers(const char *name, unsigned servers)
{
    for (unsigned i = 1; i <= servers; i++)
        printf("%s NS ns%u.%s\n", name, i, name);
}

static void put_glue(uint64_t number, const char *name, unsigned servers)
{
    for (unsigned i = 1; i <= servers; i++) {
        printf("ns%u.%s A 203.0.%u.%u\n", i, name, (unsigned)(number >> 8 & 255),
               (unsigned)(number & 255));
        if (number % 3 == 0)
            printf("ns%u.%s AAAA 2001:db8:%x::%x\n", i, name, (unsigned)(number & 0xffff), i);
    }
}

static void put_hosted_servers(const struct tld *tld, uint64_t number, const char *name,
                               unsigned servers, bool is_inside)
{
    uint64_t hosters = (tld->count + DELEGATIONS_PER_HOSTER - 1) / DELEGATIONS_PER_HOSTER;
    uint64_t dice = mixed(tld, number, 3);
    char hoster[32];
    for (unsigned i = 1; i <= servers; i++) {
        if (is_inside)
            printf("%s NS ns%u.%s\n", name, i,
                   name_of(tld, dice % hosters * DELEGATIONS_PER_HOSTER, hoster));
        else
            printf("%s NS ns%u.host%u.example.\n", name, i, (unsigned)(dice % HOSTERS_OUTSIDE));
    }
}

static void put_ds(const struct tld *tld, uint64_t number, const char *name)
{
    printf("%s 86400 DS %u 13 2 ", name, (unsigned)(mixed(tld, number, 4) & 0xffff));
    for (unsigned i = 0; i < 4; i++)
        printf("%016llX", (unsigned long long)mixed(tld, number, 5 + i));
    putchar('\n');
}

static void put_delegation(const struct tld *tld, uint64_t number)
{
    uint64_t dice = mixed(tld, number, 2);
    unsigned servers = server_count(dice), kind = (unsigned)(dice / 100 % 100);
    bool is_own = kind >= 97 || number % DELEGATIONS_PER_HOSTER == 0;
    char name[32];
    name_of(tld, number, name);
    if (is_own)
        put_own_servers(name, 4);
    else
        put_hosted_servers(tld, number, name, servers, kind < 64);
    if (dice / 10000 % 20 == 0)
        put_ds(tld, number, name);
    if (is_own)
        put_glue(number, name, 4);
}

static void put_tld(const struct tld *tld, bool is_shuffled)
{
    puts("$ORIGIN tld.\n$TTL 172800\n"
         "@ 86400 SOA a.nic hostmaster.nic 2026112201 1800 900 604800 3600");
    for (char letter = 'a'; letter <= 'f'; letter++)
        printf("@ NS %c.nic\n", letter);
    /* "nic" has three letters and the rest six or more: its place is told by comparing. */
    bool is_nic_due = true;
    uint64_t place = 0;
    for (uint64_t i = 0; i <= tld->count; i++) {
        char name[32];
        if (is_nic_due && (i == tld->count || strcmp(name_of(tld, i, name), "nic") > 0)) {
            for (char letter = 'a'; letter <= 'f'; letter++)
                printf("%c.nic A 192.0.2.%d\n%c.nic AAAA 2001:db8:%d::53\n", letter, letter, letter,
                       letter);
            is_nic_due = false;
        }
        if (i == tld->count)
            break;
        put_delegation(tld, is_shuffled ? place : i);
        place = (place + STRIDE) % tld->count;
    }
}

static int put_small(const char *directory, uint64_t zones)
{
    char path[4096];
    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        return -1;
    snprintf(path, sizeof path, "%s/list", directory);
    FILE *list = fopen(path, "w");
    if (list == NULL)
        return -1;
    for (uint64_t i = 0; i < zones; i++) {
        unsigned long long n = i;
        snprintf(path, sizeof path, "%s/z%llu.example.zone", directory, n);
        FILE *file = fopen(path, "w");
        if (file == NULL)
            return -1;
        fprintf(file,
                "$ORIGIN z%llu.example.\n$TTL 3600\n"
                "@ SOA ns1 hostmaster 1 1800 900 604800 300\n@ NS ns1\n@ NS ns2\n@ MX 10 mail\n"
                "@ A 203.0.113.%llu\n@ TXT \"v=spf1 mx -all\"\nns1 A 192.0.2.1\nns2 A 192.0.2.2\n"
                "mail A 192.0.2.3\nmail AAAA 2001:db8::%llx\nwww CNAME @\n",
                n, n % 256, n & 0xffff);
        fprintf(list, "z%llu.example. z%llu.example.zone\n", n, n);
        if (fclose(file) != 0)
            return -1;
    }
    return fclose(list);
}

static int usage(void)
{
    fputs("usage: make_tld [--seed S] [--shuffle] DELEGATIONS > ZONE\n"
          "       make_tld [--seed S] --small DIRECTORY ZONES\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct tld tld = {.seed = 20261122};
    bool is_shuffled = false;
    const char *directory = NULL;
    int i = 1;
    for (; i < argc - 1; i++) {
        if (strcmp(argv[i], "--shuffle") == 0)
            is_shuffled = true;
        else if (strcmp(argv[i], "--seed") == 0)
            tld.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--small") == 0)
            directory = argv[++i];
        else
            return usage();
    }
    if (i != argc - 1 || (tld.count = strtoull(argv[i], NULL, 10)) == 0 ||
        tld.count > PREFIX_COUNT / 2)
        return usage();
    if (directory != NULL && put_small(directory, tld.count) != 0) {
        perror(directory);
        return 1;
    }
    static char buffer[1 << 20];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    if (directory == NULL)
        put_tld(&tld, is_shuffled);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
