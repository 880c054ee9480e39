/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_source.c: stdio, and gzip taken apart by hand (RFC 1952) around zlib's raw inflate, where
 * the reader lets zlib do all of it.
 */
#include "verify_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GZIP_DEFLATE  8
#define FLAG_HCRC     0x02
#define FLAG_EXTRA    0x04
#define FLAG_NAME     0x08
#define FLAG_COMMENT  0x10
#define FLAG_RESERVED 0xe0

/* The next byte of the file itself, or a mark. */
static int raw_byte(struct wc_source *s) {
    if (s->z.avail_in == 0) {
        errno = 0;
        size_t n = fread(s->in, 1, sizeof s->in, s->file);
        if (ferror(s->file)) {
            s->err = errno != 0 ? -errno : -EIO;
            return WC_SOURCE_ERROR;
        }
        if (n == 0) {
            return WC_SOURCE_END;
        }
        s->raw_bytes += n;
        s->z.next_in = s->in;
        s->z.avail_in = (uInt)n;
    }
    s->z.avail_in--;
    return *s->z.next_in++;
}

static void put_back(struct wc_source *s) {
    s->z.avail_in++;
    s->z.next_in--;
}

/* A byte that must be there, of a header. */
static int header_byte(struct wc_source *s) {
    int c = raw_byte(s);
    if (c == WC_SOURCE_END) {
        return WC_SOURCE_CORRUPT;
    }
    if (c >= 0) {
        unsigned char byte = (unsigned char)c;
        s->crc = (uint32_t)crc32(s->crc, &byte, 1);
    }
    return c;
}

/* `count` bytes, the low one first, at most 4. */
static int header_number(struct wc_source *s, int count, uint32_t *ret_number) {
    uint32_t number = 0;
    for (int i = 0; i < count; i++) {
        int c = header_byte(s);
        if (c < 0) {
            return c;
        }
        number |= (uint32_t)c << (8 * i);
    }
    *ret_number = number;
    return 0;
}

static int skip_bytes(struct wc_source *s, uint32_t count) {
    int c = 0;
    while (count-- > 0 && c >= 0) {
        c = header_byte(s);
    }
    return c < 0 ? c : 0;
}

static int skip_text(struct wc_source *s) {
    int c;
    do {
        c = header_byte(s);
    } while (c > 0);
    return c;
}

/* 0 or a mark. */
static int begin_member(struct wc_source *s) {
    uint32_t magic = 0;
    uint32_t method = 0;
    uint32_t flags = 0;
    uint32_t number = 0;

    s->crc = 0;
    int rc = header_number(s, 2, &magic);
    rc = rc < 0 ? rc : header_number(s, 1, &method);
    rc = rc < 0 ? rc : header_number(s, 1, &flags);
    rc = rc < 0 ? rc : skip_bytes(s, 6); /* time, hints, system */
    if (rc < 0) {
        return rc;
    }
    if (magic != 0x8b1f || method != GZIP_DEFLATE || (flags & FLAG_RESERVED) != 0) {
        return WC_SOURCE_CORRUPT;
    }
    if ((flags & FLAG_EXTRA) != 0) {
        rc = header_number(s, 2, &number);
        rc = rc < 0 ? rc : skip_bytes(s, number);
    }
    if (rc == 0 && (flags & FLAG_NAME) != 0) {
        rc = skip_text(s);
    }
    if (rc == 0 && (flags & FLAG_COMMENT) != 0) {
        rc = skip_text(s);
    }
    if (rc == 0 && (flags & FLAG_HCRC) != 0) {
        uint32_t wanted = s->crc & 0xffff;
        rc = header_number(s, 2, &number);
        if (rc == 0 && number != wanted) {
            rc = WC_SOURCE_CORRUPT;
        }
    }
    s->crc = 0;
    s->member_bytes = 0;
    return rc;
}

/* The trailer, and the next member's header if there is one. 0 or a mark. */
static int end_member(struct wc_source *s) {
    uint32_t crc = s->crc;
    uint32_t wanted_crc = 0;
    uint32_t wanted_size = 0;
    int rc = header_number(s, 4, &wanted_crc);
    rc = rc < 0 ? rc : header_number(s, 4, &wanted_size);
    if (rc < 0) {
        return rc;
    }
    if (wanted_crc != crc || wanted_size != s->member_bytes) {
        return WC_SOURCE_CORRUPT;
    }
    int c = raw_byte(s);
    if (c < 0) {
        return c;
    }
    put_back(s);
    inflateReset(&s->z);
    return begin_member(s);
}

/* Fill the empty text buffer, or set the mark. */
static void more_text(struct wc_source *s) {
    s->text_at = 0;
    s->text_end = 0;
    if (s->z.avail_in == 0) {
        int c = raw_byte(s);
        if (c == WC_SOURCE_ERROR) {
            s->mark = c;
            return;
        }
        if (c >= 0) {
            put_back(s);
        }
    }
    s->z.next_out = s->text;
    s->z.avail_out = sizeof s->text;
    int rc = inflate(&s->z, Z_NO_FLUSH);
    s->text_end = (unsigned)(sizeof s->text - s->z.avail_out);
    s->crc = (uint32_t)crc32(s->crc, s->text, s->text_end);
    s->member_bytes += s->text_end;
    if (rc == Z_STREAM_END) {
        s->mark = end_member(s);
    } else if (rc == Z_MEM_ERROR) {
        s->err = -ENOMEM;
        s->mark = WC_SOURCE_ERROR;
    } else if (rc != Z_OK) {
        s->mark = WC_SOURCE_CORRUPT; /* Z_BUF_ERROR too: all there is was offered */
    }
}

int wc_source_next(struct wc_source *s) {
    if (!s->is_gzip) {
        return raw_byte(s);
    }
    while (s->text_at == s->text_end) {
        if (s->mark < 0) {
            return s->mark;
        }
        more_text(s);
    }
    return s->text[s->text_at++];
}

static bool is_gzip(struct wc_source *s, const char *path) {
    const char *dot = strrchr(path, '.');
    if (dot == NULL || strcmp(dot, ".gz") != 0 || raw_byte(s) < 0) {
        return false;
    }
    put_back(s);
    return s->z.avail_in >= 2 && s->in[0] == 0x1f && s->in[1] == 0x8b;
}

/* A stream of a regular file; NULL: see *ret_err. */
static FILE *open_regular(const char *path, int *ret_err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        *ret_err = -errno;
        return NULL;
    }
    FILE *file = NULL;
    *ret_err = -EINVAL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        file = fdopen(fd, "rb");
        *ret_err = file == NULL ? -errno : 0;
    }
    if (file == NULL) {
        close(fd);
    }
    return file;
}

int wc_source_open(struct wc_source *s, const char *path) {
    int err = 0;
    FILE *file = open_regular(path, &err);
    if (file == NULL) {
        return err;
    }
    setvbuf(file, NULL, _IONBF, 0); /* s->in is the buffer */
    memset(s, 0, offsetof(struct wc_source, in));
    s->file = file;
    if (is_gzip(s, path)) {
        if (inflateInit2(&s->z, -15) != Z_OK) {
            fclose(file);
            return -ENOMEM;
        }
        s->is_gzip = true;
        s->mark = begin_member(s);
    }
    return 0;
}

void wc_source_close(struct wc_source *s) {
    if (s->is_gzip) {
        inflateEnd(&s->z);
    }
    fclose(s->file);
}
