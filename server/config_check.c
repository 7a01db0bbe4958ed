/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

/* "FILE:LINE: NAME" or "--OPTION", as the value came from here or there. */
static const char *config_place(const struct config *config, unsigned line, const char *name,
                                const char *option, char *place, size_t place_cap)
{
    if (line != 0)
        snprintf(place, place_cap, "%s:%u: %s", config->file, line, name);
    else
        snprintf(place, place_cap, "--%s", option);
    return place;
}

static int config_check_listen(const struct config *config, size_t i, struct config_error *error)
{
    const struct config_listen *listen = &config->listen[i];
    char place[PATH_MAX + 64], text[ADDRESS_TEXT_MAX];
    address_to_text(&listen->address, text);
    for (size_t j = 0; j < i; j++)
        if (address_equal(&config->listen[j].address, &listen->address))
            return config_refuse(
                error, "%s: %s is there twice",
                config_place(config, listen->line, "listen", "listen", place, sizeof place), text);
    if (listen->interface[0] != '\0' && listen->tcp != CONFIG_TCP_STATELESS)
        return config_refuse(
            error, "%s: %s has an interface, which only tcp: stateless uses",
            config_place(config, listen->line, "interface", "interface", place, sizeof place),
            text);
    if (listen->interface[0] == '\0' && listen->tcp == CONFIG_TCP_STATELESS &&
        address_is_any(&listen->address))
        return config_refuse(
            error, "%s: %s with stateless TCP needs its interface named",
            config_place(config, listen->line, "listen", "listen", place, sizeof place), text);
    if (config_is_proxy(config) && listen->tcp != CONFIG_TCP_STATELESS)
        return config_refuse(
            error, "%s: %s must have tcp: stateless, all that a proxy serves",
            config_place(config, listen->line, "listen", "listen", place, sizeof place), text);
    return 0;
}

/* Where there is no address at all that is the fault to tell. */
static bool config_has_stateless(const struct config *config)
{
    bool is_there = config->listen_count == 0;
    for (size_t i = 0; i < config->listen_count; i++)
        is_there |= config->listen[i].tcp == CONFIG_TCP_STATELESS;
    return is_there;
}

static int config_check_udp(const struct config *config, struct config_error *error)
{
    char place[PATH_MAX + 64];
    config_place(config, config->line[CONFIG_KEY_UDP], "udp", "udp", place, sizeof place);
    if (config->udp == CONFIG_UDP_FAST && !config_has_stateless(config))
        return config_refuse(error, "%s: fast is UDP beside stateless TCP, and no address has that",
                             place);
    if (config_is_proxy(config) && config->udp == CONFIG_UDP_FAST)
        return config_refuse(error, "%s: a proxy does not serve UDP", place);
    return 0;
}

/* Whether the key's value belongs to these addresses: it stands beside them in the file, or all is on
 * the command line. What the command line says above a file holds for whatever addresses a reload
 * brings. */
static bool is_beside_addresses(const struct config *config, enum config_key_id key)
{
    return config->line[key] != 0 || config->file[0] == '\0';
}

/* What serves stateless TCP only, where no address has that, or not in this profile. */
static int config_check_vain(const struct config *config, struct config_error *error)
{
    char place[PATH_MAX + 64];
    bool has_program = config->driver != CONFIG_DRIVER_AUTO && config->driver != CONFIG_DRIVER_OFF;
    config_place(config, config->line[CONFIG_KEY_DRIVER], "driver", "driver", place, sizeof place);
    if (has_program && is_beside_addresses(config, CONFIG_KEY_DRIVER) &&
        !config_has_stateless(config))
        return config_refuse(error,
                             "%s: %s is for stateless TCP, and no address has that: say tcp: "
                             "stateless for one, or driver: auto",
                             place, config_keys[CONFIG_KEY_DRIVER].choices[config->driver]);
    if (config->driver == CONFIG_DRIVER_HOT && config->udp != CONFIG_UDP_FAST &&
        !config_is_proxy(config))
        return config_refuse(error,
                             "%s: hot repeats answers over UDP, which sockets give here: say udp: "
                             "fast too, or driver: on",
                             place);
    if (config->io == CONFIG_IO_XDP && is_beside_addresses(config, CONFIG_KEY_IO) &&
        !config_has_stateless(config))
        return config_refuse(
            error,
            "%s: xdp carries frames of stateless TCP, and no address has that: say tcp: stateless "
            "for one, or io: auto",
            config_place(config, config->line[CONFIG_KEY_IO], "io", "io", place, sizeof place));
    if (config->has_fast_open && config->tcp_profile == CONFIG_TCP_PROFILE_CLASSIC)
        return config_refuse(error, "%s: profile classic has none: say profile: modern, or off",
                             config_place(config, config->line[CONFIG_KEY_TCP_FAST_OPEN],
                                          "fast-open", "tcp-fast-open", place, sizeof place));
    return 0;
}

static int config_check_driver(const struct config *config, struct config_error *error)
{
    char place[PATH_MAX + 64];
    if (config->driver == CONFIG_DRIVER_HOT && config_is_proxy(config))
        return config_refuse(error, "%s: a proxy does not serve UDP: say driver: on",
                             config_place(config, config->line[CONFIG_KEY_DRIVER], "driver",
                                          "driver", place, sizeof place));
    if (config->io == CONFIG_IO_LIBPCAP && config->driver != CONFIG_DRIVER_AUTO &&
        config->driver != CONFIG_DRIVER_OFF)
        return config_refuse(error, "%s: no program can be put in the driver with io: libpcap",
                             config_place(config, config->line[CONFIG_KEY_DRIVER], "driver",
                                          "driver", place, sizeof place));
    if (config->driver == CONFIG_DRIVER_ZONES && config_is_proxy(config))
        return config_refuse(error, "%s: a proxy has no zones",
                             config_place(config, config->line[CONFIG_KEY_DRIVER], "driver",
                                          "driver", place, sizeof place));
    if (config->driver == CONFIG_DRIVER_ZONES && config->image_size == 0)
        return config_refuse(error,
                             "%s: zones are answered from an image: say how much memory it "
                             "may take, as in \"image: 1G\"",
                             config_place(config, config->line[CONFIG_KEY_DRIVER], "driver",
                                          "driver", place, sizeof place));
    return 0;
}

static int config_check_tsig(const struct config *config, struct config_error *error)
{
    char place[PATH_MAX + 64];
    if (config_is_proxy(config) && config->tsig_keys[0] != '\0')
        return config_refuse(error, "%s: a proxy leaves signatures to its back end",
                             config_place(config, config->line[CONFIG_KEY_TSIG_KEYS], "keys",
                                          "tsig-keys", place, sizeof place));
    if (config_is_proxy(config) && config->has_tsig_well_known)
        return config_refuse(error, "%s: a proxy leaves signatures to its back end",
                             config_place(config, config->line[CONFIG_KEY_TSIG_WELL_KNOWN],
                                          "well-known", "tsig-well-known", place, sizeof place));
    return 0;
}

static int config_check_policy(const struct config *config, struct config_error *error)
{
    char place[PATH_MAX + 64];
    if (config->require_cookie != RESTRAIN_WHEN_ALWAYS || (config->has_cookie && config->has_edns))
        return 0;
    return config_refuse(error, "%s: nobody can have one with %s off",
                         config_place(config, config->line[CONFIG_KEY_POLICY_REQUIRE_COOKIE],
                                      "require-cookie", "policy-require-cookie", place,
                                      sizeof place),
                         config->has_edns ? "cookies" : "edns");
}

static int config_check_goaway(const struct config *config, struct config_error *error)
{
    char place[PATH_MAX + 64];
    const char *rate = config_place(config, config->line[CONFIG_KEY_GOAWAY_TCP_RATE], "tcp-rate",
                                    "goaway-tcp-rate", place, sizeof place);
    if (config->goaway_tcp_rate != 0 && config->goaway_code == GOAWAY_NO_BLOCK)
        return config_refuse(error, "%s: nobody is asked with code: off; say which code", rate);
    if (config->goaway_tcp_rate != 0 && !config_has_stateless(config) &&
        is_beside_addresses(config, CONFIG_KEY_GOAWAY_TCP_RATE))
        return config_refuse(error,
                             "%s: it is for stateless TCP, and no address has that: say tcp: "
                             "stateless for one",
                             rate);
    if (!config_is_shunning(config) || !config_is_proxy(config))
        return 0;
    bool is_code = config->goaway_code != GOAWAY_NO_BLOCK;
    return config_refuse(
        error, "%s: a proxy does not serve UDP",
        config_place(config,
                     config->line[is_code ? CONFIG_KEY_GOAWAY_CODE : CONFIG_KEY_GOAWAY_DENY],
                     is_code ? "code" : "deny", is_code ? "goaway-code" : "goaway-deny", place,
                     sizeof place));
}

int config_check(const struct config *config, struct config_error *error)
{
    char place[PATH_MAX + 64];
    const char *file = config->file[0] != '\0' ? config->file : NULL;
    for (size_t i = 0; i < config->listen_count; i++)
        if (config_check_listen(config, i, error) != 0)
            return -EINVAL;
    if (config_check_udp(config, error) != 0 || config_check_driver(config, error) != 0 ||
        config_check_vain(config, error) != 0 || config_check_tsig(config, error) != 0 ||
        config_check_policy(config, error) != 0 || config_check_goaway(config, error) != 0)
        return -EINVAL;
    if (config_is_proxy(config) && config->database[0] != '\0')
        return config_refuse(error,
                             "%s: there is a database too; serve zones or ask a back end, not both",
                             config_place(config, config->line[CONFIG_KEY_PROXY], "proxy", "proxy",
                                          place, sizeof place));
    if (config_is_proxy(config) && config->has_fast_open)
        return config_refuse(error, "%s: a proxy has no response at hand to send with its SYN+ACK",
                             config_place(config, config->line[CONFIG_KEY_TCP_FAST_OPEN],
                                          "fast-open", "tcp-fast-open", place, sizeof place));
    if (config_is_proxy(config) && config->tcp_transfer_peers.count != 0)
        return config_refuse(error, "%s: a proxy has no kernel TCP to leave them to",
                             config_place(config, config->line[CONFIG_KEY_TCP_TRANSFER_PEERS],
                                          "transfer-peers", "tcp-transfer-peers", place,
                                          sizeof place));
    if (config->database[0] == '\0' && !config_is_proxy(config))
        return config_refuse(error, "%s%sno database: say %s", file != NULL ? file : "",
                             file != NULL ? ":1: " : "",
                             file != NULL ? "\"database: DIR\"" : "--db DIR");
    if (config->listen_count == 0)
        return config_refuse(error, "%s%snothing to listen on: say %s", file != NULL ? file : "",
                             file != NULL ? ":1: " : "",
                             file != NULL ? "\"listen: [{address: 127.0.0.1@53}]\""
                                          : "--listen ADDRESS@PORT");
    return 0;
}

bool config_is_doubtful(const struct config *config, struct config_error *doubt_out)
{
    char place[PATH_MAX + 64];
    doubt_out->text[0] = '\0';
    if (config_is_proxy(config) || config->udp_payload <= CONFIG_UDP_PAYLOAD_USUAL_MAX)
        return false;
    config_refuse(doubt_out,
                  "%s: %u is more than the %u octets that RFC 9715 (3.1, R3) recommends at most: "
                  "longer responses are lost on the way, or come in fragments, unless you know "
                  "every path to carry them",
                  config_place(config, config->line[CONFIG_KEY_UDP_PAYLOAD], "udp-payload",
                               "udp-payload", place, sizeof place),
                  config->udp_payload, CONFIG_UDP_PAYLOAD_USUAL_MAX);
    return true;
}
