/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listening sockets of a cluster on this machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "real/join.h"

int real_port_range_parse(const char *text, struct real_port_range *range, struct pm_error *err)
{
    range->first = range->last = 0;
    if (!text || !*text)
        return PM_OK;
    unsigned first, last;
    int end = 0;
    if (sscanf(text, "%5u-%5u%n", &first, &last, &end) != 2 || text[end] != '\0' || first < 1 ||
        last > 65535 || first > last)
        return pm_error_set(err, PM_E_OPTION,
                            "option port-range: '%s' is not FIRST-LAST with ports from 1 to 65535", text);
    range->first = (uint16_t)first;
    range->last = (uint16_t)last;
    return PM_OK;
}

/* A listening socket at 127.0.0.1:port, or -1 with errno. */
static int listen_at(uint16_t port, uint32_t nodes, struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    if (fd < 0)
        return -1;
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_port = htons(port);
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof *address;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)address, length) == 0 && listen(fd, (int)nodes + 16) == 0 &&
        getsockname(fd, (struct sockaddr *)address, &length) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* The next free port of the range from *port on. */
static int listen_in_range(const struct real_port_range *range, uint32_t *port, uint32_t *taken,
                           uint32_t nodes, struct sockaddr_in *address)
{
    for (; *port <= range->last; ++*port) {
        int fd = listen_at((uint16_t)*port, nodes, address);
        if (fd >= 0)
            ++*port;
        if (fd >= 0 || errno != EADDRINUSE)
            return fd;
        if (*taken == 0)
            *taken = *port;
    }
    errno = EADDRINUSE;
    return -1;
}

int real_listen(const struct real_port_range *range, uint32_t nodes, struct sockaddr_in *addresses,
                int *listeners, struct pm_error *err)
{
    uint32_t ports = (uint32_t)range->last - range->first + 1;
    if (range->first && ports < nodes)
        return pm_error_set(err, PM_E_OPTION,
                            "option port-range: %u-%u has %u ports, but %u nodes need one each", range->first,
                            range->last, ports, nodes);
    uint32_t port = range->first, taken = 0;
    for (uint32_t i = 0; i < nodes; i++) {
        listeners[i] = range->first ? listen_in_range(range, &port, &taken, nodes, &addresses[i])
                                    : listen_at(0, nodes, &addresses[i]);
        if (listeners[i] >= 0)
            continue;
        int why = errno;
        while (i > 0)
            close(listeners[--i]);
        if (why == EADDRINUSE && taken)
            return pm_error_set(
                err, PM_E_PEER,
                "port %u on 127.0.0.1 is taken, and port-range %u-%u has too few others for %u nodes", taken,
                range->first, range->last, nodes);
        return pm_error_set(err, why == EMFILE || why == ENFILE ? PM_E_LIMIT : PM_E_PEER,
                            "cannot listen on 127.0.0.1%s: %s", range->first ? " in port-range" : "",
                            strerror(why));
    }
    return PM_OK;
}
