/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/arguments.h"

#include <stdio.h>

static const char help_text[] =
    "usage: lethe-query [@SERVER[#PORT|@PORT]] [-OPTION...] [NAME] [TYPE] [CLASS] [+OPTION...] "
    "...\n"
    "\n"
    "Ask a DNS server and show what it says, as dig does. Several NAMEs are several queries; what\n"
    "stands before the first goes for all.\n"
    "\n"
    "  @SERVER          address or name (default: as in /etc/resolv.conf)\n"
    "  -4, -6           only IPv4, only IPv6\n"
    "  -p PORT          port (default: 53)\n"
    "  -b ADDRESS[#PORT]  address to ask from\n"
    "  -x ADDRESS       PTR of this address\n"
    "  -f FILE          queries, a line each\n"
    "  -q NAME, -t TYPE, -c CLASS  the same as without a letter\n"
    "  -h, --help, -v, --version\n"
    "\n"
    "Carrying:\n"
    "  +[no]tcp         TCP at once (default: UDP, and TCP where the response is truncated)\n"
    "  +[no]keepopen    one connection for the queries that follow each other to one server\n"
    "  +[no]ignore      show a truncated response, do not ask over TCP\n"
    "  +time=SECONDS    to wait for each try (default: 5)\n"
    "  +tries=N         tries with each server (default: 3); +retry=N is one more\n"
    "Header:\n"
    "  +[no]rec, +[no]cd, +[no]ad  flags RD (default: on), CD, AD\n"
    "  +qid=N, +opcode=N\n"
    "EDNS (on by default):\n"
    "  +noedns, +edns=VERSION\n"
    "  +bufsize=OCTETS  payload size over UDP (default: 1232)\n"
    "  +[no]do          DNSSEC records (also: +dnssec)\n"
    "  +[no]nsid, +[no]keepalive\n"
    "  +[no]cookie[=HEX]  DNS COOKIE\n"
    "  +[no]padding[=BLOCK]  request padded to blocks (default: 128 octets)\n"
    "  +ednsopt=CODE[:HEX]  any option; repeatable\n"
    "Protection:\n"
    "  +[no]checksum[=00|01[,CODE]]  CHECKSUM: verified; bad is discarded and asked for over TCP\n"
    "  -y [ALGORITHM:]NAME:SECRET, -k FILE  sign by this key (TSIG), and verify\n"
    "  +tsig=well-known  the same by the key that everybody knows, against blind forgers\n"
    "Tracing:\n"
    "  +[no]trace       from the servers of the root down, each referral shown\n"
    "  --hints FILE     servers of the root (default: built in)\n"
    "Output:\n"
    "  +[no]short       only RDATA of answers\n"
    "  +[no]json, --json  a line of JSON for each query\n"
    "  +[no]all, +[no]cmd, +[no]comments, +[no]question, +[no]answer, +[no]authority,\n"
    "  +[no]additional, +[no]stats   parts of the output\n"
    "\n"
    "Exit codes: 0 there was a response (whatever its status), 1 bad usage, 8 a file cannot be "
    "read,\n"
    "9 no response that can be believed, 10 internal error.\n";

void help_print(void)
{
    fputs(help_text, stdout);
}
