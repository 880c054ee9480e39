/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.c: the words of one file, a chunk at a time, through zlib where it is gzip.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define RAW_BYTES  ((size_t)128 * 1024)
#define TEXT_BYTES ((size_t)128 * 1024)

#define WINDOW_BITS_GZIP (15 + 16) /* zlib: gzip members only, largest window */

enum format {
    FORMAT_UNKNOWN, /* named .gz, first bytes not seen yet */
    FORMAT_PLAIN,
    FORMAT_GZIP
};

struct wc_reader {
    struct wc_file_stats stats;
    wc_table *table;
    struct wc_tokenizer tokenizer;
    char *raw;  /* RAW_BYTES: what was read */
    char *text; /* TEXT_BYTES: what it decompresses to; made for the first gzip file */
    z_stream z;
    int fd; /* -1: no file */
    enum format format;
    bool has_z;            /* inflateInit2() was done */
    bool is_done;          /* the outcome is final */
    bool is_at_eof;        /* gzip: all of the file is in z */
    bool is_inside_member; /* gzip: the end of the file would come too early here */
};

wc_reader *wc_reader_new(void) {
    wc_reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->fd = -1;
    r->is_done = true;
    r->raw = malloc(RAW_BYTES);
    if (r->raw == NULL) {
        wc_reader_free(r);
        return NULL;
    }
    return r;
}

void wc_reader_free(wc_reader *reader) {
    if (reader == NULL) {
        return;
    }
    wc_reader_close(reader);
    if (reader->has_z) {
        inflateEnd(&reader->z);
    }
    wc_tokenizer_fini(&reader->tokenizer);
    free(reader->raw);
    free(reader->text);
    free(reader);
}

void wc_reader_close(wc_reader *reader) {
    if (reader->fd >= 0) {
        close(reader->fd);
        reader->fd = -1;
    }
    wc_tokenizer_reset(&reader->tokenizer);
    reader->table = NULL;
    reader->is_done = true;
}

/* The outcome is known; takes back what was counted if it is a bad one. */
static void finish(wc_reader *r, int outcome, int err) {
    r->stats.outcome = outcome;
    r->stats.err = err;
    r->stats.words = 0;
    if (outcome == WC_COUNTED) {
        r->stats.words = wc_table_words(r->table);
    } else {
        wc_table_clear(r->table);
    }
    wc_reader_close(r);
}

static bool is_named_gz(const char *path) {
    size_t size = strlen(path);
    return size >= 3 && strcmp(path + size - 3, ".gz") == 0;
}

/* Between the walk and now the path may have become anything: no waiting, no following. */
static int open_regular(const char *path) {
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
    struct stat st;
    int err = 0;
    if (fstat(fd, &st) < 0) {
        err = -errno;
    } else if (S_ISDIR(st.st_mode)) {
        err = -EISDIR;
    } else if (!S_ISREG(st.st_mode)) {
        err = -ENXIO;
    }
    if (err < 0) {
        close(fd);
        return err;
    }
    return fd;
}

int wc_reader_open(wc_reader *reader, const char *path, wc_table *table) {
    wc_reader_close(reader);
    wc_table_clear(table);
    reader->table = table;
    reader->stats = (struct wc_file_stats){0};
    reader->format = is_named_gz(path) ? FORMAT_UNKNOWN : FORMAT_PLAIN;
    reader->is_at_eof = false;
    reader->is_inside_member = false;
    reader->is_done = false;

    int fd = open_regular(path);
    if (wc_is_shortage(fd)) {
        wc_reader_close(reader);
        return fd;
    }
    if (fd < 0) {
        finish(reader, WC_UNREADABLE, fd);
        return 0;
    }
    reader->fd = fd;
    return 0;
}

static ssize_t read_some(wc_reader *r, size_t have) {
    ssize_t n;
    do {
        n = read(r->fd, r->raw + have, RAW_BYTES - have);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    r->stats.raw_bytes += (uint64_t)n;
    return n;
}

/* Count the next bytes of text. 1: go on, 0: the outcome is final, -ENOMEM. */
static int take_text(wc_reader *r, char *text, size_t size) {
    if (r->stats.text_bytes < WC_BINARY_BYTES) {
        size_t looked_at = WC_BINARY_BYTES - (size_t)r->stats.text_bytes;
        if (looked_at > size) {
            looked_at = size;
        }
        if (memchr(text, '\0', looked_at) != NULL) {
            finish(r, WC_BINARY, 0);
            return 0;
        }
    }
    r->stats.text_bytes += size;
    int err = wc_tokenizer_feed(&r->tokenizer, r->table, text, size);
    if (err == -EFBIG) {
        finish(r, WC_UNREADABLE, err);
        return 0;
    }
    return err < 0 ? err : 1;
}

static int take_end(wc_reader *r) {
    int err = wc_tokenizer_end(&r->tokenizer, r->table);
    if (err == 0) {
        finish(r, WC_COUNTED, 0);
    }
    return err;
}

static int start_gzip(wc_reader *r, size_t have) {
    if (r->text == NULL) {
        r->text = malloc(TEXT_BYTES);
        if (r->text == NULL) {
            return -ENOMEM;
        }
    }
    int rc = r->has_z ? inflateReset(&r->z) : inflateInit2(&r->z, WINDOW_BITS_GZIP);
    if (rc != Z_OK) {
        return -ENOMEM; /* nothing else can be wrong with it */
    }
    r->has_z = true;
    r->z.next_in = (Bytef *)r->raw;
    r->z.avail_in = (uInt)have;
    r->is_inside_member = true;
    r->format = FORMAT_GZIP;
    return 1;
}

/* Only the name and the first two bytes together make it gzip. */
static int step_unknown(wc_reader *r) {
    size_t have = 0;
    while (have < 2) {
        ssize_t n = read_some(r, have);
        if (n < 0) {
            finish(r, WC_UNREADABLE, (int)n);
            return 0;
        }
        if (n == 0) {
            break;
        }
        have += (size_t)n;
    }
    if (have >= 2 && memcmp(r->raw, "\x1f\x8b", 2) == 0) {
        return start_gzip(r, have);
    }
    r->format = FORMAT_PLAIN;
    return take_text(r, r->raw, have);
}

static int step_plain(wc_reader *r) {
    ssize_t n = read_some(r, 0);
    if (n < 0) {
        finish(r, WC_UNREADABLE, (int)n);
        return 0;
    }
    return n == 0 ? take_end(r) : take_text(r, r->raw, (size_t)n);
}

/* Decompress until the text buffer is full or the input is used up. Returns zlib's verdict. */
static int inflate_some(wc_reader *r) {
    r->z.next_out = (Bytef *)r->text;
    r->z.avail_out = (uInt)TEXT_BYTES;
    for (;;) {
        if (!r->is_inside_member && r->z.avail_in == 0) {
            return Z_OK;
        }
        r->is_inside_member = true;
        int rc = inflate(&r->z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END) {
            /* Another member may follow. What isn't one fails as a bad header. */
            r->is_inside_member = false;
            rc = inflateReset(&r->z);
        }
        if (rc != Z_OK || r->z.avail_out == 0) {
            return rc;
        }
    }
}

static int step_gzip(wc_reader *r) {
    if (r->z.avail_in == 0 && !r->is_at_eof) {
        ssize_t n = read_some(r, 0);
        if (n < 0) {
            finish(r, WC_UNREADABLE, (int)n);
            return 0;
        }
        r->is_at_eof = n == 0;
        r->z.next_in = (Bytef *)r->raw;
        r->z.avail_in = (uInt)n;
    }
    int verdict = inflate_some(r);
    size_t size = TEXT_BYTES - r->z.avail_out;
    int rc = take_text(r, r->text, size);
    if (rc <= 0) {
        return rc;
    }
    if (verdict == Z_MEM_ERROR) {
        return -ENOMEM;
    }
    /* Z_BUF_ERROR: it wants more input, which is fatal only when there is none. */
    bool is_cut_off = r->is_at_eof && r->is_inside_member && r->z.avail_in == 0 && size == 0;
    if (is_cut_off || (verdict != Z_OK && verdict != Z_BUF_ERROR)) {
        finish(r, WC_CORRUPT, -EILSEQ);
        return 0;
    }
    bool is_complete = r->is_at_eof && !r->is_inside_member && r->z.avail_in == 0;
    return is_complete ? take_end(r) : 1;
}

int wc_reader_step(wc_reader *reader) {
    int rc = 0;

    if (reader->is_done) {
        return 0;
    }
    switch (reader->format) {
    case FORMAT_UNKNOWN: rc = step_unknown(reader); break;
    case FORMAT_PLAIN: rc = step_plain(reader); break;
    case FORMAT_GZIP: rc = step_gzip(reader); break;
    }
    if (rc < 0) {
        wc_table_clear(reader->table);
        wc_reader_close(reader);
    }
    return rc;
}

const struct wc_file_stats *wc_reader_stats(const wc_reader *reader) {
    return &reader->stats;
}

int wc_count_file(const char *path, wc_reader *reader, wc_table *table,
                  struct wc_file_stats *ret_stats) {
    int rc = wc_reader_open(reader, path, table);
    if (rc < 0) {
        return rc;
    }
    do {
        rc = wc_reader_step(reader);
    } while (rc > 0);
    if (rc == 0) {
        *ret_stats = *wc_reader_stats(reader);
    }
    return rc;
}
