/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config.h - what the daemon is told to do: a file, the command line over it, defaults under it.
 *
 * One table (config_keys) names every key with its command-line twin; the YAML schema, the command
 * line, --help and the tests of the manual pages are made from it. A `struct config` is flat: it
 * can be copied, and owns nothing.
 *
 *     config_load(argc, argv, &action, config, &error);      again at every SIGHUP
 *
 * No threads, no writable static data of ours (getopt_long() has some).
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "server/address.h"
#include "server/restrain.h"
#include "zonedb/respond.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_LISTEN_MAX 64
#define CONFIG_WORKERS_MAX 64
#define CONFIG_TEXT_MAX 256
#define CONFIG_NSID_MAX 128
/* RFC 9715 3.1, R3. */
#define CONFIG_UDP_PAYLOAD_USUAL_MAX 1400
#define CONFIG_PREFIXES_MAX 64
#define CONFIG_RECENT_SIZE_MAX ((size_t)1 << 30)
#define CONFIG_IMAGE_SIZE_DEFAULT ((size_t)1 << 30)
#define CONFIG_IMAGE_SIZE_MIN ((size_t)1 << 20)
#define CONFIG_IMAGE_SIZE_MAX ((size_t)64 << 30)
/* RFC 7828 counts the timeout in 100 ms units in 16 bits. */
#define CONFIG_IDLE_TIMEOUT_MAX_S 6553

enum config_tcp {
    CONFIG_TCP_KERNEL,
    CONFIG_TCP_STATELESS,
    CONFIG_TCP_OFF,
};

enum config_tcp_profile {
    CONFIG_TCP_PROFILE_CLASSIC,
    CONFIG_TCP_PROFILE_MODERN,
};

enum config_verify_checksum {
    CONFIG_VERIFY_AUTO,
    CONFIG_VERIFY_ALWAYS,
    CONFIG_VERIFY_NEVER,
};

/* A backend of io.h, by name; or the best that opens. */
enum config_io {
    CONFIG_IO_AUTO,
    CONFIG_IO_LIBPCAP,
    CONFIG_IO_PACKET,
    CONFIG_IO_XDP,
};

/* Whether a program in the interface's driver answers what needs no request. */
enum config_driver {
    CONFIG_DRIVER_AUTO, /* where there is one anyway: with CONFIG_IO_XDP */
    CONFIG_DRIVER_ON,
    CONFIG_DRIVER_OFF,
    CONFIG_DRIVER_HOT,   /* on, and UDP answers are given again */
    CONFIG_DRIVER_ZONES, /* on, and requests are answered from the image */
};

/* Who answers UDP where TCP is stateless. */
enum config_udp {
    CONFIG_UDP_SOCKET,
    CONFIG_UDP_FAST, /* whoever answers TCP, from captured frames */
};

/* One address to listen on. UDP is served on each. */
struct config_listen {
    struct sockaddr_storage address;
    enum config_tcp tcp;
    char interface[IF_NAMESIZE]; /* only with CONFIG_TCP_STATELESS; "": whichever has the address */
    unsigned line;               /* in the file; 0: command line */
};

/* Index into config_keys. Keys of one group stand together. Those of stateless TCP come last, from
 * CONFIG_KEY_TCP_PROFILE on. */
enum config_key_id {
    CONFIG_KEY_DATABASE,
    CONFIG_KEY_IMAGE,
    CONFIG_KEY_PROXY,
    CONFIG_KEY_WORKERS,
    CONFIG_KEY_PIN,
    CONFIG_KEY_USER,
    CONFIG_KEY_PID_FILE,
    CONFIG_KEY_IO,
    CONFIG_KEY_DRIVER,
    CONFIG_KEY_UDP,
    CONFIG_KEY_UDP_PAYLOAD,
    CONFIG_KEY_EDNS,
    CONFIG_KEY_EDNS_KEEPALIVE,
    CONFIG_KEY_EDNS_PADDING,
    CONFIG_KEY_EDNS_EDE,
    CONFIG_KEY_ANY,
    CONFIG_KEY_MINIMAL_RESPONSES,
    CONFIG_KEY_NSID,
    CONFIG_KEY_CHAOS_VERSION,
    CONFIG_KEY_CHAOS_ID,
    CONFIG_KEY_CHECKSUM_ENABLED,
    CONFIG_KEY_CHECKSUM_CODE,
    CONFIG_KEY_CHECKSUM_SIPHASH,
    CONFIG_KEY_TSIG_KEYS,
    CONFIG_KEY_TSIG_WELL_KNOWN,
    CONFIG_KEY_TSIG_SHA1,
    CONFIG_KEY_COOKIE_ENABLED,
    CONFIG_KEY_COOKIE_KEY_FILE,
    CONFIG_KEY_POLICY_RATE_LIMIT,
    CONFIG_KEY_POLICY_SLIP,
    CONFIG_KEY_POLICY_IPV4_PREFIX_LENGTH,
    CONFIG_KEY_POLICY_IPV6_PREFIX_LENGTH,
    CONFIG_KEY_POLICY_TABLE_SIZE,
    CONFIG_KEY_POLICY_REQUIRE_COOKIE,
    CONFIG_KEY_POLICY_TCP_ONLY,
    CONFIG_KEY_POLICY_ALLOW_LIST,
    CONFIG_KEY_GOAWAY_CODE,
    CONFIG_KEY_GOAWAY_DENY,
    CONFIG_KEY_GOAWAY_TCP_RATE,
    CONFIG_KEY_GOAWAY_LIMIT,
    CONFIG_KEY_AUDIT_INTERVAL,
    CONFIG_KEY_AUDIT_FINDINGS,
    CONFIG_KEY_AUDIT_SPREAD,
    CONFIG_KEY_AUDIT_HINTS,
    CONFIG_KEY_AUDIT_PROGRAM,
    CONFIG_KEY_TCP_IDLE_TIMEOUT,
    CONFIG_KEY_TCP_MAX_CONNECTIONS,
    CONFIG_KEY_TCP_PROFILE,
    CONFIG_KEY_TCP_MSS,
    CONFIG_KEY_TCP_SEGMENT,
    CONFIG_KEY_TCP_VERIFY_CHECKSUM,
    CONFIG_KEY_TCP_KEY_FILE,
    CONFIG_KEY_TCP_STALE_RESET,
    CONFIG_KEY_TCP_RECENT_RESPONSES,
    CONFIG_KEY_TCP_FAST_OPEN,
    CONFIG_KEY_TCP_TRANSFER_PEERS,
    CONFIG_KEY_COUNT,
};

struct config_prefixes {
    size_t count;
    struct prefix items[CONFIG_PREFIXES_MAX];
};

/* Texts are NUL-terminated; "" means not set. */
struct config {
    char file[PATH_MAX]; /* the configuration file; "": none was named */
    unsigned
        line[CONFIG_KEY_COUNT]; /* where in the file a key was set; 0: elsewhere or not at all */

    char database[PATH_MAX];
    size_t image_size;           /* octets that zones compiled for answering may take; 0: none */
    char proxy[CONFIG_TEXT_MAX]; /* back end, which address_parse() takes; "": zones are served */
    unsigned workers;            /* 0: one per CPU */
    bool is_pinned;
    char user[CONFIG_TEXT_MAX];
    char pid_file[PATH_MAX];
    unsigned io;     /* enum config_io */
    unsigned driver; /* enum config_driver */
    unsigned udp;    /* enum config_udp */

    unsigned udp_payload;
    bool has_edns;
    bool has_keepalive;
    bool has_padding;
    bool has_ede;
    bool is_minimal;
    unsigned any; /* 0 minimal, 1 full */
    char nsid_text[2 + 2 * CONFIG_NSID_MAX + 1];
    uint8_t nsid[CONFIG_NSID_MAX];
    unsigned nsid_len;
    char chaos_version[CONFIG_TEXT_MAX];
    char chaos_id[CONFIG_TEXT_MAX];
    bool has_checksum;
    unsigned checksum_code;
    bool has_checksum_siphash;
    char tsig_keys[PATH_MAX];
    bool has_tsig_well_known;
    bool has_tsig_sha1;

    bool has_cookie;
    char cookie_key_file[PATH_MAX]; /* "": secrets are made at random */

    unsigned rate_limit; /* queries over UDP a second of one prefix; 0: any number */
    unsigned slip;       /* of those beyond it, one in so many is answered; 0: none */
    unsigned rate_ipv4_len, rate_ipv6_len; /* bits of an address that tell prefixes apart */
    size_t rate_table_size;                /* octets */
    unsigned require_cookie, tcp_only;     /* enum restrain_when */
    struct config_prefixes allow_list;     /* of whom nothing is asked */

    unsigned goaway_code;          /* enum goaway_code; GOAWAY_NO_BLOCK: nobody is asked */
    struct config_prefixes denied; /* whose packets are unwanted */
    unsigned goaway_tcp_rate;      /* SYNs and requests over stateless TCP; 0: any number */
    unsigned goaway_limit;         /* GoAways a second of one prefix */

    unsigned audit_interval_s; /* 0: delegations are not looked after */
    unsigned audit_findings, audit_spread_s;
    char audit_hints[PATH_MAX];   /* "": none */
    char audit_program[PATH_MAX]; /* lethe(1) */

    unsigned tcp_idle_timeout_s;
    unsigned tcp_connections_max; /* of each worker */
    unsigned tcp_profile;         /* enum config_tcp_profile */
    unsigned tcp_mss;
    unsigned tcp_segment;         /* 0: as the profile has it */
    unsigned tcp_verify_checksum; /* enum config_verify_checksum */
    char tcp_key_file[PATH_MAX];
    bool has_stale_reset;
    size_t tcp_recent_size; /* octets, of each interface; 0: none */
    bool has_fast_open;
    struct config_prefixes
        tcp_transfer_peers; /* their TCP is the kernel's, where it is stateless */

    size_t listen_count;
    struct config_listen listen[CONFIG_LISTEN_MAX];
};

enum config_kind {
    CONFIG_KIND_TEXT,     /* char[], any text but the empty one */
    CONFIG_KIND_HIDE,     /* char[], "off" stored as "" */
    CONFIG_KIND_NUMBER,   /* unsigned, min..max */
    CONFIG_KIND_SIZE,     /* size_t octets, 0 or min..max, as 4M */
    CONFIG_KIND_SWITCH,   /* bool, on or off */
    CONFIG_KIND_CHOICE,   /* unsigned, index into choices */
    CONFIG_KIND_PREFIXES, /* struct config_prefixes; in the file a list */
};

struct config_key {
    const char *group;    /* YAML mapping that holds it; NULL: the top */
    const char *name;     /* YAML key */
    const char *option;   /* command line, without "--" */
    const char *argument; /* for --help */
    const char *help;
    enum config_kind kind;
    size_t offset; /* in struct config */
    size_t cap;    /* of a text */
    size_t min, max;
    const char *const *choices; /* ended by NULL */
};

extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/* Values of `io`, ended by NULL; index is enum config_io. */
extern const char *const config_io_choices[];

/* Values of `tcp` at an address, ended by NULL; index is enum config_tcp. */
extern const char *const config_tcp_choices[];

/* What is wrong, where: "FILE:LINE: ..." or "--option: ...". Always NUL-terminated. */
struct config_error {
    char text[PATH_MAX + 512];
};

/* Everything at its default, no address, no database. */
void config_init(struct config *config);

/* Give a key its value; of CONFIG_KIND_PREFIXES, one more. Outcomes: 0; -EINVAL with the reason,
 * without its place, in `error`. */
int config_set(struct config *config, const struct config_key *key, const char *value,
               struct config_error *error);

/* Forget the values of a key of CONFIG_KIND_PREFIXES. */
void config_clear(struct config *config, const struct config_key *key);

/* The index of `value` in `choices`, or -1; `error` then lists them. */
int config_choose(const char *const *choices, const char *value, struct config_error *error);

/* Add an address, with TCP by the kernel. Outcomes: 0; -EINVAL with the reason in `error`. */
int config_listen_add(struct config *config, const char *address, struct config_error *error);

/* Name an address's interface. Outcomes: 0; -EINVAL with the reason in `error`. */
int config_listen_set_interface(struct config_listen *listen, const char *interface,
                                struct config_error *error);

/* Check what no key can check alone, after the last one is set. Outcomes: 0; -EINVAL with place and
 * reason in `error`. */
int config_check(const struct config *config, struct config_error *error);

/* Whether it is a proxy: without a database, and with the threads of stateless TCP alone, since UDP
 * at its addresses may well be the back end's own. */
bool config_is_proxy(const struct config *config);

/* Whether something is allowed but rarely meant; then what, where and why is in `doubt_out`. */
bool config_is_doubtful(const struct config *config, struct config_error *doubt_out);

/* Whether every key that stateless TCP depends on has the same value in both; addresses aside. */
bool config_is_same_stateless(const struct config *a, const struct config *b);

/* Read a file over `config`. Everything in it is known, said once and valid, or it is refused with
 * file, line and reason. Outcomes: 0; -EINVAL; -EIO it cannot be read; -ENOMEM. */
int config_read(struct config *config, const char *path, struct config_error *error);

/* Read text as if it were a file `name`. */
int config_read_text(struct config *config, const char *name, const char *text, size_t text_len,
                     struct config_error *error);

enum config_action {
    CONFIG_RUN,
    CONFIG_CHECK,
    CONFIG_HELP,
    CONFIG_VERSION,
};

/* Defaults, then the file that the command line names, then the command line, then config_check().
 * For CONFIG_HELP and CONFIG_VERSION nothing else is looked at. Outcomes: as config_read(). */
int config_load(int argc, char **argv, enum config_action *action_out, struct config *config_out,
                struct config_error *error);

/* The text of --help, to standard output. */
void config_print_help(void);

/* Whom to answer over UDP, as configured. The allow-list stays the config's. */
struct restrain_config config_restrain(const struct config *config);

/* Whom to ask to go away, as configured. Lists and texts stay the config's. */
struct shun_config config_shun(const struct config *config);

/* Whether these are the same. */
bool config_is_same_restrain(const struct config *a, const struct config *b);

/* How to answer, as configured, without the keys of TSIG. The texts stay the config's: it must
 * outlive the policy. */
struct respond_policy config_policy(const struct config *config);

/* For the files of this header. Say what is wrong, in a printf format. Returns -EINVAL. */
int config_refuse(struct config_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether somebody is denied, or asked to go away. */
bool config_is_shunning(const struct config *config);

/* Whether that may be for what comes over stateless TCP. */
bool config_is_shunning_tcp(const struct config *config);

#endif
