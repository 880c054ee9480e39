/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.c: what all actors agree on.
 */
#include "protocol.h"

#include "progress.h"

#include <stdio.h>

struct wc_node_name wc_node_name(unsigned node) {
    struct wc_node_name name;
    snprintf(name.text, sizeof name.text, "node%u", node);
    return name;
}

bool wc_is_loss(int err) {
    switch (err) {
    case TR_EKILLED:
    case TR_ESHUTDOWN:
    case TR_ENOACTOR:
    case TR_ENODE:
    case TR_ENODEDOWN:
    case TR_ENOTLINKED: return true;
    default: return false;
    }
}

static void dead_letter(void *arg, const struct tr_dead_letter *letter) {
    (void)arg;
    if (!wc_is_loss(letter->reason)) {
        wc_say("message '%s' was lost: %s (%s)", letter->type->name, tr_err_text(letter->reason),
               tr_err_name(letter->reason));
    }
}

int wc_watch_dead_letters(void) {
    return tr_set_dead_letter_handler(tr_loop_runtime(tr_loop_running()), dead_letter, NULL);
}
