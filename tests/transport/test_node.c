/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes in several processes. */
#include "peer.h"

#include "transport_internal.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define ANY  "tcp://127.0.0.1:*"
#define WAIT (15 * TR_SECOND)

/* ---- what this side has seen -------------------------------------------------------------- */

static struct {
    int downs, node_ups, node_downs;
    int reason, node_reason;
    uint64_t tag;
    tr_ref who;
    unsigned letters;
    int letter_reason;
    uint64_t letter_amount;
    bool letter_has_message;
} seen;

static void on_letter(void *arg, const struct tr_dead_letter *letter) {
    (void)arg;
    seen.letters++;
    seen.letter_reason = letter->reason;
    seen.letter_has_message = letter->message != NULL;
    if (letter->message != NULL && letter->type == &tri_type_px_add) {
        seen.letter_amount = ((const px_add *)letter->message)->amount;
    }
}

static int begin(const struct tr_node_opts *opts) {
    memset(&seen, 0, sizeof seen);
    t_timeout(60);
    int err = tr_set_dead_letter_handler(tr_loop_runtime(tr_loop_running()), on_letter, NULL);
    return err < 0 ? err : tr_node_start(opts);
}

TR_MESSAGE(px_watch, (1, ref, who), (2, uint64, tag));
TR_MESSAGE(px_watched);
TR_REPLY(px_watch, px_watched);

typedef struct px_watcher {
    int unused;
} px_watcher;

static int on_start(tr_self *self, px_watcher *w, const px_start *m) {
    (void)w;
    (void)m;
    return tr_node_monitor(self, "b");
}

static int on_watch(tr_self *self, px_watcher *w, const px_watch *m) {
    (void)w;
    int err = tr_monitor(self, m->who, m->tag);
    return err < 0 ? err : tr_reply(self, px_watched);
}

static int on_down(tr_self *self, px_watcher *w, const tr_down *m) {
    (void)self;
    (void)w;
    seen.downs++;
    seen.reason = m->reason;
    seen.tag = m->tag;
    seen.who = m->who;
    return 0;
}

static int on_node_up(tr_self *self, px_watcher *w, const tr_node_up *m) {
    (void)self;
    (void)w;
    T_CHECK(m->name.size == 1 && m->name.data[0] == 'b');
    seen.node_ups++;
    return 0;
}

static int on_node_down(tr_self *self, px_watcher *w, const tr_node_down *m) {
    (void)self;
    (void)w;
    seen.node_downs++;
    seen.node_reason = m->reason;
    return 0;
}

TR_PROTOCOL(px_watcher, px_watch, tr_down, tr_node_up, tr_node_down);
TR_BEHAVIOUR(px_watcher, TR_INIT(px_start, on_start), TR_ON(px_watch, on_watch),
             TR_ON(tr_down, on_down), TR_ON(tr_node_up, on_node_up),
             TR_ON(tr_node_down, on_node_down));

/* Until the flag is set, at most some seconds. */
static bool wait_for(const int *flag, int value) {
    for (int i = 0; i < 2000 && *flag < value; i++) {
        (void)tr_sleep(10 * TR_MS);
    }
    return *flag >= value;
}

/* A node "a" here, a node "b" with a counter there, linked. */
static int begin_linked(struct t_peer *peer, struct t_peer_opts peer_opts, tr_time down_after) {
    peer_opts.role = peer_opts.role != NULL ? peer_opts.role : "serve";
    peer_opts.name = "b";
    peer_opts.listen = peer_opts.listen != NULL ? peer_opts.listen : ANY;
    if (!t_peer_start(peer, &peer_opts)) {
        return -1;
    }
    struct tr_peer b = {"b", peer->address};
    int err = begin(&(struct tr_node_opts){
        .name = "a", .listen = ANY, .peers = &b, .peer_count = 1, .down_after = down_after});
    return err < 0 ? err : tr_node_wait("b", WAIT);
}

static void end(struct t_peer *peer) {
    (void)tr_node_stop();
    (void)t_peer_end(peer, SIGKILL);
}

/* ---- messages --------------------------------------------------------------------------------- */

static int exchange(const char *listen, const char *peer_listen, int peer_loops) {
    struct t_peer peer;
    struct t_peer_opts peer_opts = {
        .role = "serve", .name = "b", .listen = peer_listen, .loops = peer_loops};
    tr_ref counter;
    px_total total;
    px_echoed echoed;
    T_TASK_REQUIRE(t_peer_start(&peer, &peer_opts));
    struct tr_peer b = {"b", peer.address};
    T_CHECK_INT(
        begin(&(struct tr_node_opts){.name = "a", .listen = listen, .peers = &b, .peer_count = 1}),
        0);
    T_CHECK_INT(tr_node_wait("b", WAIT), 0);
    T_TASK_REQUIRE(tr_whereis("counter@b", &counter) == 0);
    for (uint64_t i = 1; i <= 100; i++) {
        T_CHECK_INT(tr_send(counter, px_add, .amount = i), 0);
    }
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query, .from = counter), 0);
    T_CHECK_INT(total.sum, 5050);
    T_CHECK_INT(total.count, 100);
    T_CHECK(total.in_order);
    T_CHECK(tr_ref_equal(total.echo, counter)); /* went home and came back */
    T_CHECK_INT(tr_ask(counter, WAIT, &echoed, px_echo, .text = tr_str("hello"),
                       .blob = {"\0\1\2", 3}, .who = {.loop = 1, .slot = 2, .generation = 3},
                       .real = 0.5),
                0);
    T_CHECK(echoed.text.size == 5 && memcmp(echoed.text.data, "hello", 5) == 0);
    T_CHECK(echoed.blob.size == 3 && memcmp(echoed.blob.data, "\0\1\2", 3) == 0);
    T_CHECK(echoed.who.node == 0 && echoed.who.slot == 2);
    T_CHECK(echoed.real == 0.5);
    T_CHECK_INT(tr_whereis("nobody@b", &counter), TR_ENOACTOR);
    T_CHECK_INT(tr_whereis("counter@c", &counter), TR_ENODE);
    T_CHECK_INT(tr_node_links(), 1);
    T_CHECK_INT(seen.letters, 0);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, messages_over_tcp) {
    return exchange(ANY, ANY, 1);
}

T_TASK_TEST(node, messages_over_ipv6) {
    return exchange("tcp://[::1]:*", "tcp://[::1]:0", 1);
}

T_TASK_TEST(node, messages_over_ipc) {
    char dir[64], a[96], b[96];
    T_TASK_REQUIRE(t_mkdir(dir, sizeof dir) != NULL);
    snprintf(a, sizeof a, "ipc://%s/a", dir);
    snprintf(b, sizeof b, "ipc://%s/b", dir);
    int err = exchange(a, b, 1);
    t_rmdir(dir);
    return err;
}

T_TASK_TEST_LOOPS(node, messages_between_several_loops, 2) {
    return exchange(ANY, ANY, 2);
}

T_TASK_TEST(node, a_hundred_thousand_messages_keep_their_order) {
    struct t_peer peer;
    tr_ref counter;
    px_total total;
    enum { MESSAGES = 100000 };
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        T_TASK_REQUIRE(tr_send_wait(counter, px_add, .amount = i) == 0);
    }
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query), 0);
    T_CHECK_INT(total.count, MESSAGES);
    T_CHECK(total.in_order);
    struct tr_link_stats stats;
    T_CHECK_INT(tr_link_get_stats("b", &stats), 0);
    T_CHECK(stats.messages_out > MESSAGES);
    T_CHECK(stats.frames_out < MESSAGES / 100); /* many in one frame */
    T_CHECK_INT(stats.resends, 0);
    T_CHECK_INT(stats.asks, 0);
    T_CHECK_INT(
        tri_zcontext_missed(tri_transport_peek(tr_loop_runtime(tr_loop_running()))->zcontext), 0);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, large_messages_get_frames_of_their_own) {
    struct t_peer peer;
    tr_ref counter;
    px_echoed echoed;
    static char blob[TR_MAX_FRAME];
    memset(blob, 'x', sizeof blob);
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    for (size_t size = 1; size < sizeof blob - 1000; size = size * 3 + 7) {
        T_CHECK_INT(tr_send(counter, px_add, .amount = 1), 0); /* something in front */
        T_CHECK_INT(tr_ask(counter, WAIT, &echoed, px_echo, .blob = {blob, size}), 0);
        T_CHECK_INT(echoed.blob.size, size);
        T_CHECK(memcmp(echoed.blob.data, blob, size) == 0);
    }
    T_CHECK_INT(tr_ask(counter, WAIT, &echoed, px_echo, .blob = {blob, sizeof blob}), TR_ETOOBIG);
    T_CHECK_INT(tr_ask(counter, WAIT, &echoed, px_echo, .blob = {blob, 1}), 0); /* still linked */
    end(&peer);
    return 0;
}

T_TASK_TEST(node, an_ask_with_a_deadline_expires) {
    struct t_peer peer;
    tr_ref counter;
    px_total total;
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    T_CHECK_INT(tr_ask(counter, 100 * TR_MS, &total, px_never), TR_ETIMEOUT);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, an_unknown_type_is_refused_by_itself) {
    struct t_peer peer;
    tr_ref counter;
    px_total total;
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_unknown, .value = 1), TR_ENOTYPE);
    T_CHECK_INT(tr_send(counter, px_unknown, .value = 1), 0);
    T_CHECK_INT(tr_send(counter, px_add, .amount = 1), 0);
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query), 0);
    T_CHECK_INT(total.count, 1);
    T_CHECK_INT(seen.letters, 1);
    T_CHECK_INT(seen.letter_reason, TR_ENOTYPE);
    T_CHECK(!seen.letter_has_message);
    end(&peer);
    return 0;
}

/* ---- spawning ----------------------------------------------------------------------------------- */

T_TASK_TEST(node, actors_are_spawned_and_watched_on_another_node) {
    struct t_peer peer;
    tr_ref far, watcher, found;
    px_total total;
    px_watched watched;
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){.loops = 2}, 0) == 0);
    T_CHECK_INT(tr_spawn(&watcher, px_watcher), 0);
    T_CHECK_INT(tr_spawn(&far, px_counter, .node = "b", .name = "spawned",
                         .arg = TR_ARG(px_start, .value = 7)),
                0);
    T_CHECK_INT(tr_whereis("spawned@b", &found), 0);
    T_CHECK(tr_ref_equal(far, found));
    T_CHECK_INT(tr_ask(far, WAIT, &total, px_query), 0);
    T_CHECK_INT(total.sum, 7);
    T_CHECK_INT(tr_ask(watcher, WAIT, &watched, px_watch, .who = far, .tag = 99), 0);
    T_CHECK_INT(tr_ask(far, WAIT, &total, px_query), 0);
    T_CHECK_INT(seen.downs, 0);
    T_CHECK_INT(tr_send(far, px_fail, .err = -EDOM), 0);
    T_CHECK(wait_for(&seen.downs, 1));
    T_CHECK_INT(seen.reason, -EDOM);
    T_CHECK_INT(seen.tag, 99);
    T_CHECK(tr_ref_equal(seen.who, far));
    /* One that has ended already. */
    T_CHECK_INT(tr_ask(watcher, WAIT, &watched, px_watch, .who = far, .tag = 100), 0);
    T_CHECK(wait_for(&seen.downs, 2));
    T_CHECK_INT(seen.tag, 100);
    T_CHECK_INT(tr_ask(far, WAIT, &total, px_query), -EDOM);
    end(&peer);
    T_CHECK_INT(seen.downs, 2);
    return 0;
}

T_TASK_TEST(node, a_spawn_that_fails_says_why) {
    struct t_peer peer;
    tr_ref far;
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_CHECK_INT(tr_spawn(&far, px_counter, .node = "b", .arg = TR_ARG(px_start, .err = -EDOM)),
                -EDOM);
    T_CHECK_INT(tr_spawn(&far, px_counter, .node = "b", .name = "counter"), TR_ENAME);
    T_CHECK_INT(tr_spawn(&far, px_counter, .node = "b", .place = TR_LOOP(77)), TR_ENOPLACE);
    T_CHECK_INT(tr_spawn(&far, px_watcher, .node = "b"), TR_ENOTALLOWED);
    T_CHECK_INT(tr_spawn(&far, px_counter, .node = "c"), TR_ENODE);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, stop_and_kill_reach_another_node) {
    struct t_peer peer;
    tr_ref far, watcher;
    px_watched watched;
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_CHECK_INT(tr_spawn(&watcher, px_watcher), 0);
    T_CHECK_INT(tr_spawn(&far, px_counter, .node = "b"), 0);
    T_CHECK_INT(tr_ask(watcher, WAIT, &watched, px_watch, .who = far, .tag = 1), 0);
    T_CHECK_INT(tr_stop(far), 0);
    T_CHECK(wait_for(&seen.downs, 1));
    T_CHECK_INT(seen.reason, 0);
    T_CHECK_INT(tr_spawn(&far, px_counter, .node = "b"), 0);
    T_CHECK_INT(tr_ask(watcher, WAIT, &watched, px_watch, .who = far, .tag = 2), 0);
    T_CHECK_INT(tr_kill(far), 0);
    T_CHECK(wait_for(&seen.downs, 2));
    T_CHECK_INT(seen.reason, TR_EKILLED);
    end(&peer);
    return 0;
}

/* ---- loss ------------------------------------------------------------------------------------------ */

struct asker {
    tr_ref to;
    int result;
};

static int ask_never(void *arg) {
    struct asker *asker = arg;
    px_total total;
    asker->result = tr_ask(asker->to, TR_FOREVER, &total, px_never);
    return 0;
}

T_TASK_TEST(node, a_killed_node_is_noticed_by_everybody_once) {
    struct t_peer peer;
    tr_ref counter, second, watcher;
    px_watched watched;
    px_total total;
    tr_task *task;
    struct asker asker = {.result = 1};
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){.down_after_ms = 1000}, TR_SECOND) ==
                   0);
    T_CHECK_INT(tr_spawn(&watcher, px_watcher), 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    T_CHECK_INT(tr_spawn(&second, px_counter, .node = "b"), 0);
    T_CHECK_INT(tr_ask(watcher, WAIT, &watched, px_watch, .who = second, .tag = 5), 0);
    asker.to = counter;
    T_CHECK_INT(tr_task_new(tr_loop_running(), "asker", ask_never, &asker, &task), 0);
    T_CHECK_INT(tr_ask(second, WAIT, &total, px_query), 0); /* everything has arrived */
    (void)t_peer_end(&peer, SIGKILL);
    for (uint64_t i = 1; i <= 10; i++) {
        T_CHECK_INT(tr_send(counter, px_add, .amount = i), 0);
    }
    tr_time start = tr_loop_time(tr_loop_running());
    (void)tr_task_join(task);
    tr_time took = tr_loop_time(tr_loop_running()) - start;
    T_CHECK_INT(asker.result, TR_ENODEDOWN);
    T_CHECK(took < 2 * TR_SECOND);
    T_CHECK(wait_for(&seen.node_downs, 1));
    (void)tr_sleep(50 * TR_MS);
    T_CHECK_INT(seen.downs, 1);
    T_CHECK_INT(seen.reason, TR_ENODEDOWN);
    T_CHECK_INT(seen.tag, 5);
    T_CHECK_INT(seen.node_ups, 1);
    T_CHECK_INT(seen.node_downs, 1);
    T_CHECK_INT(seen.node_reason, TR_ENODEDOWN);
    T_CHECK_INT(seen.letters, 10);
    T_CHECK_INT(seen.letter_reason, TR_ENODEDOWN);
    T_CHECK_INT(seen.letter_amount, 10);
    /* From now on at once. */
    T_CHECK_INT(tr_send(counter, px_add, .amount = 1), TR_ENODEDOWN);
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query), TR_ENODEDOWN);
    T_CHECK_INT(tr_ask(watcher, WAIT, &watched, px_watch, .who = counter, .tag = 6), 0);
    T_CHECK(wait_for(&seen.downs, 2));
    T_CHECK_INT(seen.reason, TR_ENODEDOWN);
    T_CHECK_INT(tr_whereis("counter@b", &counter), TR_ENOTLINKED);
    return tr_node_stop();
}

T_TASK_TEST(node, a_restarted_node_is_linked_again_as_another_one) {
    struct t_peer peer;
    tr_ref counter, again, watcher;
    px_total total;
    struct t_peer_opts peer_opts = {.role = "serve", .name = "b", .listen = ANY};
    T_TASK_REQUIRE(begin_linked(&peer, peer_opts, 0) == 0);
    T_CHECK_INT(tr_spawn(&watcher, px_watcher), 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query), 0);
    char ours[TR_ADDRESS_SIZE];
    char dial[TR_ADDRESS_SIZE + 8];
    T_CHECK_INT(tr_node_address(ours, sizeof ours), 0);
    snprintf(dial, sizeof dial, "a=%s", ours);
    peer_opts.peer = dial;
    (void)t_peer_end(&peer, SIGKILL);
    T_TASK_REQUIRE(t_peer_start(&peer, &peer_opts)); /* at another port */
    T_CHECK(wait_for(&seen.node_ups, 2));            /* long before down_after */
    T_CHECK_INT(seen.node_downs, 1);
    T_CHECK_INT(tr_send(counter, px_add, .amount = 1), TR_ENODEDOWN); /* the old one stays dead */
    T_CHECK_INT(tr_whereis("counter@b", &again), 0);
    T_CHECK(!tr_ref_equal(counter, again));
    T_CHECK_INT(tr_ask(again, WAIT, &total, px_query), 0);
    T_CHECK_INT(total.count, 0);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, a_stopped_process_is_down_and_stays_down) {
    struct t_peer peer;
    tr_ref counter, watcher;
    px_total total;
    char line[256];
    struct t_peer_opts peer_opts = {.role = "witness", .detail = "a"};
    T_TASK_REQUIRE(begin_linked(&peer, peer_opts, TR_SECOND) == 0);
    T_CHECK_INT(tr_spawn(&watcher, px_watcher), 0);
    T_CHECK_INT(tr_whereis("witness@b", &counter), 0);
    T_CHECK_STR(t_peer_line(&peer, line, sizeof line), "up a");
    kill(peer.pid, SIGSTOP);
    T_CHECK_INT(tr_ask(counter, TR_FOREVER, &total, px_query), TR_ENODEDOWN);
    T_CHECK(wait_for(&seen.node_downs, 1));
    kill(peer.pid, SIGCONT);
    /* It learns the verdict, and is not taken back. */
    (void)tr_sleep(3 * TR_SECOND);
    T_CHECK_STR(t_peer_line(&peer, line, sizeof line), "down a TR_EREFUSED");
    T_CHECK_INT(seen.node_ups, 1);
    T_CHECK_INT(seen.node_downs, 1);
    T_CHECK_INT(tr_node_wait("b", 0), TR_ETIMEOUT);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, a_short_pause_is_survived) {
    struct t_peer peer;
    tr_ref counter, watcher;
    px_total total;
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_CHECK_INT(tr_spawn(&watcher, px_watcher), 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    kill(peer.pid, SIGSTOP);
    for (uint64_t i = 1; i <= 1000; i++) {
        T_CHECK_INT(tr_send(counter, px_add, .amount = i), 0);
    }
    (void)tr_sleep(3 * TR_SECOND); /* longer than T: suspect */
    kill(peer.pid, SIGCONT);
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query), 0);
    T_CHECK_INT(total.count, 1000);
    T_CHECK(total.in_order);
    T_CHECK_INT(seen.node_downs, 0);
    end(&peer);
    return 0;
}

/* A receiver that takes nothing in holds its senders up; nothing is lost by that. */
T_TASK_TEST(node, a_full_link_takes_the_senders_credit) {
    struct t_peer peer;
    tr_ref counter;
    px_total total;
    static char blob[8192];
    unsigned sent = 0;
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_TASK_REQUIRE(tr_whereis("counter@b", &counter) == 0);
    kill(peer.pid, SIGSTOP);
    int err = 0;
    for (uint64_t i = 1; i < 100000 && err == 0; i++) {
        err = tr_send(counter, px_echo, .blob = {blob, sizeof blob});
        sent += err == 0;
    }
    T_CHECK_INT(err, TR_EFULL);
    T_CHECK(sent > TRI_WINDOW_BYTES / sizeof blob && sent < 8 * TRI_PAIR_CREDIT);
    kill(peer.pid, SIGCONT);
    for (uint64_t i = 1; i <= 1000; i++) {
        T_TASK_REQUIRE(tr_send_wait(counter, px_add, .amount = i) == 0);
    }
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query), 0);
    T_CHECK_INT(total.count, 1000);
    T_CHECK(total.in_order);
    T_CHECK_INT(seen.letters, 0);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, leaving_in_order_is_told_as_such) {
    struct t_peer peer;
    tr_ref watcher, counter;
    px_watched watched;
    T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
    T_CHECK_INT(tr_spawn(&watcher, px_watcher), 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    T_CHECK_INT(tr_ask(watcher, WAIT, &watched, px_watch, .who = counter), 0);
    kill(peer.pid, SIGTERM);
    T_CHECK(wait_for(&seen.node_downs, 1));
    T_CHECK_INT(seen.node_reason, 0);
    T_CHECK(wait_for(&seen.downs, 1));
    int status = t_peer_end(&peer, 0);
    T_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return tr_node_stop();
}

T_TASK_TEST(node, we_leave_in_order_too) {
    struct t_peer peer;
    char line[256];
    struct t_peer_opts peer_opts = {.role = "witness", .detail = "a"};
    T_TASK_REQUIRE(begin_linked(&peer, peer_opts, 0) == 0);
    T_CHECK_STR(t_peer_line(&peer, line, sizeof line), "up a");
    tr_time start = tr_loop_time(tr_loop_running());
    T_CHECK_INT(tr_node_stop(), 0);
    T_CHECK(tr_loop_time(tr_loop_running()) - start < TR_SECOND);
    T_CHECK_STR(t_peer_line(&peer, line, sizeof line), "down a OK");
    (void)t_peer_end(&peer, SIGKILL);
    return 0;
}

/* ---- refusals ---------------------------------------------------------------------------------------- */

T_TASK_TEST(node, addresses_off_the_machine_are_refused) {
    static const char *const bad[] = {"tcp://0.0.0.0:0",   "tcp://*:7000",      "tcp://192.0.2.1:1",
                                      "tcp://localhost:0", "udp://127.0.0.1:1", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tr_peer b = {"b", bad[i]};
        T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.name = "a", .listen = bad[i]}),
                    TR_EADDRESS);
        T_CHECK_INT(tr_node_start(&(struct tr_node_opts){
                        .name = "a", .listen = ANY, .peers = &b, .peer_count = 1}),
                    TR_EADDRESS);
    }
    T_CHECK(tr_node_name() == NULL);
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.name = "a", .listen = ANY}), 0);
    T_CHECK_STR(tr_node_name(), "a");
    T_CHECK_INT(tr_node_add_peer("b", "tcp://192.0.2.1:1"), TR_EADDRESS);
    return 0; /* the end of the runtime stops the node */
}

T_TASK_TEST(node, bad_names_and_options_are_refused) {
    struct tr_peer twice[] = {{"b", "tcp://127.0.0.1:1"}, {"b", "tcp://127.0.0.1:2"}};
    struct tr_peer self = {"a", "tcp://127.0.0.1:1"};
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.name = "a b", .listen = ANY}), TR_ENAME);
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.listen = ANY}), TR_ENAME);
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){
                    .name = "a", .listen = ANY, .peers = twice, .peer_count = 2}),
                TR_ENAME);
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){
                    .name = "a", .listen = ANY, .peers = &self, .peer_count = 1}),
                TR_ENAME);
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.name = "a", .listen = ANY, .loop = 9}),
                -EINVAL);
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.name = "a", .listen = ANY, .max_frame = 1}),
                -EINVAL);
    T_CHECK_INT(tr_node_wait("b", 0), TR_ENODE);
    T_CHECK_INT(tr_node_stop(), 0);
    return 0;
}

T_TASK_TEST(node, another_cluster_is_refused) {
    struct t_peer peer;
    struct t_peer_opts peer_opts = {
        .role = "serve", .name = "b", .listen = ANY, .cluster = "circus"};
    T_TASK_REQUIRE(t_peer_start(&peer, &peer_opts));
    struct tr_peer b = {"b", peer.address};
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){
                    .name = "a", .listen = ANY, .peers = &b, .peer_count = 1}),
                0);
    T_CHECK_INT(tr_node_wait("b", TR_SECOND), TR_ETIMEOUT);
    T_CHECK_INT(tr_node_links(), 0);
    tri_transport *transport = tri_transport_peek(tr_loop_runtime(tr_loop_running()));
    T_CHECK_INT(tri_link_find(transport, "b", 1)->refusal, TRI_REFUSE_CLUSTER);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, another_node_of_the_same_name_is_refused) {
    struct t_peer peer;
    struct t_peer_opts peer_opts = {.role = "serve", .name = "a", .listen = ANY};
    T_TASK_REQUIRE(t_peer_start(&peer, &peer_opts));
    struct tr_peer b = {"b", peer.address}; /* whoever is there says that it is "a" */
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){
                    .name = "a", .listen = ANY, .peers = &b, .peer_count = 1}),
                0);
    T_CHECK_INT(tr_node_wait("b", TR_SECOND), TR_ETIMEOUT);
    T_CHECK_INT(tr_node_links(), 0);
    tri_transport *transport = tri_transport_peek(tr_loop_runtime(tr_loop_running()));
    T_CHECK_INT(tri_link_find(transport, "b", 1)->refusal, TRI_REFUSE_NAME);
    end(&peer);
    return 0;
}

T_TASK_TEST(node, an_address_in_use_is_an_error) {
    struct t_peer peer;
    char dir[64], path[96];
    T_TASK_REQUIRE(t_mkdir(dir, sizeof dir) != NULL);
    snprintf(path, sizeof path, "ipc://%s/b", dir);
    struct t_peer_opts peer_opts = {.role = "serve", .name = "b", .listen = path};
    T_TASK_REQUIRE(t_peer_start(&peer, &peer_opts));
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.name = "a", .listen = path}), -EADDRINUSE);
    (void)t_peer_end(&peer, SIGKILL);
    /* What a killed process leaves behind is no obstacle. */
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.name = "a", .listen = path}), 0);
    T_CHECK_INT(tr_node_start(&(struct tr_node_opts){.name = "a", .listen = ANY}), -EALREADY);
    T_CHECK_INT(tr_node_stop(), 0);
    t_rmdir(dir);
    return 0;
}

T_TASK_TEST(node, can_be_started_again) {
    for (int i = 0; i < 3; i++) {
        struct t_peer peer;
        tr_ref counter;
        px_total total;
        T_TASK_REQUIRE(begin_linked(&peer, (struct t_peer_opts){0}, 0) == 0);
        T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
        T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query), 0);
        end(&peer);
    }
    return 0;
}

T_TASK_TEST_LOOPS(node, can_live_on_another_loop, 2) {
    struct t_peer peer;
    tr_ref counter;
    px_total total;
    struct t_peer_opts peer_opts = {.role = "serve", .name = "b", .listen = ANY};
    T_TASK_REQUIRE(t_peer_start(&peer, &peer_opts));
    T_CHECK_INT(begin(&(struct tr_node_opts){.name = "a", .listen = ANY, .loop = 1}), 0);
    T_CHECK_INT(tr_node_add_peer("b", peer.address), 0);
    T_CHECK_INT(tr_node_wait("b", WAIT), 0);
    T_CHECK_INT(tr_whereis("counter@b", &counter), 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        T_CHECK_INT(tr_send_wait(counter, px_add, .amount = i), 0);
    }
    T_CHECK_INT(tr_ask(counter, WAIT, &total, px_query), 0);
    T_CHECK_INT(total.count, 1000);
    T_CHECK(total.in_order);
    T_CHECK_INT(tr_whereis("counter@a", &counter), TR_ENOACTOR); /* ourselves, by node name */
    end(&peer);
    return 0;
}
