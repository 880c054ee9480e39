/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.h: the main task of the first process, from the first actor to the result.
 */
#ifndef WC_JOB_H
#define WC_JOB_H

#include "files.h"
#include "options.h"
#include "team.h"

struct wc_job {
    const struct wc_options *options;
    struct wc_team *team;
    /* The result; with is_complete false what there was when the job was interrupted. */
    bool is_complete;
    struct wc_totals totals;
    wc_table *words; /* with --verify all of them, else the most frequent ones of each shard */
    uint64_t distinct;
    uint64_t changed; /* files that changed while they were counted */
    double seconds;
};

/* The body of the main task; `arg` is a struct wc_job. 0, or an error that was reported. */
int wc_job_main(void *arg);

#endif
