/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack_overflow.c: say "stack overflow in task 'name'" instead of "Segmentation fault".
 *
 * DESIGN
 *
 * A task that runs over the low end of its stack faults in the guard. There is no stack left to
 * run a handler on, so each thread with a loop has an alternate one. The handler looks the
 * address up in the pools of the loops on its thread, prints one line, puts back what was
 * installed before and returns: the instruction faults again, and the core file shows the frame
 * that overflowed. Whether it is SEGV_MAPERR or SEGV_ACCERR depends on how the guard was made,
 * so the address alone decides.
 *
 * A fault that isn't ours goes to the handler that was there before (a sanitizer's, a runtime's,
 * a crash reporter's), or to the default action.
 *
 * INVARIANTS
 *
 *   handler installed  <=>  some thread has a scope (unless somebody replaced it meanwhile)
 *   the handler calls async-signal-safe functions only, and reads nothing that another thread
 *   writes, except `before`, which is written before the handler is installed
 */
#include "stack_internal.h"

#include "assert_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIGNALS = 2, ALTSTACK_BYTES_MIN = 64 * 1024, ALTSTACK_HEADROOM = 32 * 1024 };

static const int signals[SIGNALS] = {SIGSEGV, SIGBUS};

static struct {
    pthread_mutex_t lock;
    size_t scopes;                    /* (M) of all threads */
    struct sigaction before[SIGNALS]; /* (M) written; the handler reads it while installed */
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Initial-exec: the handler must not be the first to touch it, which may allocate. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
    tri_overflow_scope *scopes;
    void *altstack; /* NULL: somebody else's is large enough */
    size_t altstack_bytes;
    stack_t altstack_before;
} thread;

/* ---- printing in a signal handler --------------------------------------- */

struct text {
    size_t size;
    char bytes[512];
};

static void add_text(struct text *text, const char *more) {
    while (*more != '\0' && text->size < sizeof text->bytes - 1) {
        text->bytes[text->size++] = *more++;
    }
}

static void add_number(struct text *text, uintptr_t number, unsigned base) {
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    add_text(text, base == 16 ? "0x" : "");
    add_text(text, digits + at);
}

static void report(const tri_overflow_scope *scope, const tri_stack *stack, const void *address) {
    struct text text = {.size = 0};
    add_text(&text, "troupe: stack overflow in task '");
    add_text(&text, scope->running_name(scope));
    add_text(&text, "': address ");
    add_number(&text, (uintptr_t)address, 16);
    add_text(&text, ", stack ");
    add_number(&text, (uintptr_t)stack->low, 16);
    add_text(&text, "-");
    add_number(&text, (uintptr_t)stack->low + scope->pool->stack_bytes, 16);
    add_text(&text, " (");
    add_number(&text, scope->pool->stack_bytes, 10);
    add_text(&text, " bytes); run it with a larger tr_run_opts.stack_bytes\n");
    if (write(STDERR_FILENO, text.bytes, text.size) < 0) {
        /* Nobody is left to be told. */
    }
}

/* ---- the handler -------------------------------------------------------- */

static void put_back_and_return(int signo, const struct sigaction *before, bool is_sent) {
    struct sigaction action = *before;
    if ((action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN && !is_sent) {
        action.sa_handler = SIG_DFL; /* a fault that is ignored would repeat for ever */
    }
    (void)sigaction(signo, &action, NULL);
    if (is_sent) {
        (void)raise(signo); /* nothing will fault again: deliver it once more on return */
    }
}

static void on_fault(int signo, siginfo_t *info, void *context) {
    const struct sigaction *before = &process.before[signo == SIGSEGV ? 0 : 1];
    bool is_sent = info->si_code <= 0; /* by kill or raise: si_addr means nothing */

    for (const tri_overflow_scope *scope = thread.scopes; scope != NULL && !is_sent;
         scope = scope->outer) {
        bool is_in_guard = false;
        const tri_stack *stack = tri_stack_find(scope->pool, info->si_addr, &is_in_guard);
        if (stack != NULL && is_in_guard) {
            report(scope, stack, info->si_addr);
            put_back_and_return(signo, before, false);
            return;
        }
    }
    if ((before->sa_flags & SA_SIGINFO) != 0) {
        before->sa_sigaction(signo, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(signo);
    } else {
        put_back_and_return(signo, before, is_sent);
    }
}

/* ---- the process's part ------------------------------------------------- */

static int install_handler(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    (void)sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++) {
        /* Read first: the handler may run as soon as it is installed. */
        if (sigaction(signals[i], NULL, &process.before[i]) < 0 ||
            sigaction(signals[i], &action, NULL) < 0) {
            return -errno;
        }
    }
    return 0;
}

static void remove_handler(void) {
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction now;
        /* Somebody who came later keeps his place; he may still call ours. */
        if (sigaction(signals[i], NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
            now.sa_sigaction == on_fault) {
            (void)sigaction(signals[i], &process.before[i], NULL);
        }
    }
}

static int add_scope_to_process(void) {
    int err = 0;
    (void)pthread_mutex_lock(&process.lock);
    if (process.scopes == 0) {
        err = install_handler();
    }
    if (err == 0) {
        process.scopes++;
    }
    (void)pthread_mutex_unlock(&process.lock);
    return err;
}

static void remove_scope_from_process(void) {
    (void)pthread_mutex_lock(&process.lock);
    TRI_ASSERT(process.scopes > 0);
    process.scopes--;
    if (process.scopes == 0) {
        remove_handler();
    }
    (void)pthread_mutex_unlock(&process.lock);
}

/* ---- the thread's part -------------------------------------------------- */

static size_t altstack_bytes(void) {
    size_t bytes = ALTSTACK_BYTES_MIN;
#ifdef _SC_MINSIGSTKSZ
    /* What the kernel stores of the registers, which grows with the processor. */
    long smallest = sysconf(_SC_MINSIGSTKSZ);
    if (smallest > 0 && (size_t)smallest + ALTSTACK_HEADROOM > bytes) {
        bytes = (size_t)smallest + ALTSTACK_HEADROOM;
    }
#endif
    return bytes;
}

static int add_altstack(void) {
    size_t bytes = altstack_bytes();
    stack_t before;
    if (sigaltstack(NULL, &before) < 0) {
        return -errno;
    }
    if ((before.ss_flags & SS_DISABLE) == 0 && before.ss_size >= bytes) {
        return 0;
    }
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    stack_t ours = {.ss_sp = memory, .ss_size = bytes};
    if (sigaltstack(&ours, NULL) < 0) {
        int err = -errno;
        (void)munmap(memory, bytes);
        return err;
    }
    thread.altstack = memory;
    thread.altstack_bytes = bytes;
    thread.altstack_before = before;
    return 0;
}

static void remove_altstack(void) {
    if (thread.altstack != NULL) {
        /* Not while it is in use: a scope is never left from inside a handler. */
        TRI_ASSERT(sigaltstack(&thread.altstack_before, NULL) == 0);
        (void)munmap(thread.altstack, thread.altstack_bytes);
        thread.altstack = NULL;
    }
}

/* ---- operations --------------------------------------------------------- */

int tri_overflow_enter(tri_overflow_scope *scope, const tri_stack_pool *pool,
                       const char *(*running_name)(const tri_overflow_scope *scope)) {
    if (thread.scopes == NULL) {
        int err = add_altstack();
        if (err < 0) {
            return err;
        }
    }
    int err = add_scope_to_process();
    if (err < 0) {
        if (thread.scopes == NULL) {
            remove_altstack();
        }
        return err;
    }
    scope->pool = pool;
    scope->running_name = running_name;
    scope->outer = thread.scopes;
    thread.scopes = scope;
    return 0;
}

void tri_overflow_leave(tri_overflow_scope *scope) {
    tri_overflow_scope **at = &thread.scopes;
    while (*at != scope) {
        TRI_ASSERT(*at != NULL);
        at = &(*at)->outer;
    }
    *at = scope->outer;
    remove_scope_from_process();
    if (thread.scopes == NULL) {
        remove_altstack();
    }
}
