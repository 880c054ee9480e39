/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.c: guarded stacks from slabs, one pool a loop.
 *
 * DESIGN
 *
 * A slab is one mapping of up to 64 equal places:
 *
 *     | guard | low ... usable ... low + size | tri_stack | colour |
 *
 * The descriptor shares the page where the stack begins, so a stack that never grows deep costs
 * one page. The colour is 0 to 31 cache lines by place: without it the hot ends and descriptors
 * of all stacks would compete for the same cache set. Places are made one by one, on demand.
 *
 * Guards. MADV_GUARD_INSTALL marks pages in the page table and costs no mapping; it is tried
 * once, and its effect tested, since emulators ignore advice they don't know. Otherwise
 * mprotect, which splits the mapping: two mappings a stack, of which a process has
 * vm.max_map_count. Beyond 60% of them (the rest is for everybody else) stacks have no guard
 * but a canary at their low end, and the log says so once. The count is the process's, not the
 * pool's, hence the one lock here; it is taken in mprotect mode only, when a place is made.
 *
 * Free stacks are used again in LIFO order, while they are in the cache. When 128 are free the
 * coldest 64 give their memory back, all but the page with the descriptor.
 *
 * INVARIANTS
 *
 *   in_use + stacks in `free` and `cold` == total == places made in all slabs
 *   a stack in use is in no list; its TSan fiber, LSan root and valgrind id exist
 *   a free stack is poisoned for ASan but for its descriptor
 */
#include "stack_internal.h"

#include "alloc_internal.h"
#include "assert_internal.h"
#include "sanitizer_internal.h"

#include <troupe/core/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#if TRI_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* Linux 6.13; not in the headers of older C libraries. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    LINE = 64,
    COLOURS = 32,
    FIRST_SLAB_PLACES = 8,
    SLAB_PLACES = 64,
    FREE_MAX = 128,
    FREE_KEPT = 64,
    STACK_BYTES_MIN = 16 * 1024,
    STACK_BYTES_DEFAULT = 256 * 1024 * (TRI_ASAN ? 2 : 1), /* ASan's frames are larger */
    GUARD_BYTES_MIN = 16 * 1024,
    DESCRIPTOR_BYTES = (sizeof(tri_stack) + LINE - 1) / LINE * LINE
};

static const uint64_t canary = UINT64_C(0x7b1ac0deca4a11e5);

struct tri_stack_slab {
    tri_stack_slab *next;
    char *base;
    size_t places;
    size_t made; /* the first `made` places have a descriptor */
};

/* ---- guards ------------------------------------------------------------- */

/* What stacks of all loops share: the kernel's limit of mappings is one of the process. */
static struct {
    pthread_mutex_t lock;
    size_t used_max; /* (M) stacks; 0: not read yet */
    size_t used;     /* (M) stacks */
    bool is_told;    /* (M) that some are unguarded */
} mappings = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Whether the advice is known, and heeded: a system call can't read guarded memory. */
static bool can_madvise_guard(size_t page) {
    bool is_guarded = false;
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    if (madvise(memory, page, MADV_GUARD_INSTALL) == 0) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd >= 0) {
            is_guarded = write(fd, memory, sizeof(uint64_t)) < 0 && errno == EFAULT;
            (void)close(fd);
        }
    }
    (void)munmap(memory, page);
    return is_guarded;
}

static size_t read_mappings_max(void) {
    unsigned long count = 65530;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL) {
        if (fscanf(file, "%lu", &count) != 1) {
            count = 65530;
        }
        (void)fclose(file);
    }
    return count / 2 * 6 / 10 + 1;
}

static bool guard_by_mprotect(tri_stack_pool *pool, char *guard) {
    bool is_guarded = false;
    (void)pthread_mutex_lock(&mappings.lock);
    if (mappings.used_max == 0) {
        mappings.used_max = read_mappings_max();
    }
    if (mappings.used < mappings.used_max && mprotect(guard, pool->guard_bytes, PROT_NONE) == 0) {
        mappings.used++;
        pool->guard_mappings++;
        is_guarded = true;
    }
    (void)pthread_mutex_unlock(&mappings.lock);
    return is_guarded;
}

static void tell_unguarded(void) {
    (void)pthread_mutex_lock(&mappings.lock);
    bool is_told = mappings.is_told;
    mappings.is_told = true;
    (void)pthread_mutex_unlock(&mappings.lock);
    if (!is_told) {
        tr_log(TR_LOG_WARN, "stacks have no guard pages from here on: vm.max_map_count is too low, "
                            "or the kernel older than 6.13; an overflow is found late or never");
    }
}

static bool install_guard(tri_stack_pool *pool, char *guard) {
    if (pool->guard == TRI_STACK_GUARD_PROBE) {
        pool->guard =
            can_madvise_guard(pool->page) ? TRI_STACK_GUARD_MADVISE : TRI_STACK_GUARD_MPROTECT;
    }
    bool is_guarded = false;
    if (pool->guard == TRI_STACK_GUARD_MADVISE) {
        is_guarded = madvise(guard, pool->guard_bytes, MADV_GUARD_INSTALL) == 0;
    } else if (pool->guard == TRI_STACK_GUARD_MPROTECT) {
        is_guarded = guard_by_mprotect(pool, guard);
    }
    if (!is_guarded) {
        pool->unguarded++;
        tell_unguarded();
    }
    return is_guarded;
}

static void check_canary(const tri_stack *stack) {
    if (!stack->is_guarded && TRI_UNLIKELY(memcmp(stack->low, &canary, sizeof canary) != 0)) {
        tri_assert_failed("a task has not overflowed its stack (canary)", __FILE__, __LINE__);
    }
}

/* ---- slabs -------------------------------------------------------------- */

static size_t stride_of(const tri_stack_pool *pool) {
    return pool->guard_bytes + pool->stack_bytes;
}

/* Async-signal-safe. */
static tri_stack *descriptor_at(const tri_stack_pool *pool, const tri_stack_slab *slab,
                                size_t index) {
    char *end = slab->base + (index + 1) * stride_of(pool);
    return (tri_stack *)(void *)(end - index % COLOURS * LINE - DESCRIPTOR_BYTES);
}

static tri_stack_slab *add_slab(tri_stack_pool *pool) {
    tri_stack_slab *slab = tri_malloc(sizeof *slab);
    if (slab == NULL) {
        return NULL;
    }
    slab->places = pool->slabs == NULL ? FIRST_SLAB_PLACES : SLAB_PLACES;
    slab->made = 0;
    size_t bytes = slab->places * stride_of(pool);
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) {
        tri_free(slab);
        return NULL;
    }
    /* With huge pages each stack that is touched would cost 2 MiB. Refused by kernels without. */
    (void)madvise(base, bytes, MADV_NOHUGEPAGE);
    slab->base = base;
    slab->next = pool->slabs;
    pool->slabs = slab;
    return slab;
}

/* A place that was never used. */
static tri_stack *make_stack(tri_stack_pool *pool) {
    tri_stack_slab *slab = pool->slabs;
    if (slab == NULL || slab->made == slab->places) {
        slab = add_slab(pool);
        if (slab == NULL) {
            return NULL;
        }
    }
    char *guard = slab->base + slab->made * stride_of(pool);
    tri_stack *stack = descriptor_at(pool, slab, slab->made);
    memset(stack, 0, sizeof *stack);
    stack->low = guard + pool->guard_bytes;
    stack->size = (size_t)((char *)stack - stack->low);
    stack->is_guarded = install_guard(pool, guard);
    slab->made++;
    pool->total++;
    return stack;
}

static tri_stack *pop(tri_stack **list) {
    tri_stack *stack = *list;
    if (stack != NULL) {
        *list = stack->next;
    }
    return stack;
}

/* Keep the warmest; the rest give their memory back, up to the page of the descriptor. */
static void cool(tri_stack_pool *pool) {
    tri_stack *last_kept = pool->free;
    for (int i = 1; i < FREE_KEPT; i++) {
        last_kept = last_kept->next;
    }
    tri_stack *rest = last_kept->next;
    last_kept->next = NULL;
    pool->free_count = FREE_KEPT;
    while (rest != NULL) {
        tri_stack *stack = pop(&rest);
        /* Best effort: if it fails the memory stays. */
        (void)madvise(stack->low, pool->stack_bytes - pool->page, MADV_DONTNEED);
        stack->next = pool->cold;
        pool->cold = stack;
    }
}

/* ---- what checkers want to know ----------------------------------------- */

static void announce_use(tri_stack *stack) {
#if TRI_ASAN
    /* Also clears the red zones of frames that were left without returning. */
    __asan_unpoison_memory_region(stack->low, stack->size);
    /* What only a suspended task's stack points to is not leaked. */
    __lsan_register_root_region(stack->low, stack->size);
#endif
#if TRI_TSAN
    stack->tsan_fiber = __tsan_create_fiber(0);
#endif
#if TRI_VALGRIND
    stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->low, stack->low + stack->size);
#endif
    (void)stack;
}

static void announce_end(tri_stack *stack) {
#if TRI_VALGRIND
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#endif
#if TRI_TSAN
    __tsan_destroy_fiber(stack->tsan_fiber);
    stack->tsan_fiber = NULL;
#endif
#if TRI_ASAN
    __lsan_unregister_root_region(stack->low, stack->size);
    /* Pointers into the stack of a task that has ended are found. */
    __asan_poison_memory_region(stack->low, stack->size);
#endif
    (void)stack;
}

/* ---- operations --------------------------------------------------------- */

void tri_stack_pool_init(tri_stack_pool *pool, size_t stack_bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (stack_bytes == 0) {
        stack_bytes = STACK_BYTES_DEFAULT;
    } else if (stack_bytes < STACK_BYTES_MIN) {
        stack_bytes = STACK_BYTES_MIN;
    }
    memset(pool, 0, sizeof *pool);
    pool->page = page;
    pool->guard_bytes = page > GUARD_BYTES_MIN ? page : GUARD_BYTES_MIN;
    pool->stack_bytes = (stack_bytes + page - 1) / page * page;
    if (pool->stack_bytes < 2 * page) {
        pool->stack_bytes = 2 * page; /* the descriptor's page stays when memory is given back */
    }
}

void tri_stack_pool_fini(tri_stack_pool *pool) {
    TRI_ASSERT(pool->in_use == 0);
    tri_stack_slab *slab = pool->slabs;
    while (slab != NULL) {
        tri_stack_slab *next = slab->next;
        size_t bytes = slab->places * stride_of(pool);
#if TRI_ASAN
        __asan_unpoison_memory_region(slab->base, bytes);
#endif
        (void)munmap(slab->base, bytes);
        tri_free(slab);
        slab = next;
    }
    if (pool->guard_mappings > 0) {
        (void)pthread_mutex_lock(&mappings.lock);
        mappings.used -= pool->guard_mappings;
        (void)pthread_mutex_unlock(&mappings.lock);
    }
    memset(pool, 0, sizeof *pool);
}

tri_stack *tri_stack_get(tri_stack_pool *pool) {
    tri_stack *stack = pop(&pool->free);
    if (TRI_LIKELY(stack != NULL)) {
        pool->free_count--;
    } else {
        stack = pop(&pool->cold);
        if (stack == NULL) {
            stack = make_stack(pool);
        }
        if (stack == NULL) {
            return NULL;
        }
    }
    TRI_ASSERT(!stack->is_in_use);
    stack->is_in_use = true;
    stack->next = NULL;
    stack->sp = NULL;
    stack->asan_fake = NULL;
    announce_use(stack);
    if (!stack->is_guarded) {
        memcpy(stack->low, &canary, sizeof canary);
    }
    pool->in_use++;
    if (pool->in_use > pool->in_use_max) {
        pool->in_use_max = pool->in_use;
    }
    return stack;
}

void tri_stack_put(tri_stack_pool *pool, tri_stack *stack) {
    TRI_ASSERT(stack->is_in_use);
    check_canary(stack);
    announce_end(stack);
    stack->is_in_use = false;
    stack->next = pool->free;
    pool->free = stack;
    pool->free_count++;
    pool->in_use--;
    if (TRI_UNLIKELY(pool->free_count >= FREE_MAX)) {
        cool(pool);
    }
}

const tri_stack *tri_stack_find(const tri_stack_pool *pool, const void *address,
                                bool *ret_in_guard) {
    uintptr_t at = (uintptr_t)address;
    for (const tri_stack_slab *slab = pool->slabs; slab != NULL; slab = slab->next) {
        uintptr_t base = (uintptr_t)slab->base;
        if (at < base || at >= base + slab->made * stride_of(pool)) {
            continue;
        }
        size_t offset = (size_t)(at - base);
        *ret_in_guard = offset % stride_of(pool) < pool->guard_bytes;
        return descriptor_at(pool, slab, offset / stride_of(pool));
    }
    return NULL;
}
