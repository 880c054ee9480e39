/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu.c: the CPUs this process may use.
 *
 * DESIGN
 *
 * The affinity mask says which CPUs, the cgroup's quota how much of them: a container limited
 * to 1.5 CPUs on a 64-core machine has a full mask, and 64 threads in it are throttled for most
 * of each period. So the count is the smaller of both, a quota rounded up (150% keeps two busy).
 *
 * A quota may be set on any level between our group and the root, so each is read. What
 * /proc/self/cgroup says and what is mounted need not agree (a container sees its own group as
 * the root of the mount, but the path as the host does); missing files are therefore normal and
 * mean no limit, and the root of the mount is always read.
 */
#include "cpu_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A group with a longer path counts as one that isn't there. 8,192 CPUs are the kernel's limit. */
enum { PATH_ROOM = 1024, MASK_WORDS = 128 };

/* Millionths of a CPU; no limit is INT64_MAX. */
typedef int64_t quota;
static const quota no_quota = INT64_MAX;
static const int64_t one_cpu = 1000000;

/* ---- reading files ------------------------------------------------------ */

/* First line of a small file. */
static bool read_line(const char *path, char *line, int size) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool is_read = fgets(line, size, file) != NULL;
    (void)fclose(file);
    return is_read;
}

static quota quota_of(long long amount, long long period) {
    if (amount <= 0 || period <= 0 || amount > INT64_MAX / one_cpu) {
        return no_quota;
    }
    return (int64_t)amount * one_cpu / (int64_t)period;
}

/* cgroup v2: "max 100000" or "150000 100000". */
static quota read_v2(const char *dir) {
    char path[PATH_ROOM + 32];
    char line[128];
    long long amount = 0;
    long long period = 0;
    (void)snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld %lld", &amount, &period) != 2) {
        return no_quota;
    }
    return quota_of(amount, period);
}

/* cgroup v1: one number a file; -1 is no limit. */
static quota read_v1(const char *dir) {
    char path[PATH_ROOM + 32];
    char line[128];
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (!read_line(path, line, sizeof line)) {
        return no_quota;
    }
    long long amount = strtoll(line, NULL, 10);
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    if (!read_line(path, line, sizeof line)) {
        return no_quota;
    }
    return quota_of(amount, strtoll(line, NULL, 10));
}

/* ---- walking up --------------------------------------------------------- */

/* The smallest quota of mount/group, its parents, and the mount itself. */
static quota smallest_quota(const char *mount, const char *group, quota (*read_dir)(const char *)) {
    char dir[PATH_ROOM];
    size_t mount_size = strlen(mount);
    quota smallest = no_quota;
    int size = snprintf(dir, sizeof dir, "%s%s", mount, group);
    /* A group outside of our namespace is shown as "/..": only the mount can be read then. */
    if (size < 0 || (size_t)size >= sizeof dir || strstr(group, "/..") != NULL) {
        (void)snprintf(dir, sizeof dir, "%s", mount);
    }
    for (;;) {
        quota here = read_dir(dir);
        smallest = here < smallest ? here : smallest;
        char *slash = strrchr(dir, '/');
        if (slash == NULL || slash < dir + mount_size) {
            return smallest;
        }
        *slash = '\0';
    }
}

static bool names_cpu(char *controllers) {
    char *rest = NULL;
    for (char *name = strtok_r(controllers, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        if (strcmp(name, "cpu") == 0) {
            return true;
        }
    }
    return false;
}

/* One line of /proc/self/cgroup: "0::/group" (v2) or "4:cpu,cpuacct:/group" (v1). */
static quota quota_of_line(char *line, const char *cgroup_root) {
    char mount[PATH_ROOM / 2];
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL) {
        return no_quota;
    }
    *controllers++ = '\0';
    *group++ = '\0';
    if (controllers[0] == '\0') {
        quota unified = smallest_quota(cgroup_root, group, read_v2);
        /* Where v1 is mounted as well, v2 stands one level down. */
        (void)snprintf(mount, sizeof mount, "%s/unified", cgroup_root);
        quota hybrid = smallest_quota(mount, group, read_v2);
        return hybrid < unified ? hybrid : unified;
    }
    /* The directory has the name of all controllers; "cpu" is the usual link to it. */
    (void)snprintf(mount, sizeof mount, "%s/%s", cgroup_root, controllers);
    if (!names_cpu(controllers)) {
        return no_quota;
    }
    quota by_names = smallest_quota(mount, group, read_v1);
    (void)snprintf(mount, sizeof mount, "%s/cpu", cgroup_root);
    quota by_link = smallest_quota(mount, group, read_v1);
    return by_link < by_names ? by_link : by_names;
}

static quota read_quota(const char *cgroup_root, const char *proc_self_cgroup) {
    FILE *file = fopen(proc_self_cgroup, "re");
    if (file == NULL) {
        return no_quota;
    }
    char *line = NULL;
    size_t size = 0;
    quota smallest = no_quota;
    while (getline(&line, &size, file) > 0) {
        quota here = quota_of_line(line, cgroup_root);
        smallest = here < smallest ? here : smallest;
    }
    free(line); /* getline's own */
    (void)fclose(file);
    return smallest;
}

/* ---- operations --------------------------------------------------------- */

int tri_cpus_allowed_at(int *cpus, const char *cgroup_root, const char *proc_self_cgroup) {
    unsigned long mask[MASK_WORDS] = {0};
    cpu_set_t *set = (cpu_set_t *)(void *)mask;
    if (sched_getaffinity(0, sizeof mask, set) < 0) {
        return -errno;
    }
    int count = 0;
    for (size_t cpu = 0; cpu < sizeof mask * 8 && count < TRI_CPUS_MAX; cpu++) {
        if (CPU_ISSET_S(cpu, sizeof mask, set)) {
            cpus[count++] = (int)cpu;
        }
    }
    quota limit = read_quota(cgroup_root, proc_self_cgroup);
    if (limit / one_cpu < count) {
        int whole = (int)((limit + one_cpu - 1) / one_cpu);
        count = whole < count ? whole : count;
    }
    return count > 0 ? count : 1;
}

int tri_cpus_allowed(int *cpus) {
    return tri_cpus_allowed_at(cpus, "/sys/fs/cgroup", "/proc/self/cgroup");
}

int tri_cpu_pin(int cpu) {
    unsigned long mask[MASK_WORDS] = {0};
    cpu_set_t *set = (cpu_set_t *)(void *)mask;
    if (cpu < 0 || (size_t)cpu >= sizeof mask * 8) {
        return -EINVAL;
    }
    CPU_SET_S((size_t)cpu, sizeof mask, set);
    return sched_setaffinity(0, sizeof mask, set) < 0 ? -errno : 0;
}
