/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file combine.h
 * Waiting for several futures, and waiting for one with a limit.
 */
#ifndef TROUPE_CORE_COMBINE_H
#define TROUPE_CORE_COMBINE_H

#include <troupe/core/task.h>

/** Flags of tr_gather(). */
enum tr_gather_flag {
    TR_GATHER_KEEP_ERRORS = 1 /**< wait for all and return 0; errors stand in results */
};

TR_BEGIN_DECLS

/** Wait until all futures are done, or the first one has failed.
 *
 * When one fails, the call returns that error at once and the others run on.
 *
 * @param futures  count futures; borrowed; may repeat
 * @param count    0 or more
 * @param flags    0 or TR_GATHER_KEEP_ERRORS
 * @param results  room for count results, or NULL. A future that isn't done gives TR_EPENDING.
 * @return 0
 * @retval TR_ECANCELLED  the caller, or a future, was cancelled
 * @retval -ENOMEM        nothing was waited for
 * @return another negative value: the first future's error
 * @thread task
 * @cancel all futures are cancelled and the wait goes on until they have ended
 * @source Python's asyncio.gather(); TR_GATHER_KEEP_ERRORS is return_exceptions=True
 */
TR_API TR_NODISCARD int tr_gather(tr_future *const *futures, size_t count, unsigned flags,
                                  int *results);

/** Wait for a future, but not longer than a time.
 *
 * When the time is over the future is cancelled, and the call returns once that has ended. A
 * result that the future has by then is not lost: it is returned.
 *
 * @param future   borrowed
 * @param timeout  nanoseconds; 0 or less: only a future that is done gives its result
 * @return the future's result
 * @retval TR_ETIMEOUT    the time was over and the future ended as cancelled
 * @retval TR_ECANCELLED  the caller or the future was cancelled
 * @return another negative value: the error that the future ended with
 * @thread task
 * @cancel the future is cancelled too
 * @source Python's asyncio.wait_for()
 */
TR_API TR_NODISCARD int tr_wait_for(tr_future *future, tr_time timeout);

TR_END_DECLS

#endif /* TROUPE_CORE_COMBINE_H */
