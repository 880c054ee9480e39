/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h: what is written to stderr while the program runs.
 */
#ifndef WC_PROGRESS_H
#define WC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* A line for people, in printf's way, that doesn't get mixed up with the progress line. On the first
 * loop of the first process, or where no loop runs. */
__attribute__((format(printf, 1, 2))) void wc_say(const char *format, ...);

/* A number for narrow places: "950", "12.3k", "123k", "1.2M". */
struct wc_short {
    char text[16];
};
struct wc_short wc_short(double number);

struct wc_progress {
    bool is_terminal;
    int64_t began; /* these are nanoseconds */
    int64_t last;
    uint64_t last_bytes;
};

/* What there is to tell. */
struct wc_progress_now {
    int64_t time;
    uint64_t known;
    uint64_t finished;
    uint64_t bytes;
    bool is_walked;    /* `known` is final */
    const char *rates; /* messages/s of loops and links, or "" */
};

void wc_progress_begin(struct wc_progress *progress, int64_t now);

/* Is it time for wc_progress_show()? On a terminal that is five times a second, else every 2 s. */
bool wc_progress_is_due(const struct wc_progress *progress, int64_t now);

/* Redraw the line on a terminal, or write one more. */
void wc_progress_show(struct wc_progress *progress, const struct wc_progress_now *now);

/* Take the line away. */
void wc_progress_end(const struct wc_progress *progress);

#endif
