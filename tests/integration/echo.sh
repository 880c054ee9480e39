#!/bin/bash
# The echo example from outside: what it prints, what it sends back, how it ends.
set -euo pipefail
build=${1:-${TROUPE_BUILD:?"usage: echo.sh BUILD_DIR"}}
echo=$build/examples/echo
dir=$(mktemp -d)
server=
cleanup() {
    if [ -n "$server" ]; then kill -KILL "$server" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
fail() {
    echo "echo.sh: $*" >&2
    sed 's/^/server: /' "$dir"/out "$dir"/err >&2 || true
    exit 1
}

# start ARGUMENT...: sets server and port
start() {
    : >"$dir/out" >"$dir/err"
    "$echo" --port 0 "$@" >"$dir/out" 2>"$dir/err" &
    server=$!
    for _ in $(seq 100); do
        port=$(sed -n 's/^listening on 127\.0\.0\.1:\([0-9][0-9]*\)$/\1/p' "$dir/out")
        if [ -n "$port" ]; then return; fi
        sleep 0.1
    done
    fail "did not say where it listens"
}

# stop SIGNAL: must end with 0 within two seconds
stop() {
    local status=0 began ended
    began=$(date +%s%N)
    kill "-$1" "$server"
    wait "$server" || status=$?
    ended=$(date +%s%N)
    server=
    if [ "$status" -ne 0 ]; then fail "exit status $status after SIG$1"; fi
    if [ $(((ended - began) / 1000000)) -ge 2000 ]; then fail "took over 2 s to end after SIG$1"; fi
}

# ask FD TEXT: one line there and back
ask() {
    local answer
    printf '%s\n' "$2" >&"$1"
    IFS= read -r -t 10 answer <&"$1" || fail "no answer to '$2'"
    if [ "$answer" != "$2" ]; then fail "answer to '$2' is '$answer'"; fi
}

# ---- wrong arguments: 2, and a message with parameter, value and what was expected
reject() {
    local expected=$1 status=0
    shift
    : >"$dir/out"
    timeout 10 "$echo" "$@" >"$dir/out" 2>"$dir/err" || status=$?
    if [ "$status" -ne 2 ]; then fail "'$*' gave exit status $status, expected 2"; fi
    grep -qF -- "$expected" "$dir/err" || fail "'$*' did not say: $expected"
}
reject "--port is 'abc': expected 0 to 65535" --port abc
reject "--port is '65536': expected 0 to 65535" --port 65536
reject "--port is '': expected 0 to 65535" --port ''
reject "--max-connections is '0': expected 1 to" --max-connections 0
reject "--idle-seconds is '1x': expected 1 to" --idle-seconds 1x
reject "--port has no value: expected" --port
reject "--frobnicate is not an option: expected" --frobnicate
reject "surplus is one argument too many: expected" surplus

# ---- text, several connections at once, 1 MiB
start
exec 3<>"/dev/tcp/127.0.0.1/$port" 4<>"/dev/tcp/127.0.0.1/$port" 5<>"/dev/tcp/127.0.0.1/$port"
for round in 1 2 3; do
    for fd in 5 3 4; do ask "$fd" "round $round on $fd"; done
done
head -c 1048576 /dev/urandom >"$dir/sent"
cat "$dir/sent" >&3 &
writer=$!
timeout 30 head -c 1048576 <&3 >"$dir/received" || fail "1 MiB did not come back"
wait "$writer"
cmp "$dir/sent" "$dir/received" || fail "1 MiB came back changed"

# ---- the port is taken: a message, not a crash
status=0
timeout 10 "$echo" --port "$port" >"$dir/out2" 2>"$dir/err2" || status=$?
if [ "$status" -ne 1 ] || ! grep -q "can't listen on port $port" "$dir/err2"; then
    fail "a second server on the same port: exit status $status, $(cat "$dir/err2")"
fi

# ---- Ctrl-C with connections open: their other ends see the end of the stream
stop INT
for fd in 3 4 5; do
    if IFS= read -r -t 5 _ <&"$fd"; then fail "data after the end"; fi
done
exec 3>&- 4>&- 5>&-
if [ -s "$dir/err" ]; then fail "said something at an ordinary end"; fi

# ---- two at once: the third waits until one has ended; idle ones are given up
start --max-connections 2 --idle-seconds 2
exec 3<>"/dev/tcp/127.0.0.1/$port" 4<>"/dev/tcp/127.0.0.1/$port"
ask 3 "one"
ask 4 "two"
exec 5<>"/dev/tcp/127.0.0.1/$port"
printf 'three\n' >&5
if IFS= read -r -t 0.5 _ <&5; then fail "served three at once, the limit is two"; fi
exec 3>&-
IFS= read -r -t 10 answer <&5 || fail "the third was not served after the first had ended"
if [ "$answer" != three ]; then fail "answer to 'three' is '$answer'"; fi
began=$(date +%s%N)
if IFS= read -r -t 10 _ <&5; then fail "data from nowhere"; fi
if [ $((($(date +%s%N) - began) / 1000000)) -ge 8000 ]; then fail "an idle connection was kept"; fi
exec 4>&- 5>&-
stop TERM
echo "echo.sh: ok"
