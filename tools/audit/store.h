/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.h - what the audit remembers: a database of its own, in folder "audit" of that of the zones.
 */
#ifndef TOOLS_AUDIT_STORE_H
#define TOOLS_AUDIT_STORE_H

#include "tools/audit/state.h"

#include <stddef.h>
#include <sys/socket.h>

#define AUDIT_PARENTS_MAX 4

/* Of one zone, or what holds for those that have nothing of their own. Begins as zeroes. */
struct audit_entry {
    struct audit_record record;
    bool has_policy;
    enum audit_policy policy;
    uint32_t parent_count;
    struct sockaddr_storage parents[AUDIT_PARENTS_MAX];
    bool is_withheld;   /* by the audit */
    uint32_t cut_zone;  /* id of the zone whose TTL the audit has cut; 0: none */
    uint32_t ttl_uncut; /* what it was */
};

struct audit_store;

/* Open the one beside the zones in `directory`; `is_writing`: made if it is not there.
 * Outcomes: 0; -ENOENT there is none; other negative errno. The caller's until audit_store_close(). */
int audit_store_open(const char *directory, bool is_writing, struct audit_store **store_out);

/* NULL is allowed. */
void audit_store_close(struct audit_store *store);

/* The entry of a zone (wire format, any case; NULL: the one for all others), zeroes if there is none.
 * Outcomes: 0; -EBADMSG it is damaged; other negative errno. */
int audit_store_get(struct audit_store *store, const uint8_t *apex, struct audit_entry *entry_out);

/* Put it there, on disk when this returns. Outcomes: 0; negative errno. */
int audit_store_put(struct audit_store *store, const uint8_t *apex,
                    const struct audit_entry *entry);

/* What was found out about a zone. */
struct audit_note {
    uint8_t apex[255];
    struct audit_entry entry;
};

/* Put them there, all at once, but for policy and parents: these stay as they are there now, whoever
 * has changed them meanwhile. On disk when this returns. Outcomes: 0; -EBADMSG an entry is damaged,
 * nothing is put; other negative errno. */
int audit_store_note(struct audit_store *store, const struct audit_note *notes, size_t count);

/* An entry as octets, and back. `octets` has room for AUDIT_ENTRY_MAX. Pure. */
#define AUDIT_ENTRY_MAX 256
size_t audit_entry_write(const struct audit_entry *entry, uint8_t *octets);
bool audit_entry_read(const uint8_t *octets, size_t len, struct audit_entry *entry_out);

#endif
