/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.c: one line that is redrawn on a terminal, a line now and then elsewhere.
 */
#include "progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TERMINAL_PERIOD INT64_C(200000000)
#define PLAIN_PERIOD    INT64_C(2000000000)
#define CLEAR_LINE      "\r\033[K"

void wc_say(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *at = text; *at != '\0'; at++) { /* file names may contain anything */
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            *at = '?';
        }
    }
    fprintf(stderr, "%swordcount: %s\n", isatty(STDERR_FILENO) ? CLEAR_LINE : "", text);
}

struct wc_short wc_short(double number) {
    struct wc_short s;
    const char *unit = "";
    if (number >= 999.5e3) {
        number /= 1e6;
        unit = "M";
    } else if (number >= 999.5) {
        number /= 1e3;
        unit = "k";
    }
    int digits = unit[0] != '\0' && number < 99.95 ? 1 : 0;
    snprintf(s.text, sizeof s.text, "%.*f%s", digits, number, unit);
    return s;
}

void wc_progress_begin(struct wc_progress *progress, int64_t now) {
    *progress =
        (struct wc_progress){.is_terminal = isatty(STDERR_FILENO) == 1, .began = now, .last = now};
}

bool wc_progress_is_due(const struct wc_progress *progress, int64_t now) {
    return now - progress->last >= (progress->is_terminal ? TERMINAL_PERIOD : PLAIN_PERIOD);
}

static int terminal_width(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

void wc_progress_show(struct wc_progress *progress, const struct wc_progress_now *now) {
    char line[2048];
    double seconds = (double)(now->time - progress->last) / 1e9;
    double bytes = (double)(now->bytes - progress->last_bytes);
    int percent = now->known > 0 ? (int)(now->finished * 100 / now->known) : 0;

    int n = snprintf(line, sizeof line,
                     "%" PRIu64 " of %" PRIu64 "%s files (%d %%)  %.1f MB  %.1f MB/s",
                     now->finished, now->known, now->is_walked ? "" : "+", percent,
                     (double)now->bytes / 1e6, seconds > 0 ? bytes / 1e6 / seconds : 0);
    if (now->rates[0] != '\0') {
        snprintf(line + n, sizeof line - (size_t)n, "  msg/s:%s", now->rates);
    }
    if (progress->is_terminal) {
        fprintf(stderr, CLEAR_LINE "%.*s", terminal_width(), line);
    } else {
        fprintf(stderr, "wordcount: %s\n", line);
    }
    fflush(stderr);
    progress->last = now->time;
    progress->last_bytes = now->bytes;
}

void wc_progress_end(const struct wc_progress *progress) {
    if (progress->is_terminal) {
        fputs(CLEAR_LINE, stderr);
    }
}
