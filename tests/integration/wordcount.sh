#!/bin/bash
# The wordcount example from outside: results, mistakes, Ctrl-C, and what is left behind.
set -euo pipefail
build=${1:-${TROUPE_BUILD:?"usage: wordcount.sh BUILD_DIR"}}
wordcount=$build/examples/wordcount
if [ ! -x "$wordcount" ]; then
    echo "wordcount.sh: the example was not built; nothing to test"
    exit 0
fi
dir=$(mktemp -d)
mkdir "$dir/tmp"
chmod 755 "$dir"
chmod 1777 "$dir/tmp"
export TMPDIR=$dir/tmp # where wordcount puts its sockets
program=
cleanup() {
    if [ -n "$program" ]; then kill -KILL "$program" 2>/dev/null || true; fi
    chmod -R u+rwx "$dir"
    rm -rf "$dir"
}
trap cleanup EXIT
fail() {
    echo "wordcount.sh: $*" >&2
    sed 's/^/out: /' "$dir/out" >&2 || true
    sed 's/^/err: /' "$dir/err" >&2 || true
    exit 1
}

# run STATUS ARGUMENT...: stdout and stderr go to $dir/out and $dir/err
run() {
    local expected=$1 status=0
    shift
    timeout 60 "$wordcount" "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    if [ "$status" -ne "$expected" ]; then fail "'$*' gave exit status $status, not $expected"; fi
}
says() { grep -qF -- "$1" "$dir/err" || fail "did not say: $1"; }
# shows LABEL NUMBER: a line of the table
shows() {
    local line
    line=$(grep -E "^ *$1 " "$dir/out" | head -n 1 | tr -d ',' | sed "s/^ *$1 *//; s/ .*//")
    if [ "$line" != "$2" ]; then fail "'$1' is '$line', not '$2'"; fi
}
# json KEY: the number behind "KEY": in the JSON output
json() { sed -n "s/.*\"$1\":\([0-9][0-9]*\).*/\1/p" "$dir/out"; }
workers() { # the process ids of this test's workers
    local cmdline
    for cmdline in /proc/[0-9]*/cmdline; do
        if { tr '\0' ' ' <"$cmdline"; } 2>/dev/null | grep -qF -- "--links=$TMPDIR/"; then
            cmdline=${cmdline#/proc/}
            echo "${cmdline%/cmdline}"
        fi
    done
}
no_process_left() { [ -z "$(workers)" ]; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# ---- a tree with known contents
tree=$dir/tree
mkdir -p "$tree/sub/deeper"
printf 'The cat. THE dog; the end\n' >"$tree/a.txt"
printf 'cat_dog cat-dog 42 caf\xc3\xa9\n' >"$tree/sub/b.txt"
printf 'the last word has no newline' >"$tree/sub/deeper/c"
printf 'the packed cat\n' | gzip -c >"$tree/d.gz"
printf 'the packed dog\n' | gzip -c | head -c 20 >"$tree/cut.gz"
printf 'abc\0def\n' >"$tree/binary"
: >"$tree/empty"
ln -s a.txt "$tree/link"
ln -s sub "$tree/link_to_directory"
ln -s nowhere "$tree/dangling"
mkfifo "$tree/fifo"

check_tree() {
    shows 'files counted' 5
    shows 'files skipped' 6
    shows 'words' 21
    shows 'distinct words' 12
    [ "$(grep -cE '^ +5  the$' "$dir/out")" = 1 ] || fail "'the' is not there 5 times"
    [ "$(grep -cE '^ +4  cat$' "$dir/out")" = 1 ] || fail "'cat' is not there 4 times"
    grep -qE '^ +3  symbolic link$' "$dir/out" || fail "the links are not reported"
    for what in binary 'corrupt gzip' fifo; do
        grep -qE "^ +1  $what\$" "$dir/out" || fail "'$what' is not reported"
    done
    grep -q ' 0 differences' "$dir/out" || fail "not verified"
    says "cut.gz: damaged or cut off"
}
for arguments in '--loops 1' '--loops 2' '--nodes 2 --loops 2' '--nodes 3'; do
    # shellcheck disable=SC2086
    run 0 $arguments --verify --top 100 "$tree"
    check_tree
done

# ---- JSON: nothing else on stdout, same numbers
run 0 --json --verify --nodes 2 --loops 2 "$tree"
[ "$(wc -l <"$dir/out")" = 1 ] || fail "JSON is not one line"
if command -v python3 >/dev/null; then
    python3 -c 'import json, sys; json.load(sys.stdin)' <"$dir/out" || fail "not JSON"
fi
[ "$(json counted) $(json symbolic_link) $(json words) $(json distinct_words)" = "5 3 21 12" ] ||
    fail "the JSON has other numbers"
says ' 0 differences'

# ---- unreadable files; root can read everything, so somebody else has to try
printf 'secret\n' >"$tree/secret"
mkdir "$tree/closed"
chmod 000 "$tree/secret" "$tree/closed"
cp "$wordcount" "$dir/wordcount"
as_other=()
if [ "$(id -u)" = 0 ]; then as_other=(setpriv --reuid=65534 --clear-groups --); fi
"${as_other[@]}" "$dir/wordcount" --verify "$tree" >"$dir/out" 2>"$dir/err" || fail "unreadable files"
shows 'files counted' 5
shows 'files skipped' 8
says "secret: "
says "closed: "
grep -qE '^ +2  unreadable$' "$dir/out" || fail "unreadable files are not reported"
rm -rf "$tree/secret" "$tree/closed"

# ---- mistakes: 2, and a message with parameter, value and what was expected
reject() {
    local expected=$1
    shift
    run 2 "$@"
    says "$expected"
    if [ -s "$dir/out" ]; then fail "'$*' wrote to stdout"; fi
}
reject "DIRECTORY is '$dir/nowhere': expected a directory" "$dir/nowhere"
reject "DIRECTORY is '$dir/nowhere': expected a directory" --nodes 2 "$tree" "$dir/nowhere"
reject "--loops is '0': expected a number from 1 to" --loops 0 "$tree"
reject "--loops is '2x': expected a number from 1 to" --loops 2x
reject "--nodes is '99999999999999999999': expected a number from 1 to" --nodes 99999999999999999999
reject "--top is '-1': expected a number from 0 to" --top=-1
reject "--top: expected a value after it" --top
reject "--frobnicate: expected one of the options" --frobnicate
run 0 --help
grep -q '^usage: wordcount' "$dir/out" || fail "no help"

# ---- a directory without files
mkdir "$dir/nothing"
run 0 --verify --nodes 2 "$dir/nothing"
shows 'files counted' 0
shows 'words' 0

# ---- Ctrl-C: all processes of the group get it; the end comes within two seconds
big=$dir/big
mkdir "$big"
awk 'BEGIN { srand(1); for (i = 0; i < 300000; i++) print "w" int(rand() * 100000), "word", i }' >"$big/0"
for i in $(seq 1 60); do cp "$big/0" "$big/$i"; done
interrupt() {
    local delay=$1 status=0 began
    shift
    # What a script starts in the background ignores SIGINT, unlike what is started from a terminal.
    setsid env --default-signal=INT "$wordcount" "$@" "$big" >"$dir/out" 2>"$dir/err" </dev/null &
    program=$!
    sleep "$delay"
    if [ -n "${HANG:-}" ]; then kill -STOP "$(workers | head -n 1)"; fi
    began=$(now_ms)
    kill -INT -- "-$program" || fail "had ended already: the tree is too small"
    wait "$program" || status=$?
    program=
    if [ "$status" -ne 130 ]; then fail "exit status $status after Ctrl-C"; fi
    if [ $(($(now_ms) - began)) -ge 2000 ]; then fail "$(($(now_ms) - began)) ms to end after Ctrl-C"; fi
    no_process_left || fail "a process was left behind"
    [ -z "$(ls -A "$TMPDIR")" ] || fail "left in TMPDIR: $(ls -A "$TMPDIR")"
}
interrupt 0.4 --loops 2
says "interrupted: the counts are incomplete"
interrupt 0.6 --nodes 3 --loops 2
says "interrupted: the counts are incomplete"
grep -q '^words ' "$dir/out" || fail "did not print what it had counted"
HANG=1 interrupt 0.6 --nodes 3 # a worker that doesn't answer is not waited for
for delay in 0.01 0.02 0.03 0.05 0.1 0.2; do interrupt "$delay" --nodes 3; done

# ---- the first process is killed: the others don't stay
setsid "$wordcount" --nodes 3 "$big" >"$dir/out" 2>"$dir/err" </dev/null &
program=$!
sleep 0.5
kill -KILL "$program"
wait "$program" 2>/dev/null || true
program=
for _ in $(seq 20); do
    if no_process_left; then break; fi
    sleep 0.1
done
no_process_left || fail "a worker has outlived the first process"

echo "wordcount.sh: ok"
