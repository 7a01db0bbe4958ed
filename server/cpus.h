/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cpus.h - the processors that threads can be tied to.
 */
#ifndef SERVER_CPUS_H
#define SERVER_CPUS_H

/* The CPUs that the calling thread may run on, the lowest cpu_cap of them. Returns how many; 0: the
 * kernel does not tell. Any thread. */
unsigned cpus_usable(int *cpus_out, unsigned cpu_cap);

/* Tie the calling thread to one of them. */
void cpus_pin(int cpu);

#endif
