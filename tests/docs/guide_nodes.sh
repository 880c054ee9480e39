#!/bin/bash
# The guide's third step: helper and boss as two processes, and a helper that is killed.
set -euo pipefail
primes=$1/tests/docs/primes_3
if [[ ! -e $primes.c ]]; then
    echo "skipped: built without the transport layer"
    exit 0
fi
dir=$(mktemp -d)
helper= guard=
cleanup() {
    for pid in $helper $guard; do kill -KILL "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "FAIL: $*"; tail -n 20 "$dir"/*.out "$dir"/*.err; exit 1; }
wait_for() { # wait_for PATTERN FILE
    for _ in $(seq 200); do
        if grep -q "$1" "$2"; then return; fi
        sleep 0.1
    done
    return 1
}

start_helper() {
    "$primes" "ipc://$dir/helper" >"$dir/helper.out" 2>"$dir/helper.err" &
    helper=$!
    wait_for '^helper: ready$' "$dir/helper.out" || fail "the helper is not ready"
}

start_helper
"$primes" "ipc://$dir/boss" "ipc://$dir/helper" >"$dir/boss.out" 2>"$dir/boss.err" ||
    fail "the boss ended with status $?"
diff -u "$1/tests/docs/primes_3.expected" "$dir/boss.out"

# The guard notices that the helper is killed.
"$1/tests/docs/guard" "ipc://$dir/guard" "ipc://$dir/helper" >"$dir/guard.out" 2>"$dir/guard.err" &
guard=$!
wait_for '^watching$' "$dir/guard.out" || fail "the guard doesn't watch"
kill -KILL "$helper"
wait "$helper" 2>/dev/null || true
helper=
wait_for '^the resident is gone' "$dir/guard.out" || fail "the guard didn't notice"
diff -u "$1/tests/docs/guard.expected" "$dir/guard.out"
kill -INT "$guard"
wait "$guard" || fail "the guard ended with status $?"
guard=

# Ctrl-C is the helper's ordinary end.
start_helper
kill -INT "$helper"
wait "$helper" || fail "the helper ended with status $?"
helper=
