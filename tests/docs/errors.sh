#!/bin/bash
# docs/errors.md has a row for each error of error.h, with its number and sentence, in the same order,
# and no other.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
declared=$(sed -nE 's/^ *X\((TR_[A-Z]+), *(-[0-9]+), *"([^"]*)"\).*/\1 \2 \3/p' \
    "$root/core/include/troupe/core/error.h")
documented=$(sed -nE 's/^\| `(TR_[A-Z]+)` \| (-[0-9]+) \| ([^|]*) \|.*/\1 \2 \3/p' "$root/docs/errors.md")
[[ -n $declared ]] || { echo "FAIL: no error found in error.h"; exit 1; }
diff -u --label error.h --label docs/errors.md <(echo "$declared") <(echo "$documented")
