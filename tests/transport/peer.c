/* SPDX-License-Identifier: Apache-2.0 */
/* Starting this binary again as another node, and the roles that it plays. */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- starting -------------------------------------------------------------------------- */

static void put(char **environment, size_t *count, const char *name, const char *value) {
    if (value != NULL) {
        size_t size = strlen(name) + strlen(value) + 2;
        environment[*count] = malloc(size);
        snprintf(environment[(*count)++], size, "%s=%s", name, value);
    }
}

static void exec_peer(const struct t_peer_opts *opts, int out) {
    static char *environment[256];
    size_t count = 0;
    for (char **e = environ; *e != NULL && count < 200; e++) {
        if (strncmp(*e, "T_PEER_", 7) != 0) {
            environment[count++] = *e;
        }
    }
    char number[32];
    put(environment, &count, "T_PEER_ROLE", opts->role);
    put(environment, &count, "T_PEER_NAME", opts->name);
    put(environment, &count, "T_PEER_LISTEN", opts->listen);
    put(environment, &count, "T_PEER_PEER", opts->peer);
    put(environment, &count, "T_PEER_CLUSTER", opts->cluster);
    put(environment, &count, "T_PEER_DETAIL", opts->detail);
    snprintf(number, sizeof number, "%d", opts->loops > 0 ? opts->loops : 1);
    put(environment, &count, "T_PEER_LOOPS", number);
    snprintf(number, sizeof number, "%d", opts->down_after_ms);
    put(environment, &count, "T_PEER_DOWN_AFTER", number);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(out, STDOUT_FILENO);
    char *argv[] = {(char[]){"test-peer"}, NULL};
    /* The name behind the link, because valgrind stands for it as the client's program. */
    char self[4096];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    self[size > 0 ? size : 0] = 0;
    execve(self, argv, environment);
    _exit(95);
}

const char *t_peer_line(struct t_peer *peer, char *line, size_t size) {
    size_t used = 0;
    char c;
    while (used + 1 < size) {
        ssize_t n = read(peer->out, &c, 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0 || c == '\n') {
            break;
        }
        line[used++] = c;
    }
    line[used] = 0;
    return line;
}

bool t_peer_start(struct t_peer *peer, const struct t_peer_opts *opts) {
    int ends[2];
    if (!t_check(pipe2(ends, O_CLOEXEC) == 0, __FILE__, __LINE__, "pipe2")) {
        return false;
    }
    fflush(NULL);
    peer->pid = fork();
    if (peer->pid == 0) {
        exec_peer(opts, ends[1]);
    }
    close(ends[1]);
    peer->out = ends[0];
    t_peer_line(peer, peer->address, sizeof peer->address);
    if (peer->address[0] == 0) {
        T_FAIL("peer '%s' did not start", opts->name);
        (void)t_peer_end(peer, SIGKILL);
        return false;
    }
    return true;
}

int t_peer_end(struct t_peer *peer, int signo) {
    int status = 0;
    if (signo != 0) {
        kill(peer->pid, signo);
    }
    while (waitpid(peer->pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(peer->out);
    return status;
}

const char *t_mkdir(char *path, size_t size) {
    snprintf(path, size, "/tmp/troupe-test-XXXXXX");
    return mkdtemp(path);
}

void t_rmdir(const char *path) {
    char text[256];
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(text, sizeof text, "%s/%s", path, names[i]);
        unlink(text);
    }
    rmdir(path);
}

/* ---- the counter, in both processes ------------------------------------------------------ */

static int on_start(tr_self *self, px_counter *c, const px_start *m) {
    (void)self;
    c->sum = m->value;
    return m->err;
}

static int on_add(tr_self *self, px_counter *c, const px_add *m) {
    (void)self;
    c->out_of_order |= m->amount != c->last + 1;
    c->last = m->amount;
    c->sum += m->amount;
    c->count++;
    return 0;
}

static int on_query(tr_self *self, px_counter *c, const px_query *m) {
    return tr_reply(self, px_total, .sum = c->sum, .count = c->count, .in_order = !c->out_of_order,
                    .echo = m->from);
}

static int on_echo(tr_self *self, px_counter *c, const px_echo *m) {
    (void)c;
    return tr_reply(self, px_echoed, .text = m->text, .blob = m->blob, .who = m->who,
                    .real = m->real);
}

static int on_never(tr_self *self, px_counter *c, const px_never *m) {
    (void)self;
    (void)c;
    (void)m;
    return tr_sleep(TR_FOREVER);
}

static int on_fail(tr_self *self, px_counter *c, const px_fail *m) {
    (void)self;
    (void)c;
    return m->err;
}

TR_PROTOCOL(px_counter, px_add, px_query, px_echo, px_never, px_fail);
TR_BEHAVIOUR(px_counter, TR_INIT(px_start, on_start), TR_ON(px_add, on_add),
             TR_ON(px_query, on_query), TR_ON(px_echo, on_echo), TR_ON(px_never, on_never),
             TR_ON(px_fail, on_fail));

/* ---- roles ---------------------------------------------------------------------------------- */

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != 0 ? value : NULL;
}

static int start_node(void) {
    static char peer_name[64];
    struct tr_peer peer = {peer_name, NULL};
    const char *text = setting("T_PEER_PEER");
    struct tr_node_opts opts = {.name = setting("T_PEER_NAME"),
                                .cluster = setting("T_PEER_CLUSTER"),
                                .listen = setting("T_PEER_LISTEN")};
    opts.down_after = strtol(setting("T_PEER_DOWN_AFTER"), NULL, 10) * TR_MS;
    if (text != NULL) {
        const char *equals = strchr(text, '=');
        snprintf(peer_name, sizeof peer_name, "%.*s", (int)(equals - text), text);
        peer.address = equals + 1;
        opts.peers = &peer;
        opts.peer_count = 1;
    }
    int err = tr_node_start(&opts);
    char address[TR_ADDRESS_SIZE] = "";
    if (err == 0) {
        err = tr_node_address(address, sizeof address);
    }
    if (err < 0) {
        fprintf(stderr, "peer: %s\n", tr_err_name(err));
    }
    printf("%s\n", address);
    fflush(stdout);
    return err;
}

/* A counter named "counter" that others may also spawn; ends by a signal. */
static int serve(void *arg) {
    tr_ref counter;
    (void)arg;
    /* With room for whatever a test sends at once. */
    int err = tr_spawn(&counter, px_counter, .name = "counter", .mailbox_messages = TR_UNBOUNDED,
                       .mailbox_bytes = TR_UNBOUNDED);
    if (err == 0 && setting("T_PEER_DETAIL") == NULL) {
        err = tr_node_allow(TR_BEHAVIOUR_OF(px_counter));
    }
    if (err == 0) {
        err = start_node();
    }
    return err < 0 ? err : tr_sleep(TR_FOREVER);
}

/* Prints what it is told of the node in T_PEER_DETAIL. */
typedef struct px_witness {
    int unused;
} px_witness;

static int on_witness(tr_self *self, px_witness *w, const px_start *m) {
    (void)w;
    (void)m;
    return tr_node_monitor(self, setting("T_PEER_DETAIL"));
}

static int on_node_up(tr_self *self, px_witness *w, const tr_node_up *m) {
    (void)self;
    (void)w;
    printf("up %.*s\n", (int)m->name.size, m->name.data);
    fflush(stdout);
    return 0;
}

static int on_node_down(tr_self *self, px_witness *w, const tr_node_down *m) {
    (void)self;
    (void)w;
    printf("down %.*s %s\n", (int)m->name.size, m->name.data, tr_err_name(m->reason));
    fflush(stdout);
    return 0;
}

TR_PROTOCOL(px_witness, tr_node_up, tr_node_down);
TR_BEHAVIOUR(px_witness, TR_INIT(px_start, on_witness), TR_ON(tr_node_up, on_node_up),
             TR_ON(tr_node_down, on_node_down));

static int witness(void *arg) {
    tr_ref ref;
    (void)arg;
    int err = start_node();
    if (err == 0) {
        err = tr_spawn(&ref, px_witness, .name = "witness");
    }
    return err < 0 ? err : tr_sleep(TR_FOREVER);
}

/* Before main(), and before the test framework parses anything: this process is a peer. */
__attribute__((constructor)) static void be_a_peer(void) {
    const char *role = setting("T_PEER_ROLE");
    if (role == NULL) {
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    tr_task_fn *fn = strcmp(role, "witness") == 0 ? witness : serve;
    struct tr_run_opts opts = {.loops = (int)strtol(setting("T_PEER_LOOPS"), NULL, 10),
                               .no_pinning = true};
    int err = tr_run_with(fn, &opts);
    fflush(NULL);
    _exit(err == TR_EINTERRUPTED ? 0 : 1);
}
