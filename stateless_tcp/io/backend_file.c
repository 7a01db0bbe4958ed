/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames from a capture file, answers into another. One frame is received at a time, so that its
 * answers can bear its time: what a file contains does not depend on when it was made.
 */
#include "stateless_tcp/io/io.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

#define SNAPLEN 65535

struct io {
    pcap_t *input;
    pcap_t *output_format;
    pcap_dumper_t *output;
    struct timeval time; /* of the frame received last */
    uint8_t *train_octets;
};

static void file_close(struct io *io)
{
    if (io == NULL)
        return;
    if (io->output != NULL)
        pcap_dump_close(io->output);
    if (io->output_format != NULL)
        pcap_close(io->output_format);
    if (io->input != NULL)
        pcap_close(io->input);
    free(io->train_octets);
    free(io);
}

static int input_open(struct io *io, const char *path, struct io_error *error)
{
    char reason[PCAP_ERRBUF_SIZE] = "";
    io->input = pcap_open_offline(path, reason);
    if (io->input == NULL) {
        snprintf(error->text, sizeof(error->text), "cannot read a capture from %s: %s", path,
                 reason);
        return -EINVAL;
    }
    int link = pcap_datalink(io->input);
    if (link != DLT_EN10MB) {
        const char *name = pcap_datalink_val_to_name(link);
        snprintf(error->text, sizeof(error->text),
                 "%s has frames of link type %s; only Ethernet (EN10MB) is understood: capture on "
                 "one Ethernet interface, not on \"any\"",
                 path, name != NULL ? name : "unknown");
        return -EPROTONOSUPPORT;
    }
    return 0;
}

static int output_open(struct io *io, const char *path, struct io_error *error)
{
    io->output_format = pcap_open_dead(DLT_EN10MB, SNAPLEN);
    if (io->output_format == NULL)
        return -ENOMEM;
    io->output = pcap_dump_open(io->output_format, path);
    if (io->output == NULL) {
        snprintf(error->text, sizeof(error->text), "cannot write %s: %s", path,
                 pcap_geterr(io->output_format));
        return -EIO;
    }
    return 0;
}

static int file_open(const struct io_config *config, struct io **io_out, struct io_error *error)
{
    *io_out = NULL;
    struct io *io = calloc(1, sizeof(*io));
    if (io == NULL)
        return -ENOMEM;
    int result = input_open(io, config->path_in, error);
    if (result == 0)
        result = output_open(io, config->path_out, error);
    if (result == 0) {
        io->train_octets = malloc(TRAIN_CAP);
        if (io->train_octets == NULL)
            result = -ENOMEM;
    }
    if (result == -ENOMEM)
        snprintf(error->text, sizeof(error->text), "out of memory");
    if (result != 0) {
        file_close(io);
        return result;
    }
    *io_out = io;
    return 0;
}

static int file_receive(struct io *io, int timeout_ms, struct io_frame *frames, int frame_cap)
{
    (void)timeout_ms; /* a file never keeps anybody waiting */
    if (frame_cap < 1)
        return 0;
    struct pcap_pkthdr *header;
    const u_char *octets;
    switch (pcap_next_ex(io->input, &header, &octets)) {
    case 1:
        io->time = header->ts;
        frames[0] = (struct io_frame){
            .octets = octets,
            .len = header->caplen,
            .time_us = (uint64_t)header->ts.tv_sec * 1000000 + (uint64_t)header->ts.tv_usec,
        };
        return 1;
    case PCAP_ERROR_BREAK: /* the end */
        return pcap_dump_flush(io->output) == 0 ? -ENODATA : -EIO;
    default:
        return -EBADMSG;
    }
}

static void file_lend(struct io *io, struct train *train_out)
{
    *train_out = (struct train){.octets = io->train_octets, .cap = TRAIN_CAP};
}

static int file_send(struct io *io, const struct train *train)
{
    const uint8_t *at = train->octets;
    for (uint32_t i = 0; i < train->frame_count; i++) {
        struct pcap_pkthdr header = {
            .ts = io->time, .caplen = train->frame_len[i], .len = train->frame_len[i]};
        pcap_dump((u_char *)io->output, &header, at);
        at += train->frame_len[i];
    }
    return ferror(pcap_dump_file(io->output)) ? -EIO : 0;
}

static int file_descriptor(const struct io *io)
{
    (void)io; /* a file never makes one wait */
    return -1;
}

const struct io_backend io_backend_file = {
    .name = "file",
    .open = file_open,
    .receive = file_receive,
    .lend = file_lend,
    .send = file_send,
    .descriptor = file_descriptor,
    .close = file_close,
};
