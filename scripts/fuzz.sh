#!/usr/bin/env bash
# fuzz.sh: runs every fuzz target of the main module for $FUZZTIME (default 2s), one after
# the other. A crasher is left in testdata/fuzz; commit it with the fix. Fuzzing builds
# every dependency once more, so the package that links the Collector is left to
# PHAROS_LONG=1; its corpus runs with the ordinary tests.
set -euo pipefail
targets=$(grep -roE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]*' cmd internal test | sed -E 's/:func /:/')
n=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
while IFS=: read -r file name; do
  [ -n "$file" ] || continue
  [[ "$file" != internal/pipeline/* || -n "${PHAROS_LONG:-}" ]] || continue
  echo "fuzz $(dirname "$file") $name"
  if ! go test -tags "${TAGS:-}" -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-2s}" "./$(dirname "$file")" > "$log" 2>&1; then
    # When the time is up in the middle of an input, go test calls that a failure of the
    # target (a known fault of go test); a real one names its input or panics.
    if ! grep -q 'context deadline exceeded' "$log" || grep -qE 'Failing input|panic:' "$log"; then
      cat "$log"
      exit 1
    fi
  fi
  n=$((n+1))
done <<< "$targets"
echo "fuzz: $n targets"
