#!/usr/bin/env bash
# gotest.sh ARGS: go test ARGS, printing packages and failures only, and a last line
# "N passed, N failed" that counts tests and subtests' parents once.
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test -json "$@" > "$log"
status=$?
# The JSON events are one a line; package results and the output of failed tests are shown.
node -e '
const fs = require("fs");
const out = new Map(); let passed = 0, failed = 0, skipped = 0; const bad = [];
for (const line of fs.readFileSync(process.argv[1], "utf8").split("\n")) {
  if (!line.startsWith("{")) { if (line) console.log(line); continue; }
  const e = JSON.parse(line);
  if (e.Action === "build-output") { process.stdout.write(e.Output); continue; }
  const key = e.Package + " " + (e.Test || "");
  if (e.Action === "output") { if (!out.has(key)) out.set(key, []); out.get(key).push(e.Output); continue; }
  if (e.Test && !e.Test.includes("/")) {
    if (e.Action === "pass") passed++;
    if (e.Action === "fail") { failed++; bad.push(key); }
    if (e.Action === "skip") { skipped++; for (const o of out.get(key) || []) if (!/^(===|---)/.test(o)) process.stdout.write("skip: " + o.trimStart()); }
  }
  if (e.Test && e.Test.includes("/") && e.Action === "fail") bad.push(key);
  if (!e.Test && (e.Action === "pass" || e.Action === "fail")) {
    console.log((e.Action === "pass" ? "ok    " : "FAIL  ") + e.Package + " " + e.Elapsed + "s");
    if (e.Action === "fail") { for (const k of [...bad, key]) if (k.startsWith(e.Package + " ")) process.stdout.write((out.get(k) || []).join("")); }
  }
  if (e.Action !== "run" && e.Test) out.delete(e.Action === "fail" ? "" : key);
}
console.log(`go: ${passed} passed, ${failed} failed, ${skipped} skipped`);
' "$log"
exit $status
