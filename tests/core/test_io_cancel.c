/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_io_cancel.c: who else is there: a second reader, a cancellation, a close.
 */
#include "core/io_pair.h"

#include <errno.h>
#include <unistd.h>

/* ---- one reader, one writer ----------------------------------------------------------- */

T_TASK_TEST(io_cancel, second_reader_is_refused) {
    struct caller c = {0};
    int peer;
    char byte;
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    tr_task *task = start_and_suspend(read_once, &c);
    T_CHECK_INT(tr_io_read(c.io, &byte, 1), -EBUSY);
    T_CHECK_INT(tr_io_wait(c.io, TR_READABLE), -EBUSY);
    T_CHECK_INT(tr_io_write(c.io, "x", 1), 0); /* writing is another matter */

    /* Its place is free as soon as it is cancelled, before it has returned. */
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(write(peer, "y", 1), 1);
    T_CHECK_INT(tr_io_read(c.io, &byte, 1), 1);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, TR_ECANCELLED);
    tr_io_close(c.io);
    close(peer);
    return 0;
}

T_TASK_TEST(io_cancel, second_writer_is_refused) {
    struct caller c = {0};
    int peer;
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    tr_task *task = start_and_suspend(write_much, &c);
    T_CHECK_INT(tr_io_write(c.io, "x", 1), -EBUSY);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, TR_ECANCELLED);
    tr_io_close(c.io);
    close(peer);
    return 0;
}

/* ---- cancelling ----------------------------------------------------------------------- */

T_TASK_TEST(io_cancel, cancelled_read_leaves_the_data) {
    struct caller c = {0};
    int peer;
    char buffer[8];
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    tr_task *task = start_and_suspend(read_once, &c);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, TR_ECANCELLED);
    T_CHECK_INT(write(peer, "kept", 4), 4);
    T_CHECK_INT(tr_io_read(c.io, buffer, sizeof buffer), 4);
    tr_io_close(c.io);
    close(peer);
    return 0;
}

T_TASK_TEST(io_cancel, cancelled_wait) {
    struct caller c = {0};
    int peer;
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    tr_io_drained(c.io, TR_READABLE);
    tr_task *task = start_and_suspend(wait_readable, &c);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, TR_ECANCELLED);
    tr_io_close(c.io);
    close(peer);
    return 0;
}

T_TASK_TEST(io_cancel, time_limit_over_a_read) {
    tr_io *io;
    int peer;
    char byte;
    tr_timeout limit;
    T_TASK_REQUIRE(open_pair(&io, &peer));
    tr_timeout_begin(&limit, 5 * TR_MS);
    int n = tr_io_read(io, &byte, 1);
    T_CHECK_INT(tr_timeout_end(&limit, n), TR_ETIMEOUT);
    T_CHECK_INT(write(peer, "z", 1), 1);
    T_CHECK_INT(tr_io_read(io, &byte, 1), 1);
    tr_io_close(io);
    close(peer);
    return 0;
}

T_TASK_TEST(io_cancel, pending_cancellation_waits_for_a_call_that_suspends) {
    tr_io *io;
    int peer;
    char byte;
    T_TASK_REQUIRE(open_pair(&io, &peer));
    T_CHECK_INT(write(peer, "z", 1), 1);
    T_CHECK(tr_task_cancel(tr_task_current()));
    T_CHECK_INT(tr_io_read(io, &byte, 1), 1);
    T_CHECK_INT(tr_io_read(io, &byte, 1), TR_ECANCELLED);
    T_CHECK_INT(tr_task_uncancel(NULL), 0);
    tr_io_close(io);
    close(peer);
    return 0;
}

/* Two descriptors become ready in one poll, and ours is reported first: what we do then comes
 * between the reader's wake-up and its resumption. */
static int race_with_wakeup(struct caller *c, int peer) {
    tr_io *first;
    int first_peer;
    T_TASK_REQUIRE(open_pair(&first, &first_peer));
    char byte;
    T_CHECK_INT(write(first_peer, "1", 1), 1);
    T_CHECK_INT(tr_io_read(first, &byte, 1), 1);
    tr_io_drained(first, TR_READABLE);
    T_CHECK_INT(tr_sleep(TR_MS), 0); /* both edges of the beginning are gone */
    tr_io_drained(first, TR_READABLE);
    T_CHECK_INT(write(first_peer, "1", 1), 1);
    T_CHECK_INT(write(peer, "2", 1), 1);
    T_CHECK_INT(tr_io_wait(first, TR_READABLE), 0);
    T_CHECK(!c->is_done);
    tr_io_close(first);
    close(first_peer);
    return 0;
}

T_TASK_TEST(io_cancel, cancel_between_wakeup_and_resumption) {
    struct caller c = {0};
    int peer;
    char byte = 0;
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    tr_task *task = start_and_suspend(read_once, &c);
    T_CHECK_INT(race_with_wakeup(&c, peer), 0);
    T_CHECK(tr_task_cancel(task));
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, TR_ECANCELLED);
    T_CHECK_INT(tr_io_read(c.io, &byte, 1), 1); /* nothing was lost */
    T_CHECK_INT(byte, '2');
    tr_io_close(c.io);
    close(peer);
    return 0;
}

T_TASK_TEST(io_cancel, close_between_wakeup_and_resumption) {
    struct caller c = {0};
    int peer;
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    tr_task *task = start_and_suspend(read_once, &c);
    T_CHECK_INT(race_with_wakeup(&c, peer), 0);
    tr_io_close(c.io);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, -EBADF);
    close(peer);
    return 0;
}

T_TASK_TEST(io_cancel, wait_closed_between_wakeup_and_resumption) {
    struct caller c = {0};
    int peer;
    T_TASK_REQUIRE(open_pair(&c.io, &peer));
    tr_io_drained(c.io, TR_READABLE);
    tr_task *task = start_and_suspend(wait_readable, &c);
    tr_io *io = c.io;
    T_CHECK_INT(race_with_wakeup(&c, peer), 0);
    tr_io_close(io);
    T_CHECK_INT(tr_task_join(task), 0);
    T_CHECK_INT(c.result, -EBADF);
    close(peer);
    return 0;
}

/* ---- closing -------------------------------------------------------------------------- */

T_TASK_TEST(io_cancel, close_wakes_reader_and_writer) {
    struct caller reader = {0};
    struct caller writer = {0};
    int peer;
    T_TASK_REQUIRE(open_pair(&reader.io, &peer));
    writer.io = reader.io;
    tr_task *tasks[2] = {start_and_suspend(read_once, &reader),
                         start_and_suspend(write_much, &writer)};
    tr_io_close(reader.io);
    T_CHECK_INT(tr_task_join(tasks[0]), 0);
    T_CHECK_INT(tr_task_join(tasks[1]), 0);
    T_CHECK_INT(reader.result, -EBADF);
    T_CHECK_INT(writer.result, -EBADF);
    close(peer);
    return 0;
}

T_TASK_TEST(io_cancel, number_of_a_closed_descriptor_can_be_used_again) {
    for (int i = 0; i < 50; i++) {
        struct caller c = {0};
        int peer;
        T_TASK_REQUIRE(open_pair(&c.io, &peer));
        tr_task *task = start_and_suspend(read_once, &c);
        T_CHECK_INT(write(peer, "x", 1), 1);
        T_CHECK_INT(tr_task_join(task), 0);
        T_CHECK_INT(c.result, 1);
        tr_io_close(c.io);
        close(peer);
    }
    return 0;
}
