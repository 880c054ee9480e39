/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack_internal.h: guarded stacks from slabs, one pool a loop.
 */
#ifndef TRI_STACK_INTERNAL_H
#define TRI_STACK_INTERNAL_H

#include <troupe/core/base.h>

/* Lies at the top (high end) of the memory it describes, so that a stack in use touches no
 * other page. */
typedef struct tri_stack tri_stack;
struct tri_stack {
    tri_stack *next;      /* (L) free list */
    char *low;            /* (C) first usable byte, above the guard */
    size_t size;          /* (C) usable bytes from low; the stack pointer starts at low + size */
    void *sp;             /* (L) saved stack pointer while switched out */
    void *asan_fake;      /* (L) ASan's fake stack while switched out */
    void *tsan_fiber;     /* (L) TSan's fiber while in use */
    unsigned valgrind_id; /* (L) */
    bool is_guarded;      /* (C) false: the canary is checked when it goes back */
    bool is_in_use;       /* (L) */
};

/* How a stack is kept from growing into the one below it, best first. */
enum tri_stack_guard {
    TRI_STACK_GUARD_PROBE = 0, /* not tried yet */
    TRI_STACK_GUARD_MADVISE,   /* MADV_GUARD_INSTALL (Linux 6.13): costs no mapping */
    TRI_STACK_GUARD_MPROTECT,  /* two mappings a stack, of which a process has 65,530 */
    TRI_STACK_GUARD_NONE       /* an untouched gap, and a canary */
};

typedef struct tri_stack_slab tri_stack_slab;
typedef struct tri_stack_pool {
    size_t stack_bytes;    /* (C) asked for: usable bytes, rounded up to pages */
    size_t guard_bytes;    /* (C) below each stack */
    size_t page;           /* (C) bytes */
    int guard;             /* (L) enum tri_stack_guard; tests set it before the first get */
    size_t guard_mappings; /* (L) stacks of ours that count against the process's mappings */
    tri_stack *free;       /* (L) LIFO: the warmest first */
    size_t free_count;     /* (L) stacks in `free`, not those in `cold` */
    tri_stack *cold;       /* (L) free, and their memory was given back */
    tri_stack_slab *slabs; /* (L) newest first; only the newest has room */
    size_t total, in_use, in_use_max, unguarded; /* (L) stacks */
} tri_stack_pool;

/* stack_bytes 0: 256 KiB (doubled under ASan). Makes nothing yet. */
void tri_stack_pool_init(tri_stack_pool *pool, size_t stack_bytes);
/* All stacks must be back. */
void tri_stack_pool_fini(tri_stack_pool *pool);
/* NULL: out of memory or address space. TSan: makes a fresh fiber; ASan: unpoisons. */
tri_stack *tri_stack_get(tri_stack_pool *pool);
/* Never call it on the stack that goes back. */
void tri_stack_put(tri_stack_pool *pool, tri_stack *stack);
/* Async-signal-safe: the stack whose guard or usable range holds the address, or NULL. */
const tri_stack *tri_stack_find(const tri_stack_pool *pool, const void *address,
                                bool *ret_in_guard);

/* ---- overflow report (stack_overflow.c) --------------------------------- */

/* What the SIGSEGV/SIGBUS handler asks about the thread it runs on. Async-signal-safe. */
typedef struct tri_overflow_scope {
    const tri_stack_pool *pool;                                          /* (C) */
    const char *(*running_name)(const struct tri_overflow_scope *scope); /* (C) never NULL */
    struct tri_overflow_scope *outer; /* (L) several loops can live in one thread */
} tri_overflow_scope;

/* Give this thread an alternate signal stack and make the handler report overflows of the
 * pool's stacks: "troupe: stack overflow in task 'name': ..." on stderr, then the default
 * action (a core file at the faulting frame). The process-wide handler is installed with the
 * first scope; a fault elsewhere goes to the handler that was there before. */
int tri_overflow_enter(tri_overflow_scope *scope, const tri_stack_pool *pool,
                       const char *(*running_name)(const tri_overflow_scope *scope));
void tri_overflow_leave(tri_overflow_scope *scope);

#endif
