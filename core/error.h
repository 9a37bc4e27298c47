/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Error codes, error texts and the assertion macro.
 *
 * A function that can fail returns PM_OK or one of the negative codes below. Where a user will read about the
 * failure the function also takes a `struct pm_error *`, in which the caller finds one line of text; callers
 * may pass NULL there. A struct pm_error belongs to the thread that passes it. */
#ifndef PM_CORE_ERROR_H
#define PM_CORE_ERROR_H

/* Every code with its default text, in the order of the codes. */
#define PM_ERROR_CODES(X)                                            \
    X(PM_OK, 0, "success")                                           \
    X(PM_E_KEY, -1, "key out of range")                              \
    X(PM_E_LENGTH, -2, "wrong length")                               \
    X(PM_E_ARGUMENT, -3, "invalid argument")                         \
    X(PM_E_REFUSED, -4, "operation not possible under this policy")  \
    X(PM_E_MEMORY, -5, "out of memory")                              \
    X(PM_E_OPTION, -6, "unknown option or invalid option value")     \
    X(PM_E_FILE, -7, "file missing, unreadable, empty or malformed") \
    X(PM_E_MESSAGE, -8, "malformed message")                         \
    X(PM_E_PEER, -9, "a peer or the network failed")                 \
    X(PM_E_LIMIT, -10, "limit exceeded")                             \
    X(PM_E_PROGRESS, -11, "no progress")                             \
    X(PM_E_INTERRUPTED, -12, "interrupted")                          \
    X(PM_E_INTERNAL, -13, "internal accounts do not add up")         \
    X(PM_E_ABI, -14, "built against another interface version")

#define PM_ERROR_ENUMERATOR(name, code, text) name = code,
enum pm_error_code { PM_ERROR_CODES(PM_ERROR_ENUMERATOR) };
#undef PM_ERROR_ENUMERATOR

#define PM_ERROR_TEXT_SIZE 512

struct pm_error {
    int code;                      /* PM_OK while nothing failed */
    char text[PM_ERROR_TEXT_SIZE]; /* one line without a newline; "..." at the end says that it was cut */
};

/* The default text of a code; "unknown error" for any other number. Never NULL. */
const char *pm_strerror(int code);

/* Stores code and text and returns the code. Control characters become '?', so that the text stays one line.
 * The arguments may point into err->text. err may be NULL. */
int pm_error_set(struct pm_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the text that err holds (of the code's default text when it holds none), and
 * returns the code. err may be NULL. */
int pm_error_wrap(struct pm_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* For programmer errors only; always on. PM_ASSERT(cond) or PM_ASSERT(cond, "literal format", ...). */
#define PM_ASSERT(cond, ...) \
    (__builtin_expect(!!(cond), 1) ? (void)0 : pm_assert_failed(__FILE__, __LINE__, #cond, " " __VA_ARGS__))

/* Writes one line to file descriptor 2 and aborts. */
_Noreturn void pm_assert_failed(const char *file, int line, const char *cond, const char *fmt, ...)
    __attribute__((format(printf, 4, 5), cold));

#endif
