/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file core.h
 * The core layer: asyncio in C. Loops, tasks, futures, descriptors.
 */
#ifndef TROUPE_CORE_H
#define TROUPE_CORE_H

#include <troupe/core/base.h>
#include <troupe/core/combine.h>
#include <troupe/core/error.h>
#include <troupe/core/future.h>
#include <troupe/core/io.h>
#include <troupe/core/log.h>
#include <troupe/core/loop.h>
#include <troupe/core/runtime.h>
#include <troupe/core/seam.h>
#include <troupe/core/task.h>

#endif /* TROUPE_CORE_H */
