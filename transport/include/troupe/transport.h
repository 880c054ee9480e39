/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file transport.h
 * The transport layer: nodes and the links between them. Includes the layers below.
 */
#ifndef TROUPE_TRANSPORT_H
#define TROUPE_TRANSPORT_H

#include <troupe/actors.h>

#include <troupe/transport/node.h>

#endif /* TROUPE_TRANSPORT_H */
