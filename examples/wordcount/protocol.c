/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.c: what all actors agree on.
 */
#include "protocol.h"

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
