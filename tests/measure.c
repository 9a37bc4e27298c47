/* SPDX-License-Identifier: GPL-3.0-or-later */
#define _GNU_SOURCE
#include "tests/measure.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "real/sleeper.h"

enum { CHUNK_BYTES = 1 << 20, COPY_BYTES = 128 << 20, BUFFER_BYTES = 1 << 16 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double measure_quantile(double *values, uint32_t n, double q)
{
    qsort(values, n, sizeof *values, compare);
    return values[(uint32_t)(q * (n - 1))];
}

void measure_pin(uint32_t core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
    sched_setaffinity(getpid(), sizeof set, &set);
}

static void move(int fd, char *buffer, size_t bytes, bool out)
{
    for (size_t at = 0; at < bytes;) {
        ssize_t n = out ? send(fd, buffer + at, bytes - at, MSG_NOSIGNAL) : recv(fd, buffer + at, bytes - at, 0);
        if (n <= 0)
            die("loopback connection");
        at += (size_t)n;
    }
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)address, length) != 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &length) != 0)
        die("loopback connection");
    return fd;
}

/* A child process, connected with this one: returns this side's end, and the child's process, 0 in the child. */
static int fork_connected(pid_t *child)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address), on = 1;
    *child = fork();
    if (*child < 0)
        die("fork");
    int fd = *child == 0 ? accept(listener, NULL, NULL) : socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || (*child > 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0))
        die("loopback connection");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
    return fd;
}

void measure_ping_pong(double *us, uint32_t n, size_t out, size_t back, bool pinned)
{
    static char buffer[BUFFER_BYTES];
    uint32_t warm = n / 10;
    pid_t child;
    cpu_set_t before;
    if (out > sizeof buffer || back > sizeof buffer)
        die("ping-pong");
    int fd = fork_connected(&child);
    sched_getaffinity(0, sizeof before, &before);
    if (pinned)
        measure_pin(child == 0 ? 1 : 0);
    for (uint32_t i = 0; i < n + warm; i++) {
        int64_t start_ns = real_clock_ns();
        move(fd, buffer, out, child != 0);
        move(fd, buffer, back, child == 0);
        if (i >= warm)
            us[i - warm] = (double)(real_clock_ns() - start_ns) / 1e3;
    }
    if (child == 0)
        _exit(0);
    sched_setaffinity(0, sizeof before, &before);
    waitpid(child, NULL, 0);
    close(fd);
}

double measure_stream(uint64_t bytes)
{
    static char buffer[CHUNK_BYTES];
    pid_t child;
    uint64_t chunks = bytes / CHUNK_BYTES + 1;
    int fd = fork_connected(&child);
    int64_t start_ns = real_clock_ns();
    for (uint64_t i = 0; i < chunks; i++)
        move(fd, buffer, sizeof buffer, child != 0);
    move(fd, buffer, 1, child == 0); /* all has arrived */
    if (child == 0)
        _exit(0);
    double bytes_per_s = (double)chunks * CHUNK_BYTES * 1e9 / (double)(real_clock_ns() - start_ns);
    waitpid(child, NULL, 0);
    close(fd);
    return bytes_per_s;
}

double measure_copy(void)
{
    char *from = malloc(COPY_BYTES), *to = malloc(COPY_BYTES);
    if (!from || !to)
        die("memcpy");
    memset(from, 1, COPY_BYTES);
    memset(to, 2, COPY_BYTES);
    int64_t start_ns = real_clock_ns();
    memcpy(to, from, COPY_BYTES);
    __asm__ volatile("" : : "r"(to) : "memory");
    double bytes_per_s = (double)COPY_BYTES * 1e9 / (double)(real_clock_ns() - start_ns);
    free(from);
    free(to);
    return bytes_per_s;
}
