#!/bin/bash
# The wordcount example loses a worker to SIGKILL at a random moment: same totals, again and again.
# usage: wordcount_kill.sh BUILD_DIR [COUNT [DIRECTORY]]
#
# Without a directory a tree is generated. EXTRA_ARGS are given to wordcount; SEED repeats a run.
set -euo pipefail
build=${1:-${TROUPE_BUILD:?"usage: wordcount_kill.sh BUILD_DIR [COUNT [DIRECTORY]]"}}
count=${2:-5}
wordcount=$build/examples/wordcount
if [ ! -x "$wordcount" ]; then
    echo "wordcount_kill.sh: the example was not built; nothing to test"
    exit 0
fi
seed=${SEED:-$RANDOM}
RANDOM=$seed
dir=$(mktemp -d)
mkdir "$dir/tmp"
export TMPDIR=$dir/tmp
program=
cleanup() {
    if [ -n "$program" ]; then kill -KILL "$program" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
fail() {
    echo "wordcount_kill.sh: $* (SEED=$seed)" >&2
    sed 's/^/err: /' "$dir/err" >&2 || true
    exit 1
}

tree=${3:-$dir/tree}
if [ $# -lt 3 ]; then
    mkdir "$tree"
    # Files of many sizes and one large one; words that are common, rare, and of one file only.
    awk -v dir="$tree" 'BEGIN {
        srand(7)
        for (file = 0; file < 400; file++) {
            path = dir "/" file
            lines = file == 200 ? 200000 : int(rand() * rand() * 6000)
            for (i = 0; i < lines; i++)
                print "the w" int(rand() * 50000), "of x" int(rand() * 100), "f" file "_" i > path
            close(path)
        }
    }'
fi

arguments=(--nodes 3 --loops 1 --top 50 --json ${EXTRA_ARGS:-} "$tree")
totals() { sed 's/"seconds":[^,}]*,\?//' "$dir/out"; }
workers() { # the children of $program
    local stat pid rest
    for stat in /proc/[0-9]*/stat; do
        { read -r pid rest <"$stat"; } 2>/dev/null || continue
        read -r _ parent _ <<<"${rest##*) }"
        if [ "$parent" = "$program" ]; then echo "$pid"; fi
    done
}

# Undisturbed: what comes out, and how long it takes.
began=$(date +%s%N)
"$wordcount" "${arguments[@]}" >"$dir/out" 2>"$dir/err" || fail "exit status $? undisturbed"
took=$(($(date +%s%N) - began))
expected=$(totals)
[ -n "$expected" ] || fail "no output"

hit=0
for round in $(seq "$count"); do
    "$wordcount" --verify "${arguments[@]}" >"$dir/out" 2>"$dir/err" &
    program=$!
    moment=$((took / 32768 * RANDOM))
    sleep "$(printf '%d.%09d' $((moment / 1000000000)) $((moment % 1000000000)))"
    mapfile -t pids < <(workers)
    if [ ${#pids[@]} -gt 0 ]; then
        kill -KILL "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null || true
    fi
    status=0
    wait "$program" || status=$?
    program=
    when=$((moment / 1000000))
    if [ $status -ne 0 ]; then fail "round $round: exit status $status, killed after $when ms"; fi
    if [ "$(totals)" != "$expected" ]; then
        fail "round $round: other totals, killed after $when ms: $(totals) instead of $expected"
    fi
    grep -q ' 0 differences' "$dir/err" || fail "round $round: not verified, killed after $when ms"
    if grep -q 'is lost' "$dir/err"; then hit=$((hit + 1)); fi
    [ -z "$(ls -A "$TMPDIR")" ] || fail "left in TMPDIR: $(ls -A "$TMPDIR")"
done
echo "wordcount_kill.sh: ok: $count of $count, a worker was lost in the middle of $hit (SEED=$seed)"
