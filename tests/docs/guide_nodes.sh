#!/bin/bash
# The guide's third step: helper and boss as two processes, and a helper that is killed.
set -euo pipefail
primes=$1/tests/docs/primes_3
if [[ ! -x $primes ]]; then
    echo "skipped: built without the transport layer"
    exit 0
fi
dir=$(mktemp -d)
helper=
cleanup() {
    if [[ -n $helper ]]; then kill -KILL "$helper" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "FAIL: $*"; cat "$dir"/*.out; exit 1; }

start_helper() {
    "$primes" "ipc://$dir/helper" >"$dir/helper.out" 2>&1 &
    helper=$!
    for _ in $(seq 100); do
        if grep -q '^helper: ready$' "$dir/helper.out"; then return; fi
        sleep 0.1
    done
    fail "the helper is not ready"
}

start_helper
"$primes" "ipc://$dir/boss" "ipc://$dir/helper" >"$dir/boss.out" || fail "the boss ended with status $?"
diff -u "$1/tests/docs/primes_3.expected" "$dir/boss.out"

# Ctrl-C is its ordinary end.
kill -INT "$helper"
status=0
wait "$helper" || status=$?
helper=
[[ $status -eq 0 ]] || fail "the helper ended with status $status"

# Stopped for ever: the boss learns it after its .down_after, not after the ask's minute.
start_helper
kill -STOP "$helper"
SECONDS=0
status=0
"$primes" "ipc://$dir/boss" "ipc://$dir/helper" >"$dir/boss.out" 2>&1 || status=$?
[[ $status -eq 1 ]] || fail "the boss ended with status $status"
[[ $SECONDS -lt 40 ]] || fail "it took the boss $SECONDS seconds"
grep -qE 'TR_E(TIMEOUT|NODEDOWN|NOTLINKED)' "$dir/boss.out" || fail "the boss doesn't say what happened"
