/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_internal.h: the CPUs this process may use.
 */
#ifndef TRI_CPU_INTERNAL_H
#define TRI_CPU_INTERNAL_H

#include <troupe/core/base.h>

enum { TRI_CPUS_MAX = 1024 };

/* CPUs of sched_getaffinity, lowest first; at most as many as the cgroup's quota (v2 cpu.max
 * of this process's cgroup and its parents, or v1 cfs quota) allows, rounded up, at least 1.
 * Fills `cpus` (room for TRI_CPUS_MAX) and returns the count, or -errno. */
int tri_cpus_allowed(int *cpus);
/* The same with a quota read from files below `cgroup_root` and `proc_self_cgroup` (tests). */
int tri_cpus_allowed_at(int *cpus, const char *cgroup_root, const char *proc_self_cgroup);
/* Pin the calling thread. 0 or -errno. */
int tri_cpu_pin(int cpu);

#endif
