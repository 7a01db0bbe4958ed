/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file: what is accepted, what is refused and on which line; and whether the manual pages and
 * the example know every key. LETHE_DOC is the folder with these.
 */
#include "server/config.h"
#include "test_main.h"

#include <errno.h>
#include <stdio.h>

static struct config config;
static struct config_error error;

static int read_text(const char *text)
{
    size_t len = strlen(text);
    uint8_t *copy = exact_copy(text, len);
    config_init(&config);
    error.text[0] = '\0';
    int outcome = config_read_text(&config, "file", (const char *)copy, len, &error);
    free(copy);
    return outcome != 0 ? outcome : config_check(&config, &error);
}

START_TEST(test_nothing_is_defaults)
{
    const struct respond_policy expected = respond_policy_default();
    config_init(&config);
    ck_assert_int_eq(config_read_text(&config, "file", "# nothing\n", 10, &error), 0);
    struct respond_policy policy = config_policy(&config);
    ck_assert_uint_eq(policy.udp_payload, expected.udp_payload);
    ck_assert(policy.has_edns == expected.has_edns && policy.is_any_full == expected.is_any_full);
    ck_assert_int_eq(policy.is_minimal, expected.is_minimal);
    ck_assert(policy.has_checksum == expected.has_checksum);
    ck_assert_uint_eq(policy.checksum_code, expected.checksum_code);
    ck_assert_ptr_null(policy.nsid);
    ck_assert_ptr_null(policy.chaos_id);
    ck_assert_ptr_null(policy.chaos_version);
    ck_assert_uint_eq(config.listen_count, 0);
    ck_assert_uint_eq(config.tcp_profile, CONFIG_TCP_PROFILE_MODERN);
}
END_TEST

static const char everything[] = "database: /db\n"
                                 "listen:\n"
                                 "  - address: 192.0.2.1@5353\n"
                                 "    tcp: stateless\n"
                                 "    interface: eth0\n"
                                 "  - {address: '::1', tcp: off}\n"
                                 "  - address: 2001:db8::1@54\n"
                                 "workers: 3\n"
                                 "pin: off\n"
                                 "user: lethe\n"
                                 "pid-file: /pid\n"
                                 "io: libpcap\n"
                                 "driver: off\n"
                                 "image: 3G\n"
                                 "udp: fast\n"
                                 "udp-payload: 4096\n"
                                 "edns: off\n"
                                 "edns-keepalive: off\n"
                                 "edns-padding: on\n"
                                 "edns-ede: off\n"
                                 "minimal-responses: on\n"
                                 "any: full\n"
                                 "nsid: 0x00ffAb\n"
                                 "chaos: {version: Lethe, id: one}\n"
                                 "checksum:\n"
                                 "  enabled: off\n"
                                 "  code: 7\n"
                                 "  siphash: on\n"
                                 "tsig: {keys: /keys, well-known: on, sha1: on}\n"
                                 "cookie: {enabled: off, key-file: /cookie.keys}\n"
                                 "policy:\n"
                                 "  rate-limit: 1000000\n"
                                 "  slip: 0\n"
                                 "  ipv4-prefix-length: 32\n"
                                 "  ipv6-prefix-length: 1\n"
                                 "  table-size: 4K\n"
                                 "  require-cookie: off\n"
                                 "  tcp-only: always\n"
                                 "  allow-list: [192.0.2.0/24, '::1', 198.51.100.1]\n"
                                 "goaway: {code: source, deny: ['::2', 192.0.2.7], tcp-rate: 9, "
                                 "limit: 1000}\n"
                                 "audit: {interval: 7, findings: 1000, spread: 0, hints: /hints, "
                                 "program: /lethe}\n"
                                 "tcp:\n"
                                 "  profile: modern\n"
                                 "  mss: 536\n"
                                 "  segment: 1220\n"
                                 "  verify-checksum: never\n"
                                 "  idle-timeout: 6553\n"
                                 "  max-connections: 5\n"
                                 "  key-file: /key\n"
                                 "  stale-reset: off\n"
                                 "  recent-responses: 256K\n"
                                 "  fast-open: on\n"
                                 "  transfer-peers: [192.0.2.7, 2001:db8::/32]\n";

START_TEST(test_everything)
{
    ck_assert_msg(read_text(everything) == 0, "%s", error.text);
    for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++)
        ck_assert_msg(config.line[k] != 0 || k == CONFIG_KEY_PROXY, "key %s is not in the test",
                      config_keys[k].name);
    struct respond_policy policy = config_policy(&config);
    ck_assert_uint_eq(policy.udp_payload, 4096);
    ck_assert(!policy.has_keepalive && policy.has_padding && !policy.has_ede);
    ck_assert(!policy.has_edns && policy.is_any_full && !policy.has_checksum);
    ck_assert(policy.is_minimal);
    ck_assert(config.audit_interval_s == 7 && config.audit_findings == 1000);
    ck_assert(config.audit_spread_s == 0 && strcmp(config.audit_hints, "/hints") == 0);
    ck_assert_str_eq(config.audit_program, "/lethe");
    ck_assert(policy.has_checksum_siphash && policy.checksum_code == 7);
    ck_assert_uint_eq(policy.nsid_len, 3);
    ck_assert_mem_eq(policy.nsid, "\x00\xff\xab", 3);
    ck_assert_str_eq(policy.chaos_version, "Lethe");
    ck_assert_str_eq(policy.chaos_id, "one");
    ck_assert_str_eq(config.database, "/db");
    ck_assert_str_eq(config.user, "lethe");
    ck_assert_str_eq(config.pid_file, "/pid");
    ck_assert_uint_eq(config.io, CONFIG_IO_LIBPCAP);
    ck_assert_uint_eq(config.driver, CONFIG_DRIVER_OFF);
    ck_assert_uint_eq(config.udp, CONFIG_UDP_FAST);
    ck_assert_uint_eq(config.image_size, 3ull << 30);
    ck_assert_str_eq(config.tcp_key_file, "/key");
    ck_assert_str_eq(config.tsig_keys, "/keys");
    ck_assert(config.has_tsig_well_known && config.has_tsig_sha1);
    ck_assert(!config.has_cookie);
    ck_assert_str_eq(config.cookie_key_file, "/cookie.keys");
    const struct restrain_config restrain = config_restrain(&config);
    ck_assert(restrain.rate == 1000000 && restrain.slip == 0 && restrain.ipv4_len == 32 &&
              restrain.ipv6_len == 1 && restrain.table_size == 4096);
    ck_assert(restrain.require_cookie == RESTRAIN_WHEN_NEVER &&
              restrain.tcp_only == RESTRAIN_WHEN_ALWAYS && restrain.allowed_count == 3);
    ck_assert(restrain.allowed[2].address.octets[3] == 1 && restrain_is_wanted(&restrain));
    const struct shun_config shun = config_shun(&config);
    ck_assert(shun.code == GOAWAY_SOURCE && shun.limit == 1000 && shun.denied_count == 2);
    ck_assert(shun.ipv4_len == 32 && shun.ipv6_len == 1 && shun.denied[0].address.octets[15] == 2);
    ck_assert(config.workers == 3 && !config.is_pinned);
    ck_assert(config.tcp_idle_timeout_s == 6553 && config.tcp_connections_max == 5);
    ck_assert(!config.has_stale_reset && config.has_fast_open);
    ck_assert_uint_eq(config.tcp_recent_size, 256 * 1024);
    ck_assert_uint_eq(config.tcp_profile, CONFIG_TCP_PROFILE_MODERN);
    ck_assert(config.tcp_mss == 536 && config.tcp_segment == 1220);
    ck_assert(config.tcp_verify_checksum == CONFIG_VERIFY_NEVER);
    const struct config_prefixes *peers = &config.tcp_transfer_peers;
    ck_assert_uint_eq(peers->count, 2);
    ck_assert(peers->items[0].address.family == 4 && peers->items[0].len == 32);
    ck_assert(peers->items[1].address.family == 6 && peers->items[1].len == 32);
    ck_assert_uint_eq(config.listen_count, 3);
    ck_assert(config.listen[0].tcp == CONFIG_TCP_STATELESS);
    ck_assert_str_eq(config.listen[0].interface, "eth0");
    ck_assert(config.listen[1].tcp == CONFIG_TCP_OFF && config.listen[2].tcp == CONFIG_TCP_KERNEL);
    ck_assert_uint_eq(address_port(&config.listen[1].address), 53);
    ck_assert_uint_eq(address_port(&config.listen[2].address), 54);
}
END_TEST

START_TEST(test_proxy)
{
    ck_assert_msg(read_text("proxy: ::1@54\nlisten: [{address: 192.0.2.1, tcp: stateless}]\n") == 0,
                  "%s", error.text);
    ck_assert_str_eq(config.proxy, "::1@54");
    ck_assert_uint_eq(config.line[CONFIG_KEY_PROXY], 1);
    ck_assert_uint_eq(config.tcp_profile, CONFIG_TCP_PROFILE_MODERN);
    ck_assert_msg(read_text("tcp: {profile: classic}\nproxy: ::1@54\n"
                            "listen: [{address: 192.0.2.1, tcp: stateless}]\n") == 0,
                  "%s", error.text);
    ck_assert_uint_eq(config.tcp_profile, CONFIG_TCP_PROFILE_CLASSIC);
}
END_TEST

/* Broken files: text, line, part of the reason. */
static const struct {
    const char *text;
    unsigned line;
    const char *reason;
} broken[] = {
    {"\nproxy: nowhere\n", 2, "\"nowhere\" is not ADDRESS@PORT"},
    {"database: /db\nproxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\n", 2,
     "there is a database too"},
    {"proxy: ::1\nlisten:\n  - address: ::2\n", 3, "must have tcp: stateless"},
    {"database: /db\nfoo: 1\n", 2, "unknown key \"foo\"; lethed.yaml(5) has them all"},
    {"\n\n# x\nDatabase: /db\n", 4, "unknown key \"Database\"; is it database?"},
    {"tcp:\n  mss: 600\n  mms: 600\n", 3, "unknown key \"mms\" in tcp; is it mss?"},
    {"tcp: {idle-timeout: 5,\n idle_timeout: 5}\n", 2,
     "unknown key \"idle_timeout\" in tcp; is it idle-timeout?"},
    {"chaos:\n  hostname: x\n", 2, "unknown key \"hostname\" in chaos"},
    {"mss: 600\n", 1, "unknown key \"mss\"; it belongs under tcp"},
    {"lisetn:\n", 1, "is it listen?"},
    {"polcy: {}\n", 1, "is it policy?"},
    {"tcp: {udp: fast}\n", 1, "\"udp\" in tcp; it belongs at the top"},
    {"listen:\n  - address: ::1\n    port: 5\n", 3, "unknown key \"port\" in listen"},
    {"any: full\n\nany: full\n", 3, "any: is there twice, first on line 1"},
    {"listen: []\nlisten: []\n", 2, "listen: is there twice"},
    {"tcp:\n  mss: 600\n  mss: 601\n", 3, "mss: is there twice, first on line 2"},
    {"listen:\n  - address: ::1\n    address: ::2\n", 3, "address: is there twice"},
    {"tcp:\n  mss: 600\nany: full\ntcp:\n  segment: 600\n", 4, "tcp: is there twice"},
    {"udp-payload: 511\n", 1, "udp-payload: \"511\" is not a number from 512 to 4096"},
    {"\nudp-payload: 4097\n", 2, "is not a number from 512 to 4096"},
    {"udp-payload: big\n", 1, "\"big\" is not a number"},
    {"udp-payload: -1\n", 1, "\"-1\" is not a number"},
    {"udp-payload: 1232.0\n", 1, "is not a number"},
    {"udp-payload: 0x400\n", 1, "is not a number"},
    {"udp-payload: 99999999999999999999999\n", 1, "is not a number"},
    {"udp-payload:\n", 1, "\"\" is not a number"},
    {"workers: 0\n", 1, "from 1 to 64"},
    {"workers: 65\n", 1, "from 1 to 64"},
    {"checksum:\n  code: 0\n", 2, "code: \"0\" is not a number from 1 to 65535"},
    {"checksum:\n  code: 65536\n", 2, "from 1 to 65535"},
    {"tcp:\n  mss: 535\n", 2, "from 536 to 1460"},
    {"tcp:\n  segment: 1221\n", 2, "from 512 to 1220"},
    {"tcp:\n  idle-timeout: 6554\n", 2, "from 1 to 6553"},
    {"tcp:\n  max-connections: 0\n", 2, "from 1 to 1000000"},
    {"edns: yes\n", 1, "edns: \"yes\" is not off or on"},
    {"pin: 1\n", 1, "is not off or on"},
    {"any: maximal\n", 1, "any: \"maximal\" is not minimal or full"},
    {"tcp:\n  verify-checksum: on\n", 2, "is not auto, always or never"},
    {"tcp:\n  profile: baroque\n", 2, "profile: \"baroque\" is not classic or modern"},
    {"any: full\ntcp:\n  profile: 2\n", 3, "profile: \"2\" is not classic or modern"},
    {"tcp:\n  mss: 600\n  recent-responses: 1\n", 3,
     "recent-responses: \"1\" is not 0 or a size from 256K to 1G, such as 4M"},
    {"tcp:\n  recent-responses: 255K\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses: 2G\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses: 17179869184G\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses: 4m\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses: 4MB\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses: 4 M\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses: M\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses: -1M\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses:\n", 2, "is not 0 or a size"},
    {"tcp:\n  recent-responses: off\n", 2, "is not 0 or a size"},
    {"tcp:\n  fast-open: fast\n", 2, "fast-open: \"fast\" is not off or on"},
    {"tcp:\n  stale-reset: yes\n", 2, "stale-reset: \"yes\" is not off or on"},
    {"nsid: 0x123\n", 1, "nsid: 0x must be followed by"},
    {"nsid: 0x12xy\n", 1, "hexadecimal digits"},
    {"nsid: 0x\n", 1, "nsid: 0x must be followed by"},
    {"nsid: ''\n", 1, "nsid: must not be empty"},
    {"database: ''\n", 1, "database: must not be empty"},
    {"chaos:\n  id:\n", 2, "id: must not be empty"},
    {"listen:\n  - address: localhost\n", 2, "\"localhost\" is not ADDRESS@PORT"},
    {"listen:\n  - address: 192.0.2.1@0\n", 2, "is not ADDRESS@PORT"},
    {"listen:\n  - address: 192.0.2.1@65536\n", 2, "is not ADDRESS@PORT"},
    {"listen:\n  - address: 192.0.2.1:53\n", 2, "is not ADDRESS@PORT"},
    {"listen:\n  - address: 192.0.2\n", 2, "is not ADDRESS@PORT"},
    {"listen:\n  - address: '[::1]'\n", 2, "is not ADDRESS@PORT"},
    {"listen:\n  - address: '@53'\n", 2, "is not ADDRESS@PORT"},
    {"listen:\n  - address: ::1\n    tcp: on\n", 3, "tcp: \"on\" is not kernel, stateless or off"},
    {"listen:\n  - address: ::1\n    tcp: stateless\n    interface: a/b\n", 4,
     "cannot be the name of an interface"},
    {"listen:\n  - address: ::1\n    tcp: stateless\n    interface: sixteen-letters-\n", 4,
     "cannot be the name of an interface"},
    {"listen:\n  - address: ::2\n  - tcp: off\n", 3, "listen: address is missing"},
    {"listen:\n  - ::1\n", 2, "listen: must be a mapping, as in \"- address: 192.0.2.1\""},
    {"cookie: off\n", 1, "cookie: must be a mapping of enabled, key-file"},
    {"tcp:\n\tmss: 600\n", 2, "a tab, where YAML has blanks"},
    {"listen: ::1\n", 1, "listen: must be a list"},
    {"\nlisten:\n  address: ::1\n", 3, "listen: must be a list"},
    {"database: [a]\n", 1, "database: must be a single value"},
    {"database:\n  a: b\n", 2, "database: must be a single value"},
    {"any: full\ntcp: kernel\n", 2, "tcp: must be a mapping"},
    {"any: full\ntcp:\n", 2, "tcp: must be a mapping"},
    {"tcp:\n  - mss\n", 2, "tcp: must be a mapping"},
    {"- database\n", 1, "must be a mapping"},
    {"word\n", 1, "must be a mapping"},
    {"[a]: b\n", 1, "a key must be a word"},
    {"database: a\n---\ndatabase: b\n", 2, "a second document begins"},
    {"database: &x a\nuser: *x\n", 2, "alias"},
    {"database: a\n  user: b\n", 2, "not YAML"},
    {"database: 'a\n", 2, "not YAML"},
    {"any: full\ntcp: {mss: 600\n", 3, "not YAML"},
    {"any: full\n\tuser: b\n", 2, "not YAML"},
    {"any: full\nuser: \xff\xfe\n", 2, "not YAML"},
    {"any: full\nuser: \x01\n", 2, "not YAML"},
    {"any: full\nuser: \"a\\0b\"\n", 2, "user: has a NUL in it"},
    {"any: full\nuser: \"\\q\"\n", 2, "not YAML"},
    {"tcp:\n  transfer-peers: 192.0.2.1\n", 2, "transfer-peers: must be a list"},
    {"tcp:\n  transfer-peers:\n", 2, "transfer-peers: must be a list"},
    {"tcp:\n  transfer-peers:\n    - ::1\n    - somebody\n", 4,
     "transfer-peers: \"somebody\" is not ADDRESS or ADDRESS/LENGTH"},
    {"tcp:\n  transfer-peers:\n    - ::1\n    -\n", 4,
     "transfer-peers: \"\" is not ADDRESS or ADDRESS/LENGTH"},
    {"tcp:\n  transfer-peers:\n    - ::1\n    - ['::2']\n", 4,
     "transfer-peers: must be a single value"},
    {"tcp:\n  transfer-peers: [192.0.2.1, {a: b}]\n", 2, "transfer-peers: must be a single value"},
    {"tcp:\n  transfer-peers:\n    - \"::1\\0\"\n", 3, "transfer-peers: has a NUL in it"},
    {"proxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\ngoaway: {deny: ['::3']}\n", 3,
     "deny: a proxy does not serve UDP"},
    {"goaway:\n  code: on\n", 2, "code: \"on\" is not off, host, protocol, port or source"},
    {"listen: [{address: '::2', tcp: stateless}]\ngoaway:\n  tcp-rate: 5\n", 3,
     "tcp-rate: nobody is asked with code: off"},
    {"database: d\nlisten: [{address: '::1'}]\ngoaway:\n  code: port\n  tcp-rate: 5\n", 5,
     "tcp-rate: it is for stateless TCP"},
    {"goaway:\n  limit: 0\n", 2, "limit: \"0\" is not a number from 1 to 1000"},
    {"goaway:\n  code: port\n  deny: [0.0.0.0/0]\n", 3, "is everybody"},
    {"proxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\ngoaway: {code: host}\n", 3,
     "code: a proxy does not serve UDP"},
    {"tcp:\n  transfer-peers: [192.0.2.1/24]\n", 2,
     "\"192.0.2.1/24\" has bits set beyond its length; is it 192.0.2.0/24?"},
    {"tcp:\n  transfer-peers:\n\n    - 192.0.2.1/33\n", 4,
     "\"192.0.2.1/33\" is longer than its address: 32 bits"},
    {"tcp:\n  transfer-peers: ['2001:db8::/129']\n", 2, "longer than its address: 128 bits"},
    {"tcp:\n  transfer-peers: [192.0.2.0/24, 0.0.0.0/0]\n", 2, "is everybody"},
    {"tcp:\n  transfer-peers: [192.0.2.1@53]\n", 2, "is not ADDRESS or ADDRESS/LENGTH"},
    {"tcp:\n  transfer-peers: ['fe80::1%lo']\n", 2, "is not ADDRESS or ADDRESS/LENGTH"},
    {"policy:\n  rate-limit: 1000001\n", 2, "is not a number from 0 to 1000000"},
    {"policy:\n  slip: -1\n", 2, "is not a number from 0 to 100"},
    {"policy:\n  slip: 1\n  tcp-only: sometimes\n", 3,
     "\"sometimes\" is not off, over-rate or always"},
    {"policy:\n  ipv4-prefix-length: 33\n", 2, "is not a number from 1 to 32"},
    {"policy:\n  table-size: 1\n", 2, "is not 0 or a size"},
    {"policy:\n  allow-list:\n    - 192.0.2.1\n    - 192.0.2.1/24\n", 4,
     "allow-list: \"192.0.2.1/24\" has bits set beyond its length"},
    {"policy:\n  allow-list: ['::/0']\n", 2, "is everybody"},
    {"policy: {rate: 5}\n", 1, "unknown key \"rate\" in policy"},
    {"cookie: on\n", 1, "cookie: must be a mapping"},
    {"cookie:\n  key-file:\n", 2, "key-file: must not be empty"},
    /* Lines of two lists are not mixed up. */
    {"policy:\n  allow-list: ['::1']\ntcp:\n  transfer-peers:\n\n    - x\n", 6,
     "transfer-peers: \"x\""},
    /* What no key can know alone. */
    {"database: /db\nlisten: [{address: '::1'}]\ncookie: {enabled: off}\npolicy:\n"
     "  require-cookie: always\n",
     5, "require-cookie: nobody can have one with cookies off"},
    {"database: /db\nlisten: [{address: '::1'}]\nedns: off\npolicy:\n"
     "  require-cookie: always\n",
     5, "require-cookie: nobody can have one with edns off"},
    {"proxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\ntcp:\n\n  fast-open: on\n", 5,
     "fast-open: a proxy has no response at hand"},
    {"proxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\ntcp:\n  mss: 600\n"
     "  transfer-peers: ['::3']\n",
     5, "transfer-peers: a proxy has no kernel TCP"},
    {"proxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\ntsig:\n  keys: /k\n", 4,
     "keys: a proxy leaves signatures to its back end"},
    {"proxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\ntsig: {well-known: on}\n", 3,
     "well-known: a proxy leaves signatures"},
    {"tsig:\n  key: /k\n", 2, "unknown key \"key\" in tsig"},
    {"tsig:\n  sha1: maybe\n", 2, "sha1: \"maybe\" is not off or on"},
    {"database: d\n\nlisten:\n  - address: 192.0.2.1\n  - address: 192.0.2.1@53\n", 5,
     "192.0.2.1@53 is there twice"},
    {"database: d\nlisten:\n  - address: 192.0.2.1\n    interface: lo\n", 3,
     "has an interface, which only tcp: stateless uses"},
    {"database: d\nlisten:\n  - address: 0.0.0.0\n    tcp: stateless\n", 3,
     "needs its interface named"},
    {"database: d\nlisten:\n  - address: ::1\n\nimage: 0\ndriver: zones\n", 6,
     "driver: zones are answered from an image"},
    {"database: d\nlisten: [{address: '::1'}]\n\ndriver: on\n", 4,
     "driver: on is for stateless TCP, and no address has that"},
    {"database: d\nlisten: [{address: '::1'}]\n\ndriver: hot\n", 4,
     "driver: hot is for stateless TCP, and no address has that"},
    {"database: d\nlisten: [{address: '::1'}]\nimage: 1G\n\ndriver: zones\n", 5,
     "driver: zones is for stateless TCP, and no address has that"},
    {"database: d\nlisten: [{address: '::1'}]\nio: xdp\n", 3,
     "io: xdp carries frames of stateless TCP"},
    {"database: d\nlisten: [{address: '::1', tcp: stateless}]\ndriver: hot\n", 3,
     "driver: hot repeats answers over UDP, which sockets give here: say udp: fast too"},
    {"proxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\ndriver: hot\n", 3,
     "driver: a proxy does not serve UDP"},
    {"database: d\nlisten: [{address: '::1', tcp: stateless}]\ntcp:\n  profile: classic\n"
     "  fast-open: on\n",
     5, "fast-open: profile classic has none: say profile: modern"},
    {"database: d\nlisten: [{address: '::1', tcp: stateless}]\nio: libpcap\ndriver: on\n", 4,
     "driver: no program can be put in the driver with io: libpcap"},
    {"proxy: ::1\nlisten: [{address: '::2', tcp: stateless}]\nimage: 1G\ndriver: zones\n", 4,
     "driver: a proxy has no zones"},
    {"image: 1000K\n", 1, "image: \"1000K\" is not 0 or a size from 1024K to 64G"},
    {"image: 65G\n", 1, "is not 0 or a size from 1024K to 64G"},
    {"listen:\n  - address: ::1\n", 1, "no database"},
    {"database: d\n", 1, "nothing to listen on"},
};

START_TEST(test_broken_files_name_the_line)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char place[32];
        snprintf(place, sizeof place, "file:%u: ", broken[i].line);
        ck_assert_msg(read_text(broken[i].text) == -EINVAL, "accepted: %s", broken[i].text);
        ck_assert_msg(strncmp(error.text, place, strlen(place)) == 0 &&
                          strstr(error.text, broken[i].reason) != NULL,
                      "%s: got \"%s\", wanted %s...%s", broken[i].text, error.text, place,
                      broken[i].reason);
    }
}
END_TEST

/* What is said above a file holds for whatever addresses it brings. */
START_TEST(test_said_above_a_file_is_not_in_vain)
{
    static const char plain[] = "database: d\nlisten: [{address: '::1'}]\n";
    config_init(&config);
    ck_assert_int_eq(config_read_text(&config, "file", plain, sizeof plain - 1, &error), 0);
    snprintf(config.file, sizeof config.file, "file");
    ck_assert_int_eq(config_set(&config, &config_keys[CONFIG_KEY_DRIVER], "on", &error), 0);
    ck_assert_int_eq(config_set(&config, &config_keys[CONFIG_KEY_IO], "xdp", &error), 0);
    ck_assert_msg(config_check(&config, &error) == 0, "%s", error.text);
    config.file[0] = '\0';
    ck_assert_int_eq(config_check(&config, &error), -EINVAL);
}
END_TEST

START_TEST(test_sizes)
{
    static const struct {
        const char *text;
        unsigned size;
    } good[] = {{"0", 0},
                {"0M", 0},
                {"262144", 262144},
                {"256K", 262144},
                {"4M", 4194304},
                {"1G", 1073741824},
                {"1024M", 1u << 30},
                {"1048576K", 1u << 30},
                {"1073741824", 1u << 30}};
    const struct config_key *key = &config_keys[CONFIG_KEY_TCP_RECENT_RESPONSES];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        config_init(&config);
        ck_assert_msg(config_set(&config, key, good[i].text, &error) == 0, "%s", good[i].text);
        ck_assert_uint_eq(config.tcp_recent_size, good[i].size);
    }
    ck_assert_int_eq(config_set(&config, key, "1073741825", &error), -EINVAL);
    ck_assert_int_eq(config_set(&config, key, "262143", &error), -EINVAL);
    ck_assert_uint_eq(config.tcp_recent_size, 1u << 30);
}
END_TEST

START_TEST(test_every_part_of_a_good_file_is_survived)
{
    for (size_t len = 0; len < sizeof everything; len++) {
        char *part = (char *)exact_copy(everything, len);
        config_init(&config);
        int outcome = config_read_text(&config, "file", part, len, &error);
        ck_assert_int_ge(outcome, -EINVAL);
        ck_assert(outcome == 0 || strncmp(error.text, "file:", 5) == 0);
        free(part);
    }
}
END_TEST

START_TEST(test_every_altered_octet_is_survived)
{
    for (size_t i = 0; i + 1 < sizeof everything; i++)
        for (size_t bit = 0; bit < 8; bit += 3) {
            char *altered = (char *)exact_copy(everything, sizeof everything - 1);
            altered[i] = (char)(altered[i] ^ 1 << bit);
            config_init(&config);
            int outcome = config_read_text(&config, "file", altered, sizeof everything - 1, &error);
            ck_assert(outcome == 0 || strncmp(error.text, "file:", 5) == 0);
            free(altered);
        }
}
END_TEST

START_TEST(test_too_many_addresses)
{
    char text[8192] = "listen:\n";
    for (unsigned i = 0; i <= CONFIG_LISTEN_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "  - address: 192.0.2.%u\n", i);
    ck_assert_int_eq(read_text(text), -EINVAL);
    ck_assert_str_eq(error.text, "file:66: listen: more than 64 addresses");
}
END_TEST

START_TEST(test_too_many_peers)
{
    char text[8192] = "tcp:\n transfer-peers:\n";
    for (unsigned i = 0; i <= CONFIG_PREFIXES_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "  - 192.0.2.%u\n", i);
    ck_assert_int_eq(read_text(text), -EINVAL);
    ck_assert_str_eq(error.text, "file:67: transfer-peers: more than 64 of them");
    ck_assert_uint_eq(config.tcp_transfer_peers.count, 0);
    for (unsigned i = 0; i < CONFIG_PREFIXES_MAX; i++)
        ck_assert_int_eq(
            config_set(&config, &config_keys[CONFIG_KEY_TCP_TRANSFER_PEERS], "::1", &error), 0);
    ck_assert_int_eq(
        config_set(&config, &config_keys[CONFIG_KEY_TCP_TRANSFER_PEERS], "::1", &error), -EINVAL);
    ck_assert_str_eq(error.text, "more than 64 of them");
}
END_TEST

/* Whatever key of stateless TCP changes, it is noticed; what is not one of them is not. */
START_TEST(test_same_for_stateless)
{
    static const struct {
        enum config_key_id key;
        const char *value;
        bool is_same;
    } changes[] = {
        {CONFIG_KEY_TCP_PROFILE, "classic", false},
        {CONFIG_KEY_TCP_PROFILE, "modern", true},
        {CONFIG_KEY_TCP_MSS, "537", false},
        {CONFIG_KEY_TCP_SEGMENT, "513", false},
        {CONFIG_KEY_TCP_VERIFY_CHECKSUM, "never", false},
        {CONFIG_KEY_TCP_KEY_FILE, "/other", false},
        {CONFIG_KEY_TCP_STALE_RESET, "off", false},
        {CONFIG_KEY_TCP_RECENT_RESPONSES, "0", false},
        {CONFIG_KEY_TCP_FAST_OPEN, "on", false},
        {CONFIG_KEY_TCP_TRANSFER_PEERS, "192.0.2.1", false},
        {CONFIG_KEY_TCP_IDLE_TIMEOUT, "9", true},
        {CONFIG_KEY_UDP_PAYLOAD, "4096", true},
        {CONFIG_KEY_DATABASE, "/other", true},
    };
    struct config *before = malloc(sizeof *before);
    bool is_seen[CONFIG_KEY_COUNT] = {false};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        config_init(before);
        config_init(&config);
        ck_assert(config_is_same_stateless(before, &config));
        ck_assert_int_eq(
            config_set(&config, &config_keys[changes[i].key], changes[i].value, &error), 0);
        bool is_same = config_is_same_stateless(before, &config);
        ck_assert_msg(is_same == changes[i].is_same, "%s", changes[i].value);
        is_seen[changes[i].key] |= !is_same || changes[i].key < CONFIG_KEY_TCP_PROFILE;
    }
    for (unsigned k = CONFIG_KEY_TCP_PROFILE; k < CONFIG_KEY_COUNT; k++)
        ck_assert_msg(is_seen[k], "a change of %s is not seen", config_keys[k].name);
    ck_assert(is_seen[CONFIG_KEY_TCP_IDLE_TIMEOUT] && is_seen[CONFIG_KEY_UDP_PAYLOAD]);
    ck_assert(is_seen[CONFIG_KEY_DATABASE]);
    /* As many peers, but others. */
    config_init(before);
    config_init(&config);
    const struct config_key *peers = &config_keys[CONFIG_KEY_TCP_TRANSFER_PEERS];
    ck_assert_int_eq(config_set(before, peers, "2001:db8::/32", &error), 0);
    ck_assert_int_eq(config_set(&config, peers, "2001:db8::/33", &error), 0);
    ck_assert(!config_is_same_stateless(before, &config));
    config_clear(&config, peers);
    ck_assert_int_eq(config_set(&config, peers, "2001:db9::/32", &error), 0);
    ck_assert(!config_is_same_stateless(before, &config));
    config_clear(&config, peers);
    ck_assert_int_eq(config_set(&config, peers, "2001:db8::/32", &error), 0);
    ck_assert(config_is_same_stateless(before, &config));
    free(before);
}
END_TEST

START_TEST(test_too_long_texts)
{
    char text[PATH_MAX + 64];
    for (size_t k = 0; k < CONFIG_KEY_COUNT; k++) {
        const struct config_key *key = &config_keys[k];
        if (key->cap == 0)
            continue;
        char *value = text;
        memset(value, 'x', key->cap);
        value[key->cap] = '\0';
        config_init(&config);
        ck_assert_int_eq(config_set(&config, key, value, &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "longer than"));
        value[key->cap - 1] = '\0';
        if (k != CONFIG_KEY_NSID && k != CONFIG_KEY_PROXY)
            ck_assert_int_eq(config_set(&config, key, value, &error), 0);
    }
    memset(text, 'x', CONFIG_NSID_MAX + 1);
    text[CONFIG_NSID_MAX + 1] = '\0';
    ck_assert_int_eq(config_set(&config, &config_keys[CONFIG_KEY_NSID], text, &error), -EINVAL);
    text[CONFIG_NSID_MAX] = '\0';
    ck_assert_int_eq(config_set(&config, &config_keys[CONFIG_KEY_NSID], text, &error), 0);
    ck_assert_uint_eq(config.nsid_len, CONFIG_NSID_MAX);
}
END_TEST

START_TEST(test_files_that_cannot_be_read)
{
    config_init(&config);
    ck_assert_int_eq(config_read(&config, "/nonexistent.yaml", &error), -EIO);
    ck_assert_str_eq(error.text, "/nonexistent.yaml: cannot be read: No such file or directory");
    ck_assert_int_eq(config_read(&config, "/", &error), -EIO);
    ck_assert_int_eq(config_read(&config, "/dev/zero", &error), -EINVAL);
    ck_assert_str_eq(error.text, "/dev/zero: longer than 1 MiB");
}
END_TEST

/* ---- documents ---- */

static char *read_document(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", LETHE_DOC, name);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s", path);
    char *text = calloc(1, 1 << 16);
    size_t len = fread(text, 1, (1 << 16) - 1, file);
    fclose(file);
    ck_assert_uint_gt(len, 0);
    return text;
}

static void expect_in(const char *document, const char *name, const char *wanted)
{
    ck_assert_msg(strstr(document, wanted) != NULL, "%s does not say \"%s\"", name, wanted);
}

START_TEST(test_manuals_know_every_key)
{
    char *manual = read_document("lethed.8"), *format = read_document("lethed.yaml.5");
    char wanted[128];
    for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
        snprintf(wanted, sizeof wanted, "\n.It Fl \\-%s ", config_keys[k].option);
        expect_in(manual, "lethed.8", wanted);
        snprintf(wanted, sizeof wanted, "\n.It Ic %s : ", config_keys[k].name);
        expect_in(format, "lethed.yaml.5", wanted);
        if (config_keys[k].kind == CONFIG_KIND_NUMBER) {
            snprintf(wanted, sizeof wanted, "%zu to %zu", config_keys[k].min, config_keys[k].max);
            expect_in(manual, "lethed.8", wanted);
            expect_in(format, "lethed.yaml.5", wanted);
        }
        if (config_keys[k].kind == CONFIG_KIND_SIZE) {
            snprintf(wanted, sizeof wanted, "%zuK to %zuG", config_keys[k].min >> 10,
                     config_keys[k].max >> 30);
            expect_in(manual, "lethed.8", wanted);
            expect_in(format, "lethed.yaml.5", wanted);
        }
        if (config_keys[k].group != NULL) {
            snprintf(wanted, sizeof wanted, "\n.It Ic %s\n", config_keys[k].group);
            expect_in(format, "lethed.yaml.5", wanted);
        }
    }
    static const char *const others[] = {"config",    "check-config", "listen", "tcp",
                                         "interface", "help",         "version"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(wanted, sizeof wanted, "\n.It Fl \\-%s", others[i]);
        expect_in(manual, "lethed.8", wanted);
    }
    expect_in(format, "lethed.yaml.5", "\n.It Ic listen\n");
    expect_in(format, "lethed.yaml.5", "\n.It Ic address : ");
    expect_in(format, "lethed.yaml.5", "\n.It Ic tcp : ");
    expect_in(format, "lethed.yaml.5", "\n.It Ic interface : ");
    free(manual);
    free(format);
}
END_TEST

/* "# key: value", "#   key: value" and "#   - key: value" are keys; other comments are prose. */
/* What cannot stand beside a database. */
static bool is_proxy_line(const char *line)
{
    return strncmp(line, "proxy: ", 7) == 0;
}

static bool is_key_comment(const char *line)
{
    if (line[0] != '#' || line[1] != ' ')
        return false;
    line += 1 + strspn(line + 1, " ");
    line += line[0] == '-' ? 2 : 0;
    size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return len > 0 && line[len] == ':' && !is_proxy_line(line);
}

START_TEST(test_example_has_every_key)
{
    char *example = read_document("lethed.yaml.example");
    bool has_proxy = strstr(example, "\n# proxy: 127.0.0.1@") != NULL;
    ck_assert_msg(read_text(example) == 0, "%s", error.text);
    char *full = calloc(1, strlen(example) + 1), *rest = example, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        sprintf(full + strlen(full), "%s\n", is_key_comment(line) ? line + 2 : line);
    ck_assert_msg(read_text(full) == 0, "with all comments taken away: %s", error.text);
    for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++)
        ck_assert_msg(config.line[k] != 0 || (k == CONFIG_KEY_PROXY && has_proxy),
                      "%s is not in the example", config_keys[k].name);
    ck_assert_str_eq(config.listen[config.listen_count - 1].interface, "eth0");
    free(full);
    free(example);
}
END_TEST

START_TEST(test_doubtful)
{
    struct config_error doubt;
    ck_assert_int_eq(
        read_text("database: /db\nlisten: [{address: 192.0.2.1}]\nudp-payload: 1400\n"), 0);
    ck_assert(!config_is_doubtful(&config, &doubt));
    ck_assert_int_eq(
        read_text("database: /db\nlisten: [{address: 192.0.2.1}]\nudp-payload: 1401\n"), 0);
    ck_assert(config_is_doubtful(&config, &doubt));
    ck_assert_ptr_nonnull(strstr(doubt.text, ":3: udp-payload: 1401 "));
    ck_assert_ptr_nonnull(strstr(doubt.text, "RFC 9715"));
}
END_TEST

/* Keys that the example shows with their default do show the default. */
START_TEST(test_example_shows_defaults)
{
    char *example = read_document("lethed.yaml.example");
    char *full = calloc(1, strlen(example) + 1), *rest = example, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        sprintf(full + strlen(full), "%s\n", is_key_comment(line) ? line + 2 : line);
    struct config *defaults = malloc(sizeof *defaults);
    config_init(defaults);
    ck_assert_int_eq(read_text(full), 0);
    for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
        const struct config_key *key = &config_keys[k];
        const char *shown = (const char *)&config + key->offset;
        const char *expected = (const char *)defaults + key->offset;
        bool is_same = true;
        if (key->kind == CONFIG_KIND_SWITCH)
            is_same = *(const bool *)shown == *(const bool *)expected;
        else if (key->kind == CONFIG_KIND_HIDE)
            is_same = strcmp(shown, expected) == 0;
        else if (key->kind != CONFIG_KIND_TEXT && key->kind != CONFIG_KIND_PREFIXES &&
                 k != CONFIG_KEY_WORKERS &&
                 k != CONFIG_KEY_TCP_SEGMENT) /* 0: they depend on machine and profile */
            is_same = memcmp(shown, expected, sizeof(unsigned)) == 0;
        ck_assert_msg(is_same, "%s: the example shows something else than the default", key->name);
    }
    free(defaults);
    free(full);
    free(example);
}
END_TEST

TEST_MAIN("server_config", test_nothing_is_defaults, test_everything, test_proxy,
          test_broken_files_name_the_line, test_said_above_a_file_is_not_in_vain, test_sizes,
          test_every_part_of_a_good_file_is_survived, test_every_altered_octet_is_survived,
          test_too_many_addresses, test_too_many_peers, test_same_for_stateless,
          test_too_long_texts, test_files_that_cannot_be_read, test_manuals_know_every_key,
          test_example_has_every_key, test_example_shows_defaults, test_doubtful)
