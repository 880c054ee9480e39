#!/bin/bash
# docs/cancellation.md has a row for each function with a @cancel line, with what that line says.
set -euo pipefail
cd "$(dirname "$0")/../.."
declared=$(cat core/include/troupe/core/*.h actors/include/troupe/actors/*.h transport/include/troupe/transport/*.h |
    awk '
        / @cancel / { sub(/.* @cancel +/, ""); text = $0 }
        text != "" && /^TR_API/ {
            match($0, /tr_[a-z_]+\(/)
            name = substr($0, RSTART, RLENGTH - 1)
            sub(/_(message|types|with)$/, "", name) # the short form is a macro
            print name " | " text
            text = ""
        }' | sort)
documented=$(sed -nE 's/^\| `(tr_[a-z_]+)` \| ([^|]*[^| ]) \|$/\1 | \2/p' docs/cancellation.md | sort)
[[ -n $declared ]] || { echo "FAIL: no @cancel line found in the headers"; exit 1; }
diff -u --label headers --label docs/cancellation.md <(echo "$declared") <(echo "$documented")
