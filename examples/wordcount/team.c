/* SPDX-License-Identifier: Apache-2.0 */
/*
 * team.c: starting, ending and cleaning up after the other processes.
 */
#include "team.h"

#include "progress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* ---- the directory of the sockets ---- */

static int make_directory(struct wc_team *team) {
    static const char name[] = "wordcount-XXXXXX";
    const char *base = getenv("TMPDIR");
    /* The path of a Unix socket has 107 bytes at most. */
    if (base == NULL || base[0] != '/' || strlen(base) + sizeof name + 1 > sizeof team->directory) {
        base = "/tmp";
    }
    snprintf(team->directory, sizeof team->directory, "%s/%s", base, name);
    if (mkdtemp(team->directory) == NULL) {
        int err = -errno;
        wc_say("can't make a directory in %s: %s", base, tr_err_text(err));
        team->directory[0] = '\0';
        return err;
    }
    return 0;
}

/* A worker that was killed has left its socket there. */
static void remove_directory(struct wc_team *team) {
    DIR *dir = team->directory[0] != '\0' ? opendir(team->directory) : NULL;
    if (dir == NULL) {
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    closedir(dir);
    if (rmdir(team->directory) != 0) {
        wc_say("can't remove %s: %s", team->directory, tr_err_text(-errno));
    }
}

/* ---- starting ---- */

static int spawn_worker(struct wc_team *team, const struct wc_options *options, unsigned node,
                        posix_spawn_file_actions_t *files) {
    char numbers[4][24];
    snprintf(numbers[0], sizeof numbers[0], "--worker=%u", node);
    snprintf(numbers[1], sizeof numbers[1], "--parent=%ld", (long)getpid());
    snprintf(numbers[2], sizeof numbers[2], "--loops=%u", options->loops);
    snprintf(numbers[3], sizeof numbers[3], "--nodes=%u", options->nodes);
    char links[sizeof team->directory + 16];
    snprintf(links, sizeof links, "--links=%s", team->directory);
    char name[] = "wordcount";
    char *argv[] = {name, numbers[0], numbers[1], numbers[2], numbers[3], links, NULL};
    return -posix_spawn(&team->pids[node], "/proc/self/exe", files, NULL, argv, environ);
}

/* The workers' standard input is the pipe that ends when this process does; standard output is for
 * the result, which is not theirs. */
static int spawn_workers(struct wc_team *team, const struct wc_options *options, int input) {
    posix_spawn_file_actions_t files;
    int err = -posix_spawn_file_actions_init(&files);
    if (err < 0) {
        return err;
    }
    err = -posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    if (err == 0) {
        err = -posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    for (unsigned node = 1; err == 0 && node < options->nodes; node++) {
        int failed = spawn_worker(team, options, node, &files);
        if (failed < 0) {
            team->pids[node] = 0;
            wc_say("can't start %s: %s", wc_node_name(node).text, tr_err_text(failed));
        }
    }
    posix_spawn_file_actions_destroy(&files);
    return err;
}

int wc_team_start(struct wc_team *team, const struct wc_options *options) {
    *team = (struct wc_team){.nodes = options->nodes, .lifeline = -1};
    if (options->nodes == 1) {
        return 0;
    }
    int err = make_directory(team);
    if (err < 0) {
        return err;
    }
    int ends[2];
    if (pipe(ends) != 0) {
        err = -errno;
    } else {
        fcntl(ends[0], F_SETFD, FD_CLOEXEC);
        fcntl(ends[1], F_SETFD, FD_CLOEXEC); /* a worker that had it would keep the others alive */
        err = spawn_workers(team, options, ends[0]);
        close(ends[0]);
        team->lifeline = ends[1];
    }
    if (err < 0) {
        wc_say("can't start other processes: %s", tr_err_text(err));
        wc_team_end(team, 0);
    }
    return err;
}

/* ---- ending ---- */

static void reap(struct wc_team *team, unsigned node, int status) {
    team->pids[node] = 0;
    if (WIFSIGNALED(status)) {
        wc_say("%s was ended by signal %d", wc_node_name(node).text, WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        wc_say("%s has failed with exit status %d", wc_node_name(node).text, WEXITSTATUS(status));
    }
}

bool wc_team_has_ended(struct wc_team *team, unsigned node) {
    int status;
    if (team->pids[node] != 0 && waitpid(team->pids[node], &status, WNOHANG) > 0) {
        reap(team, node, status);
    }
    return team->pids[node] == 0;
}

void wc_team_dismiss(struct wc_team *team) {
    if (team->lifeline >= 0) {
        close(team->lifeline);
        team->lifeline = -1;
    }
}

static unsigned running(struct wc_team *team) {
    unsigned count = 0;
    for (unsigned node = 1; node < team->nodes; node++) {
        count += !wc_team_has_ended(team, node);
    }
    return count;
}

void wc_team_end(struct wc_team *team, int patience) {
    wc_team_dismiss(team);
    for (int waited = 0; running(team) > 0 && waited < patience; waited += 5) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    for (unsigned node = 1; node < team->nodes; node++) {
        if (team->pids[node] != 0) {
            kill(team->pids[node], SIGKILL);
            int status = 0;
            waitpid(team->pids[node], &status, 0);
            reap(team, node, status);
        }
    }
    remove_directory(team);
}
