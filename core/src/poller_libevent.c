/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poller_libevent.c: readiness from libevent, the only file that includes its headers.
 *
 * libevent is used for one thing: to tell that a descriptor became ready. The loop owns its turn,
 * its timers and its wake-ups, so a base here has no lock (nothing of it is touched by a second
 * thread), no libevent timers and no signals. Every descriptor is registered once, edge-triggered
 * in both directions, which leaves one epoll_ctl for its life.
 *
 * libevent's own few allocations stay with libc: its allocator hook is process-wide, and another
 * user of libevent may already hold memory of the old one.
 */
#include "alloc_internal.h"
#include "assert_internal.h"
#include "seam_internal.h"

#include <troupe/core/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#define NS_PER_SECOND INT64_C(1000000000)

struct registration {
    struct event event;
    tr_ready_fn *fn;
    void *arg;
    struct registration *prev; /* in poller.registrations */
    struct registration *next;
};

struct poller {
    struct event_base *base;
    struct event wake_event;
    struct event timer_event;
    struct registration *registrations; /* what close() still has to free */
    tr_time armed;                      /* deadline that the timerfd holds; 0: none or fired */
    int timer_fd;                       /* -1 until the first finite deadline */
    bool has_wake;
    bool is_polling;
};

static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;

/* True while event_add() runs: its failure is returned to the caller, so it isn't logged too. */
static _Thread_local bool error_is_returned;

static void on_libevent_log(int severity, const char *text) {
    /* The caller of event_add() reads errno after libevent has warned about it. */
    int saved_errno = errno;

    if (severity >= EVENT_LOG_ERR) {
        tr_log(TR_LOG_ERROR, "libevent: %s", text);
    } else if (severity == EVENT_LOG_WARN) {
        if (!error_is_returned) {
            tr_log(TR_LOG_WARN, "libevent: %s", text);
        }
    } else {
        tr_log(TR_LOG_DEBUG, "libevent: %s", text);
    }
    errno = saved_errno;
}

/* libevent is in no state to go on after this; its default would be exit(1) without a word. */
static void on_libevent_fatal(int err) {
    tr_log(TR_LOG_ERROR, "libevent: fatal error %d", err);
    abort();
}

static void install_hooks(void) {
    event_set_log_callback(on_libevent_log);
    event_set_fatal_callback(on_libevent_fatal);
}

static struct event_base *new_base(void) {
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    /*
     * NOLOCK even if some other library asks libevent for locks; IGNORE_ENV because the environment
     * must not choose another backend; NO_CACHE_TIME because without libevent timers nobody needs
     * the clock that it would read in each pass.
     */
    struct event_base *base = NULL;
    int flags = EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NO_CACHE_TIME;
    if (event_config_set_flag(config, flags) == 0 &&
        event_config_require_features(config, EV_FEATURE_ET) == 0) {
        base = event_base_new_with_config(config);
    }
    event_config_free(config);
    return base;
}

/* event_assign() and event_add(), with the system's error as the result. */
static int register_event(struct event *event, struct event_base *base, int fd, short what,
                          event_callback_fn fn, void *arg) {
    if (fd < 0) {
        return -EBADF; /* libevent takes it for "no descriptor" and succeeds */
    }
    if (event_assign(event, base, fd, (short)(what | EV_PERSIST | EV_ET), fn, arg) < 0) {
        return -EINVAL;
    }

    error_is_returned = true;
    errno = 0;
    int rc = event_add(event, NULL);
    int err = errno;
    error_is_returned = false;
    if (rc == 0) {
        return 0;
    }
    return err != 0 ? -err : -EIO;
}

/*
 * The eventfd is not read: edge-triggered, each write is one edge whatever the counter says. That
 * the callback ran is enough to end event_base_loop(EVLOOP_ONCE).
 */
static void on_wake(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)arg;
}

/* Not read either: setting the timer again clears its count. */
static void on_timer(evutil_socket_t fd, short what, void *arg) {
    struct poller *p = arg;

    (void)fd;
    (void)what;
    p->armed = 0;
}

static void on_ready(evutil_socket_t fd, short what, void *arg) {
    struct registration *r = arg;
    int ready = 0;

    (void)fd;
    if ((what & EV_READ) != 0) {
        ready |= TR_READABLE;
    }
    if ((what & EV_WRITE) != 0) {
        ready |= TR_WRITABLE;
    }
    r->fn(r->arg, ready); /* may remove and free r */
}

static void poller_close(void *poller) {
    struct poller *p = poller;

    TRI_ASSERT(!p->is_polling);
    if (p->timer_fd >= 0) {
        event_del(&p->timer_event);
        close(p->timer_fd);
    }
    if (p->has_wake) {
        event_del(&p->wake_event);
    }
    while (p->registrations != NULL) {
        struct registration *r = p->registrations;
        p->registrations = r->next;
        event_del(&r->event);
        tri_free(r);
    }
    event_base_free(p->base);
    tri_free(p);
}

static int poller_open(void *seam_arg, int wake_fd, void **ret_poller) {
    (void)seam_arg;
    pthread_once(&hooks_once, install_hooks);

    struct poller *p = tri_calloc(1, sizeof *p);
    if (p == NULL) {
        return -ENOMEM;
    }
    p->timer_fd = -1;
    errno = 0;
    p->base = new_base();
    if (p->base == NULL) {
        /* libevent doesn't say why; epoll_create1() leaves EMFILE, malloc() leaves ENOMEM. */
        int err = errno != 0 ? errno : ENOMEM;
        tri_free(p);
        return -err;
    }
    if (wake_fd >= 0) {
        int err = register_event(&p->wake_event, p->base, wake_fd, EV_READ, on_wake, p);
        if (err < 0) {
            poller_close(p);
            return err;
        }
        p->has_wake = true;
    }
    *ret_poller = p;
    return 0;
}

static int poller_add(void *poller, int fd, tr_ready_fn *fn, void *arg, void **ret_registration) {
    struct poller *p = poller;
    struct registration *r = tri_malloc(sizeof *r);
    if (r == NULL) {
        return -ENOMEM;
    }

    int err = register_event(&r->event, p->base, fd, EV_READ | EV_WRITE, on_ready, r);
    if (err < 0) {
        tri_free(r);
        return err;
    }
    r->fn = fn;
    r->arg = arg;
    r->prev = NULL;
    r->next = p->registrations;
    if (r->next != NULL) {
        r->next->prev = r;
    }
    p->registrations = r;
    *ret_registration = r;
    return 0;
}

static void poller_remove(void *poller, void *registration) {
    struct poller *p = poller;
    struct registration *r = registration;

    /* Also takes it off the queue of events that this pass has still to report. */
    event_del(&r->event);
    if (r->next != NULL) {
        r->next->prev = r->prev;
    }
    if (r->prev != NULL) {
        r->prev->next = r->next;
    } else {
        p->registrations = r->next;
    }
    tri_free(r);
}

static int open_timer(struct poller *p) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int err = register_event(&p->timer_event, p->base, fd, EV_READ, on_timer, p);
    if (err < 0) {
        close(fd);
        return err;
    }
    p->timer_fd = fd;
    return 0;
}

/* A deadline that has passed by now fires at once, so a stale `now` of the caller does no harm. */
static int arm_timer(struct poller *p, tr_time deadline) {
    if (p->timer_fd < 0) {
        int err = open_timer(p);
        if (err < 0) {
            return err;
        }
    }
    struct itimerspec when = {
        .it_value =
            {
                .tv_sec = (time_t)(deadline / NS_PER_SECOND),
                .tv_nsec = (long)(deadline % NS_PER_SECOND),
            },
    };
    if (timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
        return -errno;
    }
    p->armed = deadline;
    return 0;
}

static int poller_poll(void *poller, tr_time now, tr_time deadline) {
    struct poller *p = poller;
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

    TRI_ASSERT(!p->is_polling); /* libevent's loop is not re-entrant */
    if (deadline <= 0 || deadline <= now) {
        flags |= EVLOOP_NONBLOCK;
    } else if (deadline != TR_FOREVER && deadline != p->armed) {
        int err = arm_timer(p, deadline);
        if (err < 0) {
            return err;
        }
    }
    /* A timer still armed for an earlier wait is left alone: it costs one early return at most. */

    p->is_polling = true;
    errno = 0;
    int rc = event_base_loop(p->base, flags);
    int err = errno;
    p->is_polling = false;
    if (rc < 0) {
        return err != 0 ? -err : -EIO;
    }
    return 0;
}

const struct tr_poller_ops tri_poller_libevent = {
    .open = poller_open,
    .close = poller_close,
    .add = poller_add,
    .remove = poller_remove,
    .poll = poller_poll,
};
