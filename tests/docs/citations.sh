#!/bin/bash
# What the documentation points to is there: files of links and in backquotes, and tests cited as
# `tests/LAYER/FILE.c: NAME`.
set -euo pipefail
cd "$(dirname "$0")/../.."
failed=0
complain() { echo "FAIL: $1"; failed=1; }

for document in README.md docs/*.md docs/decisions/*.md; do
    while IFS= read -r target; do
        [[ -e $(dirname "$document")/$target ]] || complain "$document links to $target"
    done < <(grep -oE '\]\([^)#:]+' "$document" | sed 's/^](//')
    while IFS= read -r file; do
        [[ -e $file ]] || complain "$document names $file"
    done < <(grep -oE '`(core|actors|transport|tests|docs|cmake|scripts|examples|bench)/[A-Za-z0-9_./-]+' \
        "$document" | tr -d '`')
    while IFS= read -r citation; do
        file=${citation%%:*} name=${citation#*: }
        # A test, or a macro that makes several.
        grep -qE "^[A-Z_]+\((\w+, *)?$name\b" "$file" || complain "$document cites $citation"
    done < <(grep -oE '`tests/[A-Za-z0-9_./-]+\.c: \w+' "$document" | tr -d '`')
done
exit $failed
