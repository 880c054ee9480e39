/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_source.h: a file's text one byte at a time, for the recount.
 */
#ifndef WC_VERIFY_SOURCE_H
#define WC_VERIFY_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#define WC_SOURCE_BYTES 16384

enum wc_source_mark {
    WC_SOURCE_END = -1,
    WC_SOURCE_CORRUPT = -2,
    WC_SOURCE_ERROR = -3 /* see err */
};

struct wc_source {
    FILE *file;
    z_stream z; /* raw deflate; next_in is where plain files are read from as well */
    uint32_t crc;
    uint32_t member_bytes;
    uint64_t raw_bytes; /* read from the file so far */
    int err;            /* -errno after WC_SOURCE_ERROR */
    int mark;           /* comes once the text has been used up; 0: none yet */
    bool is_gzip;
    unsigned text_at;
    unsigned text_end;
    unsigned char in[WC_SOURCE_BYTES];
    unsigned char text[WC_SOURCE_BYTES];
};

/* 0 or -errno; `s` may hold anything but an open source. */
int wc_source_open(struct wc_source *s, const char *path);

/* The next byte, or an enum wc_source_mark. */
int wc_source_next(struct wc_source *s);

void wc_source_close(struct wc_source *s);

#endif
