/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations of messages that must not compile. */
#include <troupe/actors.h>

TR_MESSAGE(rej_good, (1, uint32, a), (65535, string, b));
TR_MESSAGE(rej_other, (1, uint32, a));
TR_REPLY(rej_good, rej_other);

#if BAD == 1 /* a field number twice */
TR_MESSAGE(rej_bad, (1, uint32, a), (1, uint32, b));
#elif BAD == 2  /* number 0 */
TR_MESSAGE(rej_bad, (0, uint32, a));
#elif BAD == 3  /* a number that is too large */
TR_MESSAGE(rej_bad, (65536, uint32, a));
#elif BAD == 4  /* no such kind */
TR_MESSAGE(rej_bad, (1, uint16, a));
#elif BAD == 5  /* a field name twice */
TR_MESSAGE(rej_bad, (1, uint32, a), (2, uint64, a));
#elif BAD == 6  /* a message twice */
TR_MESSAGE(rej_good, (1, uint32, a));
#elif BAD == 7  /* the reply is not a message */
typedef struct {
    int a;
} rej_struct;
TR_REPLY(rej_other, rej_struct);
#elif BAD == 8  /* two replies */
TR_REPLY(rej_good, rej_good);
#elif BAD == 9  /* a negative number */
TR_MESSAGE(rej_bad, (-1, uint32, a));
#elif BAD == 10 /* a number twice, not in a row */
TR_MESSAGE(rej_bad, (7, uint32, a), (2, uint32, b), (7, string, c));
#endif

extern int rej_use(void);
int rej_use(void) {
    return (int)(tri_type_rej_good.size + tri_type_rej_other.size);
}
