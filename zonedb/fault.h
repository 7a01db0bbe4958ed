/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fault.h - last words, when damaged pages bring the process down.
 *
 * LMDB trusts the pages that it maps. What can be told at opening is told there (zonedb_open());
 * damage within a page may end in a wild pointer, a failed assertion, or a page that is no longer
 * there (SIGBUS) long after.
 */
#ifndef ZONEDB_FAULT_H
#define ZONEDB_FAULT_H

/* From now on SIGSEGV, SIGBUS and SIGABRT say on standard error which database was open and what to
 * do, then end the process as they would have. Signals that somebody else handles already (a
 * sanitizer) are left alone. `program` and `directory` are copied, as far as a line goes. Call it
 * once the database is open, before there are threads. */
void zonedb_fault_explain(const char *program, const char *directory);

#endif
