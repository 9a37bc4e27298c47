/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sleeping and waking of a node's threads. */
#include "real/sleeper.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/types.h"
#include "real/turn.h"

enum { AWAKE, ASLEEP, NAPPING, TOKEN };

int64_t real_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int real_sleeper_open(struct real_sleeper *s, struct pm_error *err)
{
    s->word = AWAKE;
    s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (s->event_fd >= 0 && s->epoll_fd >= 0 &&
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->event_fd, &event) == 0)
        return PM_OK;
    int code = pm_error_set(err, PM_E_LIMIT, "cannot make a descriptor to sleep on: %s", strerror(errno));
    real_sleeper_close(s);
    return code;
}

void real_sleeper_close(struct real_sleeper *s)
{
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
    if (s->event_fd >= 0)
        close(s->event_fd);
    s->epoll_fd = s->event_fd = -1;
}

int real_sleeper_watch(struct real_sleeper *s, int fd, uint32_t events, void *data, struct pm_error *err)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return PM_OK;
    return pm_error_set(err, PM_E_LIMIT, "cannot watch a connection: %s", strerror(errno));
}

void real_wake(struct real_sleeper *s)
{
    uint32_t was = __atomic_exchange_n(&s->word, TOKEN, __ATOMIC_ACQ_REL);
    if (was == NAPPING)
        real_word_wake_all(&s->word);
    if (was != ASLEEP)
        return;
    uint64_t one = 1;
    ssize_t written;
    do
        written = write(s->event_fd, &one, sizeof one);
    while (written < 0 && errno == EINTR);
}

bool real_take_token(struct real_sleeper *s)
{
    return __atomic_load_n(&s->word, __ATOMIC_RELAXED) == TOKEN &&
           __atomic_exchange_n(&s->word, AWAKE, __ATOMIC_ACQ_REL) == TOKEN;
}

/* Drops events of the eventfd, which say no more than the word does. */
static int without_own(struct epoll_event *events, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr != NULL)
            events[kept++] = events[i];
    return kept;
}

/* Looks at the set again and again for spin_ns: number of events, or 0 when the time is over or a token is
 * there. */
static int spin(struct real_sleeper *s, struct epoll_event *events, int max, int64_t spin_ns)
{
    int64_t until_ns = real_clock_ns() + spin_ns;
    do {
        int n = epoll_wait(s->epoll_fd, events, max, 0);
        if (n > 0 && (n = without_own(events, n)) > 0)
            return n;
    } while (__atomic_load_n(&s->word, __ATOMIC_RELAXED) != TOKEN && real_clock_ns() < until_ns);
    return 0;
}

int real_sleep(struct real_sleeper *s, struct epoll_event *events, int max, int64_t spin_ns,
               int64_t timeout_ns, bool *token)
{
    *token = real_take_token(s);
    if (*token)
        timeout_ns = 0;
    if (spin_ns > 0 && timeout_ns > 0) {
        int n = spin(s, events, max, spin_ns < timeout_ns ? spin_ns : timeout_ns);
        *token = real_take_token(s);
        if (n > 0 || *token)
            return n;
    }
    uint32_t awake = AWAKE;
    if (timeout_ns > 0 &&
        !__atomic_compare_exchange_n(&s->word, &awake, ASLEEP, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        timeout_ns = 0;
    struct timespec limit = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int n = epoll_pwait2(s->epoll_fd, events, max, timeout_ns == PM_TIME_NEVER ? NULL : &limit, NULL);
    if (__atomic_exchange_n(&s->word, AWAKE, __ATOMIC_ACQ_REL) == TOKEN)
        *token = true;
    return n > 0 ? without_own(events, n) : 0;
}

void real_nap(struct real_sleeper *s, int64_t timeout_ns, bool *token)
{
    uint32_t awake = AWAKE;
    if (__atomic_compare_exchange_n(&s->word, &awake, NAPPING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        real_word_wait(&s->word, NAPPING, timeout_ns);
    *token = __atomic_exchange_n(&s->word, AWAKE, __ATOMIC_ACQ_REL) == TOKEN;
}
