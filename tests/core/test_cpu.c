/* SPDX-License-Identifier: Apache-2.0 */
/* Affinity and cgroup quotas; the cgroup trees are made in a temporary directory. */
#include "cpu_internal.h"

#include "t.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static int cpus[TRI_CPUS_MAX];

static void begin_tree(void) {
    (void)snprintf(root, sizeof root, "/tmp/troupe-cpu-XXXXXX");
    T_REQUIRE(mkdtemp(root) != NULL);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

static void end_tree(void) {
    T_CHECK_INT(nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* A file below the root, with the directories it needs. */
static void put(const char *name, const char *text) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    T_REQUIRE(file != NULL);
    T_CHECK(fputs(text, file) >= 0);
    T_CHECK_INT(fclose(file), 0);
}

static int allowed(void) {
    char groups[128];
    char mount[128];
    (void)snprintf(groups, sizeof groups, "%s/groups", root);
    (void)snprintf(mount, sizeof mount, "%s/mount", root);
    return tri_cpus_allowed_at(cpus, mount, groups);
}

static int affinity(void) {
    cpu_set_t set;
    T_REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
    return CPU_COUNT(&set);
}

static int at_most(int count) {
    return count < affinity() ? count : affinity();
}

T_TEST(cpu, without_a_cgroup_the_affinity_decides) {
    begin_tree();
    T_CHECK_INT(allowed(), affinity());
    put("groups", "0::/a\n");
    T_CHECK_INT(allowed(), affinity());
    end_tree();
}

T_TEST(cpu, the_real_system_allows_at_least_one_in_rising_order) {
    int count = tri_cpus_allowed(cpus);
    T_CHECK(count >= 1);
    T_CHECK(count <= affinity());
    for (int i = 1; i < count; i++) {
        T_CHECK(cpus[i - 1] < cpus[i]);
    }
}

T_TEST(cpu, a_quota_is_rounded_up) {
    static const struct {
        const char *quota;
        int count;
    } cases[] = {{"100000 100000\n", 1}, {"150000 100000\n", 2}, {"100001 100000\n", 2},
                 {"1000 100000\n", 1},   {"50000 50000\n", 1},   {"200000 100000\n", 2}};
    begin_tree();
    put("groups", "0::/a\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("mount/a/cpu.max", cases[i].quota);
        T_CHECK_INT(allowed(), at_most(cases[i].count));
    }
    end_tree();
}

T_TEST(cpu, max_and_nonsense_are_no_limit) {
    static const char *const texts[] = {
        "max 100000\n",           "", "\n", "x", "100000\n", "-1 100000\n", "100000 0\n", "0 0\n",
        "9223372036854775807 1\n"};
    begin_tree();
    put("groups", "0::/a\n");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put("mount/a/cpu.max", texts[i]);
        T_CHECK_INT(allowed(), affinity());
    }
    end_tree();
}

T_TEST(cpu, the_smallest_quota_up_to_the_root_counts) {
    begin_tree();
    put("groups", "0::/a/b/c\n");
    put("mount/a/b/c/cpu.max", "max 100000\n");
    put("mount/a/cpu.max", "100000 100000\n");
    put("mount/cpu.max", "400000 100000\n");
    T_CHECK_INT(allowed(), 1);
    end_tree();
}

/* In a container the path may be the host's, and the mount our own group. */
T_TEST(cpu, a_path_that_is_not_mounted_falls_back_to_the_mount) {
    begin_tree();
    put("groups", "0::/system.slice/docker-0123.scope\n");
    put("mount/cpu.max", "100000 100000\n");
    T_CHECK_INT(allowed(), 1);
    put("groups", "0::/../../elsewhere\n");
    T_CHECK_INT(allowed(), 1);
    put("groups", "0::/\n");
    T_CHECK_INT(allowed(), 1);
    end_tree();
}

T_TEST(cpu, version_1_quotas_are_read) {
    begin_tree();
    put("groups", "12:pids:/x\n4:cpu,cpuacct:/a/b\n1:name=systemd:/y\n0::/z\n");
    put("mount/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("mount/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    T_CHECK_INT(allowed(), affinity());
    put("mount/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n");
    T_CHECK_INT(allowed(), affinity());
    put("mount/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    T_CHECK_INT(allowed(), 1);
    end_tree();
}

T_TEST(cpu, version_1_below_the_link_named_cpu_is_read) {
    begin_tree();
    put("groups", "3:cpuacct,cpu:/a\n");
    put("mount/cpu/a/cpu.cfs_quota_us", "100000\n");
    put("mount/cpu/a/cpu.cfs_period_us", "100000\n");
    T_CHECK_INT(allowed(), 1);
    end_tree();
}

T_TEST(cpu, version_2_beside_version_1_is_read) {
    begin_tree();
    put("groups", "4:memory:/a\n0::/a\n");
    put("mount/unified/a/cpu.max", "100000 100000\n");
    T_CHECK_INT(allowed(), 1);
    end_tree();
}

T_TEST(cpu, broken_group_lines_are_skipped) {
    static char long_line[8192];
    begin_tree();
    memset(long_line, 'a', sizeof long_line - 1);
    memcpy(long_line, "0::/", 4);
    put("groups", long_line);
    put("mount/cpu.max", "100000 100000\n");
    T_CHECK_INT(allowed(), 1);
    put("groups", "\n:\nx\n1:\n::\n0:/a\n");
    T_CHECK_INT(allowed(), 1); /* "::" is version 2 with an empty path: the mount itself */
    end_tree();
}

T_TEST(cpu, pin_moves_the_calling_thread) {
    cpu_set_t before;
    cpu_set_t now;
    T_REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    T_REQUIRE(tri_cpus_allowed(cpus) >= 1);
    T_CHECK_INT(tri_cpu_pin(cpus[0]), 0);
    T_REQUIRE(sched_getaffinity(0, sizeof now, &now) == 0);
    T_CHECK_INT(CPU_COUNT(&now), 1);
    T_CHECK(CPU_ISSET((size_t)cpus[0], &now));
    T_CHECK_INT(tri_cpus_allowed(cpus), 1);
    T_REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
}

T_TEST(cpu, pinning_to_a_cpu_that_is_not_there_is_an_error) {
    T_CHECK_INT(tri_cpu_pin(-1), -EINVAL);
    T_CHECK_INT(tri_cpu_pin(1 << 30), -EINVAL);
    T_CHECK_INT(tri_cpu_pin(8000), -EINVAL);
}
