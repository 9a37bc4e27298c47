/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listening sockets of the real backend: ranges of ports, ports that are taken, and a roll call that one misses. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "real/join.h"

static void test_port_taken(void **state)
{
    (void)state;
    const struct real_port_range any = {0, 0};
    struct sockaddr_in addresses[3];
    struct pm_error err = {.code = PM_OK};
    int taken, listeners[3];
    char text[64];
    assert_int_equal(real_listen(&any, 1, addresses, &taken, &err), PM_OK);
    uint16_t port = ntohs(addresses[0].sin_port);
    const struct real_port_range one = {port, port};
    assert_int_equal(real_listen(&one, 1, addresses, listeners, &err), PM_E_PEER);
    snprintf(text, sizeof text, "port %u on 127.0.0.1 is taken", port);
    assert_non_null(strstr(err.text, text));
    assert_int_equal(real_listen(&one, 3, addresses, listeners, &err), PM_E_OPTION);
    assert_non_null(strstr(err.text, "3 nodes"));
    close(taken);
    assert_int_equal(real_listen(&one, 1, addresses, listeners, &err), PM_OK);
    assert_int_equal(ntohs(addresses[0].sin_port), port);
    close(listeners[0]);
}

static void test_port_range(void **state)
{
    (void)state;
    struct real_port_range range;
    struct pm_error err;
    const char *const bad[] = {"x", "1", "1-", "0-5", "5-4", "1-65536", "1-2x", "-1-2", "1-2-3"};
    assert_int_equal(real_port_range_parse("7000-7010", &range, NULL), PM_OK);
    assert_int_equal(range.first, 7000);
    assert_int_equal(range.last, 7010);
    assert_int_equal(real_port_range_parse("", &range, NULL), PM_OK);
    assert_int_equal(range.first, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(real_port_range_parse(bad[i], &range, &err), PM_E_OPTION);
        assert_non_null(strstr(err.text, "port-range"));
    }
}

struct caller {
    struct real_rendezvous rendezvous;
    pthread_t thread;
    struct pm_error err;
};

static void *join(void *arg)
{
    struct caller *c = arg;
    struct real_link links[3];
    return real_join(&c->rendezvous, links, &c->err) == PM_E_PEER ? c : NULL;
}

static void test_missing_rank(void **state)
{
    (void)state;
    const struct real_port_range any = {0, 0};
    struct sockaddr_in addresses[3];
    struct caller callers[2];
    struct pm_error err = {.code = PM_OK};
    int listeners[3];
    assert_int_equal(real_listen(&any, 3, addresses, listeners, &err), PM_OK);
    for (uint32_t i = 0; i < 2; i++) {
        callers[i].rendezvous = (struct real_rendezvous){.rank = i,
                                                         .nodes = 3,
                                                         .job = 4711,
                                                         .listener = listeners[i],
                                                         .addresses = addresses,
                                                         .timeout_ns = 300000000};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, join, &callers[i]), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        void *refused = NULL;
        pthread_join(callers[i].thread, &refused);
        assert_non_null(refused);
        assert_non_null(strstr(callers[i].err.text, "1 of 3 nodes did not join within 0.3 s: rank 2"));
    }
    for (int i = 0; i < 3; i++)
        close(listeners[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_taken),
        cmocka_unit_test(test_port_range),
        cmocka_unit_test(test_missing_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
