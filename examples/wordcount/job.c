/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.c: spawns the actors, shows how far they are, and collects the words in the end.
 */
#include "job.h"

#include "ledger.h"
#include "links.h"
#include "pack.h"
#include "progress.h"
#include "protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_PERIOD    (20 * TR_MS)
#define LAST_WORD_TIME (400 * TR_MS) /* after Ctrl-C, for asking what there is so far */

/* What only the main task needs. */
struct desk {
    struct wc_job *job;
    tr_ref boss;
    tr_ref gauge;
    unsigned shards;
    tr_time began;
    struct wc_progress progress;
    struct wc_links links;
};

/* ---- the start ---- */

static int spawn_boss(struct desk *desk) {
    const struct wc_options *options = desk->job->options;
    size_t size = 0;
    for (size_t i = 0; i < options->root_count; i++) {
        size += strlen(options->roots[i]) + 1;
    }
    char *roots = malloc(size);
    if (roots == NULL) {
        return -ENOMEM;
    }
    char *at = roots;
    for (size_t i = 0; i < options->root_count; i++) {
        at = (char *)memcpy(at, options->roots[i], strlen(options->roots[i]) + 1) +
             strlen(options->roots[i]) + 1;
    }
    int err = tr_spawn(&desk->boss, boss, .place = TR_LOOP(0),
                       .arg = TR_ARG(boss_start, .nodes = options->nodes, .loops = options->loops,
                                     .shards = desk->shards, .roots = {roots, size}));
    free(roots);
    return err;
}

/* Without a meter the program only shows less: the one error that counts is Ctrl-C. */
static int spawn_meters(struct desk *desk) {
    const struct wc_options *options = desk->job->options;
    for (unsigned i = 0; i < options->nodes * options->loops; i++) {
        unsigned node = i / options->loops;
        unsigned loop = i % options->loops;
        struct wc_node_name name = wc_node_name(node);
        tr_ref ignored;
        int err = tr_spawn_start(
            &ignored, meter, .node = node > 0 ? name.text : NULL, .place = TR_LOOP((int)loop),
            .arg = TR_ARG(meter_start, .gauge = desk->gauge, .node = node, .loop = loop));
        if (err == TR_ECANCELLED) {
            return err;
        }
    }
    return 0;
}

static int start(struct desk *desk) {
    const struct wc_options *options = desk->job->options;
    unsigned places = options->nodes * options->loops;
    desk->shards = places < WC_SHARDS_MAX ? places : WC_SHARDS_MAX;
    int err = wc_watch_dead_letters();
    if (err == 0) {
        err = wc_links_start(0, options, desk->job->team->directory);
    }
    if (err == 0) {
        err = wc_links_wait(desk->job->team);
    }
    if (err == 0) {
        err = tr_spawn(&desk->gauge, gauge, .place = TR_LOOP(0));
    }
    if (err == 0) {
        err = spawn_meters(desk);
    }
    if (err == 0) {
        err = spawn_boss(desk); /* last: it begins at once */
    }
    if (err < 0 && err != TR_ECANCELLED) {
        wc_say("can't start: %s (%s)", tr_err_text(err), tr_err_name(err));
    }
    return err;
}

/* ---- looking on ---- */

static int ask_status(struct desk *desk, tr_time timeout, boss_status *ret_status) {
    int err = tr_ask(desk->boss, timeout, ret_status, get_status);
    if (err == 0) {
        memcpy(&desk->job->totals, ret_status->totals.data, sizeof desk->job->totals);
        desk->job->changed = ret_status->changed;
    }
    return err;
}

static int show(struct desk *desk, const boss_status *now, tr_time time) {
    rates r;
    int err = tr_ask(desk->gauge, TR_SECOND, &r, get_rates);
    if (err < 0) {
        return err == TR_ETIMEOUT || err == TR_EFULL ? 0 : err;
    }
    char text[1536];
    int n = snprintf(text, sizeof text, "%.*s", (int)r.text.size, r.text.data);
    wc_links_print(&desk->links, desk->job->options->nodes, text + n, sizeof text - (size_t)n);
    wc_progress_show(&desk->progress,
                     &(struct wc_progress_now){.time = time,
                                               .known = now->known,
                                               .finished = now->finished,
                                               .bytes = desk->job->totals.raw_bytes,
                                               .is_walked = now->is_walked,
                                               .rates = text});
    return 0;
}

/* Until every file is counted. */
static int look_on(struct desk *desk) {
    for (;;) {
        boss_status now = {0};
        int err = ask_status(desk, TR_FOREVER, &now);
        if (err == TR_EFULL) {
            err = 0; /* it has very much to do */
        } else if (err == 0) {
            err = now.err; /* the boss has said what it is */
        }
        if (err < 0 || now.is_finished) {
            return err;
        }
        tr_time time = tr_loop_time(tr_loop_running());
        if (now.known > 0 && wc_progress_is_due(&desk->progress, time)) {
            err = show(desk, &now, time);
        }
        if (err == 0) {
            err = tr_sleep(POLL_PERIOD);
        }
        if (err < 0) {
            return err;
        }
    }
}

/* ---- collecting ---- */

/* One shard's words, or the most frequent ones, into a table of their own: a shard may be lost in the
 * middle. */
static int fetch(const struct desk *desk, tr_ref ref, wc_table *into, uint64_t *ret_distinct) {
    some_words some = {0};
    int err;
    do {
        if (desk->job->options->verify) {
            err = tr_ask(ref, WC_ASK_TIMEOUT, &some, get_words, .from = some.next);
        } else {
            err = tr_ask(ref, WC_ASK_TIMEOUT, &some, get_top, .count = desk->job->options->top);
        }
        if (err == 0) {
            err = wc_unpack(some.words.data, some.words.size, into);
        }
    } while (err == 0 && some.next < some.distinct);
    *ret_distinct = some.distinct;
    return err;
}

static int collect_shard(const struct desk *desk, unsigned shard, bool is_last_word) {
    shard_found found;
    uint64_t distinct = 0;
    int err = tr_ask(desk->boss, TR_FOREVER, &found, find_shard, .shard = shard);
    if (err < 0) {
        return err;
    }
    if (!found.is_finished && !is_last_word) {
        return TR_ENOACTOR; /* a loss in this moment: it is being built anew */
    }
    wc_table *words = wc_table_new();
    err = words != NULL ? fetch(desk, found.shard, words, &distinct) : -ENOMEM;
    if (err == 0) {
        err = wc_table_merge(desk->job->words, words);
    }
    if (err == 0) {
        desk->job->distinct += distinct;
    }
    wc_table_free(words);
    return err;
}

static int count_and_collect(struct desk *desk) {
    int err = look_on(desk);
    for (unsigned shard = 0; err == 0 && shard < desk->shards;) {
        err = collect_shard(desk, shard, false);
        if (err == 0) {
            shard++;
        } else if (wc_is_loss(err) || err == TR_ETIMEOUT || err == TR_EFULL) {
            err = look_on(desk); /* the boss repairs that; then ask again */
        }
    }
    return err;
}

/* What there is so far, after Ctrl-C: as much as can be had in a short time. */
static void collect_unfinished(struct desk *desk) {
    boss_status now;
    tr_timeout limit;
    tr_send(desk->boss, give_up); /* so that nobody is in the way */
    tr_timeout_begin(&limit, LAST_WORD_TIME);
    int err = ask_status(desk, TR_FOREVER, &now);
    for (unsigned shard = 0; err == 0 && shard < desk->shards; shard++) {
        err = collect_shard(desk, shard, true);
    }
    err = tr_timeout_end(&limit, err);
    if (err < 0) {
        wc_say("not everything counted so far could be collected: %s", tr_err_text(err));
    }
}

/* ---- the main task ---- */

int wc_job_main(void *arg) {
    struct desk desk = {.job = arg, .began = tr_loop_time(tr_loop_running())};
    wc_progress_begin(&desk.progress, desk.began);
    int err = start(&desk);
    bool is_started = err == 0;
    if (err == 0) {
        err = count_and_collect(&desk);
    }
    wc_progress_end(&desk.progress);
    desk.job->is_complete = err == 0;
    if (err == TR_ECANCELLED && is_started) {
        wc_table_clear(desk.job->words);
        desk.job->distinct = 0;
        collect_unfinished(&desk);
    } else if (err < 0 && err != TR_ECANCELLED && is_started) {
        wc_say("the count has failed: %s (%s)", tr_err_text(err), tr_err_name(err));
    }
    tr_time ended = tr_loop_time(tr_loop_running());
    desk.job->seconds = (double)(ended - desk.began) / (double)TR_SECOND;
    if (!tr_ref_is_null(desk.boss)) {
        tr_stop(desk.boss); /* before the others: their ends would be losses to it */
    }
    wc_team_dismiss(desk.job->team);
    return err;
}
