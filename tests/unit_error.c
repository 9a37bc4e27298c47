/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Error codes, error texts, assertions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"

static void codes_have_texts(void **state)
{
    (void)state;
    assert_string_equal(pm_strerror(PM_OK), "success");
    assert_string_equal(pm_strerror(PM_E_KEY), "key out of range");
    for (int code = -1; code >= PM_E_ABI; code--) {
        assert_string_not_equal(pm_strerror(code), "unknown error");
        for (int other = 0; other > code; other--)
            assert_string_not_equal(pm_strerror(code), pm_strerror(other));
    }
    assert_string_equal(pm_strerror(PM_E_ABI - 1), "unknown error");
    assert_string_equal(pm_strerror(1), "unknown error");
}

static void set_stores_code_and_text(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_int_equal(pm_error_set(&err, PM_E_FILE, "%s: line %d", "a.csv", 7), PM_E_FILE);
    assert_int_equal(err.code, PM_E_FILE);
    assert_string_equal(err.text, "a.csv: line 7");
    assert_int_equal(pm_error_set(NULL, PM_E_PEER, "nobody reads this"), PM_E_PEER);
}

static void wrap_puts_context_in_front(void **state)
{
    (void)state;
    struct pm_error err = {0};
    pm_error_set(&err, PM_E_OPTION, "bad skew");
    assert_int_equal(pm_error_wrap(&err, err.code, "workload %s", "zipf"), PM_E_OPTION);
    assert_string_equal(err.text, "workload zipf: bad skew");
    struct pm_error empty = {0};
    assert_int_equal(pm_error_wrap(&empty, PM_E_MEMORY, "slots"), PM_E_MEMORY);
    assert_string_equal(empty.text, "slots: out of memory");
    assert_int_equal(empty.code, PM_E_MEMORY);
    assert_int_equal(pm_error_wrap(NULL, PM_E_KEY, "x"), PM_E_KEY);
}

static void texts_are_one_line_and_may_contain_themselves(void **state)
{
    (void)state;
    struct pm_error err = {0};
    pm_error_set(&err, PM_E_FILE, "a\nb\tc\x7f\x1b[0m \xc3\xa9");
    assert_string_equal(err.text, "a?b?c??[0m \xc3\xa9");
    pm_error_set(&err, PM_E_PEER, "again: %s", err.text);
    assert_string_equal(err.text, "again: a?b?c??[0m \xc3\xa9");
}

static void long_texts_are_cut_visibly(void **state)
{
    (void)state;
    char text[2 * PM_ERROR_TEXT_SIZE];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct pm_error err = {0};
    pm_error_set(&err, PM_E_LIMIT, "%s", text);
    assert_int_equal(strlen(err.text), PM_ERROR_TEXT_SIZE - 1);
    assert_string_equal(err.text + PM_ERROR_TEXT_SIZE - 5, "x...");
    pm_error_wrap(&err, PM_E_LIMIT, "%s", text);
    assert_int_equal(strlen(err.text), PM_ERROR_TEXT_SIZE - 1);
    text[PM_ERROR_TEXT_SIZE - 1] = '\0'; /* fits exactly */
    pm_error_set(&err, PM_E_LIMIT, "%s", text);
    assert_string_equal(err.text, text);
}

/* Runs the assertion in a child; returns its wait status, its standard error in text. */
static int assertion_status(bool cond, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL); /* sanitizers and cmocka may catch it */
        dup2(ends[1], 2);
        PM_ASSERT(cond, "worker %d", 3);
        PM_ASSERT(cond);
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t n; (n = read(ends[0], text + length, size - 1 - length)) > 0;)
        length += (size_t)n;
    text[length] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assertions_end_the_process_with_a_line(void **state)
{
    (void)state;
    char text[1024];
    int status = assertion_status(false, text, sizeof text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "unit_error.c:"));
    assert_non_null(strstr(text, "assertion failed: cond; worker 3\n"));
    status = assertion_status(true, text, sizeof text);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_texts),
        cmocka_unit_test(set_stores_code_and_text),
        cmocka_unit_test(wrap_puts_context_in_front),
        cmocka_unit_test(texts_are_one_line_and_may_contain_themselves),
        cmocka_unit_test(long_texts_are_cut_visibly),
        cmocka_unit_test(assertions_end_the_process_with_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
