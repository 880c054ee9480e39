/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address_internal.h: names of nodes, and the addresses that are allowed.
 */
#ifndef TRI_ADDRESS_INTERNAL_H
#define TRI_ADDRESS_INTERNAL_H

#include "frame_internal.h"

/* 1 to 63 of A-Z a-z 0-9 _ . - */
bool tri_node_name_is_valid(const char *name, size_t size);
/* 32-bit FNV-1a of the name; 0 for the one name in four billion that nobody can have. */
uint32_t tri_node_id(const char *name, size_t size);

enum tri_address_use { TRI_ADDRESS_LISTEN, TRI_ADDRESS_DIAL };

/* Whether an address is of the form tcp://127.x.x.x:PORT, tcp://[::1]:PORT or ipc:///PATH. To
 * listen, PORT may be 0 or "*". NULL when it is, else what is wrong, for the log. */
const char *tri_address_problem(const char *address, size_t size, enum tri_address_use use);

#endif
