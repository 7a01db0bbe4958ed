/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_zone.h - a zone in memory between its text and the database. Private to the text files.
 *
 *     files      mapped text, kept for line numbers
 *     arena      per owner: key, name (lower case);  per record: length (2 octets), RDATA
 *     owners     -> key; run of records      after text_sort(): canonical order, each name once
 *     records    -> RDATA; place in the text after text_arrange(): RRset by RRset, RRSIGs behind
 *                                            what they cover, canonical order inside
 */
#ifndef ZONEDB_TEXT_ZONE_H
#define ZONEDB_TEXT_ZONE_H

#include "zonedb/name.h"
#include "zonedb/text_load.h"

#include <stdarg.h>

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_PTR = 12,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    TYPE_DNAME = 39,
    TYPE_OPT = 41,
    TYPE_DS = 43,
    TYPE_RRSIG = 46,
    TYPE_NSEC = 47,
    TYPE_DNSKEY = 48,
    TYPE_NSEC3 = 50,
    TYPE_NSEC3PARAM = 51,
    TYPE_ZONEMD = 63,
};

struct text_file {
    char *name;
    const char *base;   /* what is in memory of it: all, or a piece */
    size_t size;        /* of that */
    size_t base_offset; /* where in the file it begins */
    size_t total;       /* octets of the file, as far as known when it was opened */
    size_t filled, cap; /* of the memory at `base` */
    int descriptor;     /* of a file that is read piece by piece; -1: it is in memory */
    bool is_allocated;  /* memory and descriptor are ours */
    bool is_at_end;
    size_t seen_offset; /* line number of a place that was asked for before */
    uint64_t seen_line;
    uint64_t device, inode;
};

/* A record that does not stand in the text. */
#define TEXT_OFFSET_NONE UINT64_MAX

struct text_record {
    const uint8_t *rdata; /* two octets of length, big-endian, then the RDATA */
    uint64_t offset;      /* in the file, at or before the record's first octet; TEXT_OFFSET_NONE */
    uint32_t owner;
    uint32_t ttl;
    uint16_t type;
    uint16_t file;
};

struct text_owner {
    const uint8_t *key; /* followed by the name in wire format, lower case */
    uint32_t first;     /* records */
    uint32_t count;
    uint16_t key_len;
    bool has_nsec3;
    bool has_other; /* than NSEC3 and its RRSIGs */
};

struct text_chunk;
struct text_runs;
struct text_stream;
struct text_digest;
struct zonedb_writer;
/* A window of owners that stays in the processor's cache. */
#define TEXT_WINDOW ((size_t)2 << 20)

/* How far the denial chains have been followed, window by window. */
struct text_links {
    struct text_record nsec, nsec3; /* the last of each; rdata NULL: there was none */
    uint8_t nsec_next[2 + NAME_MAX_LEN], nsec3_next[2 + 6 + 255 + 20];
    uint8_t first_hash[20];
    uint64_t errors; /* told of them */
    bool is_broken;  /* that is enough of it */
};

struct text_zone {
    uint8_t apex[NAME_MAX_LEN];
    uint8_t apex_key[NAME_KEY_MAX];
    size_t apex_len, apex_key_len;
    struct text_options options;
    struct text_counts counts;
    bool is_incomplete; /* syntax errors: checks of the whole make no sense */
    bool is_sorted;
    bool has_include;
    bool is_change;    /* the text is a change: see text_scan_changes() */
    bool is_tinydns;   /* the text is no zone text: see text_tinydns.h */
    bool is_part;      /* one window of several: see text_runs.h */
    bool is_continued; /* not the first: the apex, owner 0, has been dealt with */

    struct text_file *files;
    size_t file_count, file_cap;
    struct text_chunk *chunks;
    size_t chunk_octets; /* in use */
    struct text_runs *runs;
    struct text_stream *stream;
    struct text_message held[TEXT_WARNINGS_MAX]; /* texts are ours: not to be told before the end */
    size_t held_count;
    uint32_t runs_serial; /* of a zone in runs, once it is stored */
    struct text_links links;
    struct text_digest *digest; /* between text_zonemd_begin() and _end() */
    struct text_owner *owners;
    size_t owner_count, owner_cap;
    struct text_record *records;
    size_t record_count, record_cap;

    uint8_t last_owner[NAME_MAX_LEN]; /* of the record before, as written */
    size_t last_owner_len;
};

/* One owner with its RRsets, as the writer wants them. Reusable; begins as zeroes. */
struct text_node {
    const uint8_t *name;
    const struct text_owner *owner;
    struct zonedb_rrset *rrsets;
    uint32_t *firsts; /* index of the first record of each RRset */
    size_t rrset_count, rrset_cap;
    uint8_t *buffer;
    size_t buffer_cap;
};

/* ---- text_load.c ---- */

/* An empty zone; NULL: no memory. */
struct text_zone *text_zone_new(const uint8_t *apex, const struct text_options *options);
/* After the text: order, then rules from the small to the large. 0; -EINVAL told; -ENOMEM. */
int text_zone_finish(struct text_zone *zone);
/* Keep the RRsets of the NSEC3 side or of the other; RRSIGs that cover nothing go. Returns how many
 * are left. */
size_t text_node_select(struct text_node *node, bool is_nsec3);
/* The rules, then the database, of one window. With errors nothing more is written: they are all to
 * be told, and then the transaction is given up. */
int text_write_window(struct text_zone *part, struct zonedb_writer *writer, struct text_node *node);
/* The rules that span the zone, after the last window. 0; -EINVAL told; other negative errno. */
int text_write_end(struct text_zone *part, struct zonedb_writer *writer);

/* ---- text_zone.c ---- */

/* Let `zone` tell messages about the files of `source`, which must outlive it. 0; -ENOMEM. */
int text_share_files(struct text_zone *zone, const struct text_zone *source);
/* Memory for a big array, not initialised; free(). NULL: no memory. */
void *text_array(size_t count, size_t element);
/* Room for `len` octets that lives as long as the zone; NULL: no memory. */
uint8_t *text_alloc(struct text_zone *zone, size_t len);
/* Add a record; RDATA has been checked. Outcomes: 0; -ENOMEM; -EOVERFLOW 2^32 records. */
int text_append(struct text_zone *zone, const uint8_t *owner, size_t owner_len,
                const struct text_record *record, const uint8_t *rdata, size_t rdata_len);
/* Room for one more owner and so many more records. 0; -ENOMEM; -EOVERFLOW. */
int text_reserve(struct text_zone *zone, size_t records);
/* Forget all owners and records; their memory stays for the next ones. */
void text_clear(struct text_zone *zone);
/* Octets in memory of owners and records. */
size_t text_memory(const struct text_zone *zone);
const uint8_t *text_owner_name(const struct text_owner *owner);
/* Index of the owner with this key at or after `from`; owner_count: none. */
size_t text_find(const struct text_zone *zone, const uint8_t *key, size_t key_len, size_t from);
size_t text_find_name(const struct text_zone *zone, const uint8_t *name, size_t from);
/* The owner's first record of a type; NULL. */
const struct text_record *text_owner_record(const struct text_zone *zone, size_t owner,
                                            uint16_t type);
/* `key` is at or below `parent`. */
bool text_key_is_below(const struct text_owner *owner, const struct text_owner *parent);

/* ---- text_file.c ---- */

/* Add an empty file. `file_out`: valid until the next one is added. 0; -ENOMEM. */
int text_file_add(struct text_zone *zone, const char *name, struct text_file **file_out);
/* Add and open file `name` ("-": standard input), `label` in messages. It gets its place in the
 * list even if it cannot be opened: messages need its name. 0; negative errno. */
int text_file_open(struct text_zone *zone, const char *name, const char *label);
/* Bring the next piece into memory, the first one at first. 1; 0 there is none; negative errno. */
int text_file_next(struct text_file *file);
/* Some octets from `offset` on, in memory or by way of `buffer`; 0 at the end. */
size_t text_file_peek(const struct text_file *file, size_t offset, char *buffer, size_t cap,
                      const char **text_out);
void text_file_close(struct text_file *file);

/* ---- text_sort.c ---- */

/* Owners into canonical order, each once. Outcomes: 0; -ENOMEM. */
int text_sort(struct text_zone *zone);

/* ---- text_node.c ---- */

/* Sort the records of all owners into RRsets, drop duplicates, make TTLs equal. 0; -ENOMEM. */
int text_arrange(struct text_zone *zone);
/* Fill `node` with owner number `owner`. 0; -ENOMEM. */
int text_node_fill(struct text_node *node, const struct text_zone *zone, size_t owner);
void text_node_free(struct text_node *node);
/* The RRset of a type in the node, NULL if none. RRSIG: the first. */
const struct zonedb_rrset *text_node_rrset(const struct text_node *node, uint16_t type);
/* The RRset's type; of RRSIGs, the type that they cover. */
uint16_t text_covered_type(const struct zonedb_rrset *rrset);
/* Number of a record of this type in `zone`, for messages. */
const struct text_record *text_node_record(const struct text_node *node,
                                           const struct text_zone *zone, size_t rrset);

/* ---- text_report.c ---- */

enum text_spot {
    TEXT_AT_OWNER,
    TEXT_AT_TTL, /* the type, where no TTL is written */
    TEXT_AT_TYPE,
    TEXT_AT_RDATA,
};

void text_tell(struct text_zone *zone, enum text_severity severity,
               const struct text_record *record, enum text_spot spot, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* At an octet of a file; offset SIZE_MAX: the file as a whole. */
void text_tell_at(struct text_zone *zone, enum text_severity severity, size_t file, size_t offset,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Of a zone that is written while it is read: tell the warnings now, or never. */
void text_tell_held(struct text_zone *zone);
void text_drop_held(struct text_zone *zone);
bool text_is_full(const struct text_zone *zone); /* enough errors */
/* Name to text like name_to_text(), but all that zone files do not take unescaped is \DDD. */
char *text_name(const uint8_t *name, char *text);
const char *text_type_name(uint16_t type, char *buffer, size_t buffer_cap);
void text_progress(const struct text_zone *zone, enum text_phase phase, uint64_t done,
                   uint64_t total);

/* ---- text_scan.c ---- */

int text_scan_file(struct text_zone *zone, const char *file);
int text_scan_memory(struct text_zone *zone, const char *name, const char *text, size_t text_len);
/* The name is that of an NSEC3: 32 base32hex digits right below the apex. */
bool text_is_hash_owner(const struct text_zone *zone, const uint8_t *owner);
/* The lines of a change, from `file` or, if `text` is not NULL, from there. What a record is for
 * stands in its number of the file; one without TTL has TEXT_TTL_NONE. */
#define TEXT_FILE_ADDED 0
#define TEXT_FILE_REMOVED 1
#define TEXT_TTL_NONE UINT32_MAX
int text_scan_changes(struct text_zone *zone, const char *file, const char *text, size_t text_len);

/* ---- text_rules.c, text_chain.c, text_zonemd.c ---- */

int text_check_nodes(struct text_zone *zone);
/* Name servers of the apex, which may be in any window, once all are written. `find`: as
 * zonedb_writer_change_walk(). 0; negative errno. */
int text_check_apex_servers(struct text_zone *zone, struct zonedb_writer *writer);
/* For each window in order, then once. */
void text_check_chain(struct text_zone *zone);
void text_check_chain_end(struct text_zone *zone);
/* Once with the apex, for each window in order, then once. 0; -ENOMEM. */
int text_zonemd_begin(struct text_zone *zone);
void text_zonemd_add(struct text_zone *zone);
void text_zonemd_end(struct text_zone *zone);
/* The NSEC3PARAM that this server can use; NULL. */
const struct text_record *text_chain_param(const struct text_zone *zone);
/* What is wrong with an NSEC3 apart from its successor; NULL: nothing. */
const char *text_chain_fault(const struct text_record *nsec3, const struct text_record *param);

#endif
