/* SPDX-License-Identifier: Apache-2.0 */
/* What both back-ends share: the checks, and what happens around a test's body. */
#include "t.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef T_TROUPE
#include "loop_internal.h"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define T_LSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define T_LSAN 1
#endif
#endif
#ifdef T_LSAN
#include <sanitizer/lsan_interface.h>
#endif

#define T_MAX_FDS         4096
#define T_DEFAULT_TIMEOUT 20u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned failures;       /* under lock */
static char first_failure[512]; /* under lock */
static bool ignored[T_MAX_FDS]; /* under lock */
static const struct t_case *running;
static pthread_t test_thread;
static jmp_buf require_env;
static uintptr_t stack_base; /* a frame of the running test's own stack; the body lies below it */

/* ---- checks ---- */

void t_fail(const char *file, int line, const char *format, ...) {
    char text[400];
    char where[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *base = strrchr(file, '/');
    snprintf(where, sizeof where, "%.80s:%d: %s", base != NULL ? base + 1 : file, line, text);
    pthread_mutex_lock(&lock);
    if (failures++ == 0) {
        snprintf(first_failure, sizeof first_failure, "%s", where);
    }
    pthread_mutex_unlock(&lock);
    fprintf(stderr, "%s/%s: %s\n", running != NULL ? running->suite : "?",
            running != NULL ? running->name : "?", where);
}

bool t_check(bool ok, const char *file, int line, const char *text) {
    if (!ok) {
        t_fail(file, line, "not true: %s", text);
    }
    return ok;
}

bool t_check_int(int64_t actual, int64_t expected, const char *file, int line, const char *text) {
    if (actual != expected) {
        t_fail(file, line, "%s is %" PRId64 ", expected %" PRId64, text, actual, expected);
    }
    return actual == expected;
}

bool t_check_str(const char *actual, const char *expected, const char *file, int line,
                 const char *text) {
    bool ok = actual == NULL || expected == NULL ? actual == expected : !strcmp(actual, expected);
    if (!ok) {
        t_fail(file, line, "%s is \"%s\", expected \"%s\"", text,
               actual != NULL ? actual : "(NULL)", expected != NULL ? expected : "(NULL)");
    }
    return ok;
}

bool t_check_mem(const void *actual, const void *expected, size_t size, const char *file, int line,
                 const char *text) {
    const unsigned char *a = actual;
    const unsigned char *b = expected;
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) {
            t_fail(file, line, "%s: byte %zu of %zu is 0x%02x, expected 0x%02x", text, i, size,
                   a[i], b[i]);
            return false;
        }
    }
    return true;
}

/* On the main stack the kernel keeps the whole stack limit free below us, so an address in that
 * range is on our stack; a task's stack isn't. */
static bool on_own_stack(void) {
    uintptr_t at = (uintptr_t)__builtin_frame_address(0);
    return pthread_equal(pthread_self(), test_thread) && at <= stack_base &&
           stack_base - at < 4u << 20;
}

void t_require(bool ok, const char *file, int line, const char *text) {
    if (!on_own_stack()) {
        fprintf(stderr, "%s:%d: T_REQUIRE on a task's or another thread's stack\n", file, line);
        abort();
    }
    if (!ok) {
        t_fail(file, line, "required: %s", text);
        longjmp(require_env, 1);
    }
}

unsigned t_failures(void) {
    pthread_mutex_lock(&lock);
    unsigned n = failures;
    pthread_mutex_unlock(&lock);
    return n;
}

/* ---- file descriptors ---- */

void t_ignore_fd(int fd) {
    if (fd >= 0 && fd < T_MAX_FDS) {
        pthread_mutex_lock(&lock);
        ignored[fd] = true;
        pthread_mutex_unlock(&lock);
    }
}

static void list_fds(bool open_fds[T_MAX_FDS]) {
    memset(open_fds, 0, T_MAX_FDS * sizeof open_fds[0]);
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        long fd = strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' && fd < T_MAX_FDS && fd != dirfd(dir)) {
            open_fds[fd] = true;
        }
    }
    closedir(dir);
}

/* A loop's inbox outlives its loop, with its eventfd: the next runtime uses both again. */
static void ignore_loops(void) {
#ifdef T_TROUPE
    for (unsigned id = 0; id < TR_LOOPS_MAX; id++) {
        const tr_loop *loop = tri_loop_by_id(id);
        if (loop != NULL) {
            t_ignore_fd(loop->inbox.wake_fd);
        }
    }
#endif
}

static void check_fds(const bool before[T_MAX_FDS]) {
    static bool after[T_MAX_FDS];
    list_fds(after);
    ignore_loops();
    for (int fd = 0; fd < T_MAX_FDS; fd++) {
        if (after[fd] && !before[fd] && !ignored[fd]) {
            char path[64];
            char target[256];
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            ssize_t n = readlink(path, target, sizeof target - 1);
            target[n > 0 ? n : 0] = 0;
            t_fail(running->name, 0, "descriptor %d (%s) was left open", fd, target);
        }
    }
}

/* ---- watchdog ---- */

static void on_alarm(int signo) {
    (void)signo;
    static const char text[] = ": the watchdog ended this test\n";
    ssize_t n = 0;
    if (running != NULL) {
        n += write(STDERR_FILENO, running->suite, strlen(running->suite));
        n += write(STDERR_FILENO, "/", 1);
        n += write(STDERR_FILENO, running->name, strlen(running->name));
    }
    n += write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    signal(SIGALRM, SIG_DFL);
    raise(SIGALRM);
}

void t_timeout(unsigned seconds) {
    const char *scale = getenv("T_TIMEOUT_SCALE");
    long factor = scale != NULL ? strtol(scale, NULL, 10) : 1;
    alarm(seconds * (unsigned)(factor > 0 ? factor : 1));
}

/* ---- running ---- */

/* One body, with T_REQUIRE's way out. */
static void run_body(t_body *body) {
    stack_base = (uintptr_t)__builtin_frame_address(0);
    test_thread = pthread_self();
    if (setjmp(require_env) == 0) {
        body();
    }
}

static void die_in_child(const struct t_case *c, int log) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDERR_FILENO);
    static const int ours[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        signal(ours[i], SIG_DFL); /* not to the sanitizer or the test framework */
    }
    t_timeout(T_DEFAULT_TIMEOUT);
    run_body(c->body);
    _exit(failures != 0 ? 98 : 97);
}

/* memmem with a NUL-terminated needle in what the log file holds. */
static bool log_contains(int log, const char *needle) {
    static char text[65536];
    ssize_t n = pread(log, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    return strstr(text, needle) != NULL;
}

static void print_log(int log) {
    char text[4096];
    ssize_t n = pread(log, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    fprintf(stderr, "---- the child's stderr:\n%s----\n", text);
}

static void run_death_test(const struct t_case *c) {
    int log = memfd_create("t-death", MFD_CLOEXEC);
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        die_in_child(c, log);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid < 0) {
        t_fail(c->name, 0, "fork: %s", strerror(errno));
    } else if (!WIFSIGNALED(status)) {
        t_fail(c->name, 0, "should have died by signal %d (%s), but exited with %d", c->signo,
               strsignal(c->signo), WEXITSTATUS(status));
        print_log(log);
    } else if (WTERMSIG(status) != c->signo) {
        t_fail(c->name, 0, "died by signal %d, expected %d", WTERMSIG(status), c->signo);
        print_log(log);
    } else if (c->message != NULL && !log_contains(log, c->message)) {
        t_fail(c->name, 0, "died without saying \"%s\"", c->message);
        print_log(log);
    }
    close(log);
}

unsigned t_run_case(const struct t_case *c, char *message, size_t size) {
    static bool before[T_MAX_FDS];
    running = c;
    failures = 0;
    first_failure[0] = 0;
    memset(ignored, 0, sizeof ignored);
    list_fds(before);
    signal(SIGALRM, on_alarm);
    t_timeout(T_DEFAULT_TIMEOUT);
    if (c->signo != 0) {
        run_death_test(c);
    } else {
        run_body(c->body);
    }
    if (failures == 0) { /* a test that ended early cleans nothing up */
        check_fds(before);
#ifdef T_LSAN
        if (c->signo == 0 && __lsan_do_recoverable_leak_check() != 0) {
            t_fail(c->name, 0, "memory was leaked: see LeakSanitizer's report");
        }
#endif
    }
    alarm(0);
    if (size > 0) {
        snprintf(message, size, "%s", first_failure);
    }
    return failures;
}
