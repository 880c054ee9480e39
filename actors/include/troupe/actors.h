/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file actors.h
 * The actors layer: typed messages, mailboxes, ask, names. Includes the core layer.
 */
#ifndef TROUPE_ACTORS_H
#define TROUPE_ACTORS_H

#include <troupe/core.h>

#include <troupe/actors/actor.h>
#include <troupe/actors/message.h>
#include <troupe/actors/ref.h>
#include <troupe/actors/send.h>

#endif /* TROUPE_ACTORS_H */
