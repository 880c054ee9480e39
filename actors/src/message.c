/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.c: references and messages as text.
 */
#include "actors_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char *tr_ref_print(tr_ref ref, char *text) {
    if (ref.node != 0) {
        snprintf(text, TR_REF_TEXT_SIZE, "<%u.%" PRIu32 ".%" PRIu32 "@%08" PRIx32 ".%" PRIx64 ">",
                 (unsigned)ref.loop, ref.slot, ref.generation, ref.node, ref.incarnation);
    } else {
        snprintf(text, TR_REF_TEXT_SIZE, "<%u.%" PRIu32 ".%" PRIu32 ">", (unsigned)ref.loop,
                 ref.slot, ref.generation);
    }
    return text;
}

/* Text that is cut where the room ends. */
struct out {
    char *text;
    size_t size, used;
};

TR_PRINTF(2, 3) static void put(struct out *out, const char *fmt, ...) {
    if (out->used + 1 >= out->size) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out->text + out->used, out->size - out->used, fmt, args);
    va_end(args);
    if (n > 0) {
        size_t left = out->size - out->used - 1;
        out->used += (size_t)n < left ? (size_t)n : left;
    }
}

static void put_blob(struct out *out, const tr_bytes *blob, bool is_text) {
    const unsigned char *bytes = blob->data;
    size_t shown = blob->size < 32 ? blob->size : 32;
    put(out, is_text ? "\"" : "<");
    for (size_t i = 0; i < shown; i++) {
        if (is_text && bytes[i] >= ' ' && bytes[i] < 127 && bytes[i] != '"') {
            put(out, "%c", bytes[i]);
        } else {
            put(out, is_text ? "\\x%02x" : "%02x", bytes[i]);
        }
    }
    put(out, "%s%s", shown < blob->size ? "..." : "", is_text ? "\"" : ">");
}

static void put_field(struct out *out, const struct tr_field *field, const void *message) {
    const void *at = (const char *)message + field->offset;
    char text[TR_REF_TEXT_SIZE];
    switch (field->kind) {
    case TR_KIND_BOOL: put(out, "%s", *(const bool *)at ? "true" : "false"); break;
    case TR_KIND_INT32: put(out, "%" PRId32, *(const int32_t *)at); break;
    case TR_KIND_UINT32: put(out, "%" PRIu32, *(const uint32_t *)at); break;
    case TR_KIND_INT64: put(out, "%" PRId64, *(const int64_t *)at); break;
    case TR_KIND_UINT64: put(out, "%" PRIu64, *(const uint64_t *)at); break;
    case TR_KIND_DOUBLE: put(out, "%.17g", *(const double *)at); break;
    case TR_KIND_STRING: put_blob(out, at, true); break;
    case TR_KIND_BYTES: put_blob(out, at, false); break;
    default: put(out, "%s", tr_ref_print(*(const tr_ref *)at, text)); break;
    }
}

char *tr_message_print(const struct tr_type *type, const void *message, char *text, size_t size) {
    struct out out = {text, size, 0};
    if (size > 0) {
        text[0] = '\0';
    }
    put(&out, "%s{", type->name);
    for (const struct tr_field *field = type->fields; field->number != 0; field++) {
        put(&out, "%s%s=", field == type->fields ? "" : ", ", field->name);
        put_field(&out, field, message);
    }
    put(&out, "}");
    return text;
}
