#!/bin/bash
# The guide's TCP echo server: two connections at once, then Ctrl-C.
set -euo pipefail
dir=$(mktemp -d)
server=
cleanup() {
    if [[ -n $server ]]; then kill -KILL "$server" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "FAIL: $*"; cat "$dir/out"; exit 1; }

"$1/tests/docs/echo" >"$dir/out" 2>&1 &
server=$!
port=
for _ in $(seq 100); do
    port=$(sed -n 's/^port \([0-9]*\)$/\1/p' "$dir/out")
    if [[ -n $port ]]; then break; fi
    sleep 0.1
done
[[ -n $port ]] || fail "it did not say where it listens"
exec 3<>"/dev/tcp/127.0.0.1/$port" 4<>"/dev/tcp/127.0.0.1/$port"
for fd in 4 3 4; do
    echo "hello on $fd" >&"$fd"
    IFS= read -r -t 10 answer <&"$fd" || fail "no answer"
    [[ $answer == "hello on $fd" ]] || fail "the answer was '$answer'"
done
exec 4>&-
kill -INT "$server"
status=0
wait "$server" || status=$?
server=
[[ $status -eq 0 ]] || fail "it ended with status $status"
