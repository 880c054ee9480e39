/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seam_internal.h: the real clock, randomness and poller behind <troupe/core/seam.h>.
 */
#ifndef TRI_SEAM_INTERNAL_H
#define TRI_SEAM_INTERNAL_H

#include "assert_internal.h"

#include <troupe/core/seam.h>

/* poller_libevent.c: the only file that includes libevent's headers. */
extern const struct tr_poller_ops tri_poller_libevent;

/* Wall clock in milliseconds since 1970 (node incarnations only). */
TRI_API int64_t tri_wall_clock_ms(void);

#endif
