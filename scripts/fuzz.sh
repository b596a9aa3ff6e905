#!/usr/bin/env bash
# fuzz.sh: runs every fuzz target of the main module for $FUZZTIME (default 2s), one after
# the other. A crasher is left in testdata/fuzz; commit it with the fix. Fuzzing builds
# every dependency once more, so the package that links the Collector is left to
# PHAROS_LONG=1; its corpus runs with the ordinary tests.
set -euo pipefail
targets=$(grep -roE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]*' cmd internal test | sed -E 's/:func /:/')
n=0
while IFS=: read -r file name; do
  [ -n "$file" ] || continue
  [[ "$file" != internal/pipeline/* || -n "${PHAROS_LONG:-}" ]] || continue
  echo "fuzz $(dirname "$file") $name"
  go test -tags "${TAGS:-}" -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-2s}" "./$(dirname "$file")" > /tmp/pharos-fuzz.$$ 2>&1 || { cat /tmp/pharos-fuzz.$$; rm -f /tmp/pharos-fuzz.$$; exit 1; }
  n=$((n+1))
done <<< "$targets"
rm -f /tmp/pharos-fuzz.$$
echo "fuzz: $n targets"
