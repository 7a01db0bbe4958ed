/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ceiling of UDP sockets: recvmmsg, sendmmsg. usage: echo_socket ADDRESS
 */
#include "test/bench/ceilings/echo.h"
#include "test/must.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define MESSAGE_CAP 512

int main(int argc, char **argv)
{
    static uint8_t messages[BATCH][MESSAGE_CAP];
    static struct sockaddr_in from[BATCH];
    struct iovec vectors[BATCH];
    struct mmsghdr headers[BATCH];
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    MUST(argc == 2 && inet_pton(AF_INET, argv[1], &here.sin_addr) == 1);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&here, sizeof here) == 0);
    for (;;) {
        for (size_t i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){.iov_base = messages[i], .iov_len = MESSAGE_CAP};
            headers[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                                 .msg_namelen = sizeof from[i],
                                                 .msg_iov = &vectors[i],
                                                 .msg_iovlen = 1};
        }
        int count = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
        MUST(count > 0);
        for (int i = 0; i < count; i++) {
            messages[i][2] |= ECHO_QR_AA;
            vectors[i].iov_len = headers[i].msg_len;
        }
        for (int sent = 0; sent < count;) {
            int more = sendmmsg(fd, headers + sent, (unsigned)(count - sent), 0);
            sent += more > 0 ? more : 1;
        }
    }
}
