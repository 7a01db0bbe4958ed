/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ceiling of UDP sockets: recvmmsg, sendmmsg. usage: echo_socket ADDRESS
 */
#include "test/bench/ceilings/echo.h"
#include "test/must.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define MESSAGE_CAP 512

int main(int argc, char **argv)
{
    static uint8_t messages[BATCH][MESSAGE_CAP];
    static struct sockaddr_in6 from[BATCH];
    struct iovec vectors[BATCH];
    struct mmsghdr headers[BATCH];
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(ECHO_PORT)};
    MUST(argc == 2);
    bool is_v6 = inet_pton(AF_INET6, argv[1], &v6.sin6_addr) == 1;
    MUST(is_v6 || inet_pton(AF_INET, argv[1], &v4.sin_addr) == 1);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    MUST(fd >= 0);
    MUST(bind(fd, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
              is_v6 ? sizeof v6 : sizeof v4) == 0);
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
