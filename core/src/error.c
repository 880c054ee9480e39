/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.c: names and sentences of result codes.
 */
#include <troupe/core/error.h>

#include <string.h>

/* Below it is ours: the C library knows no errno that large. */
enum { LOWEST_ERRNO = -4000 };

const char *tr_err_name(int err) {
    if (err >= 0) {
        return "OK";
    }
    switch (err) {
#define NAME_CASE(name, number, text) \
    case number: return #name;
        TR_ERROR_MAP(NAME_CASE)
#undef NAME_CASE
    default: break;
    }
    const char *name = err >= LOWEST_ERRNO ? strerrorname_np(-err) : NULL;
    return name != NULL ? name : "E?";
}

const char *tr_err_text(int err) {
    if (err >= 0) {
        return "success";
    }
    switch (err) {
#define TEXT_CASE(name, number, text) \
    case number: return text;
        TR_ERROR_MAP(TEXT_CASE)
#undef TEXT_CASE
    default: break;
    }
    const char *text = err >= LOWEST_ERRNO ? strerrordesc_np(-err) : NULL;
    return text != NULL ? text : "unknown error";
}
