#!/usr/bin/env bash
# Fuzzes a target for some seconds, from the fixtures as seeds. Usage: run.sh readers|declared [seconds]. Wants cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1 seconds=${2:-60}
if [ "$target" = readers ] && [ ! -d fuzz/corpus/readers ]; then
  mkdir -p fuzz/corpus/readers
  n=0
  find tests/fixtures -type f ! -name '*.expected.json' | sort | while read -r file; do
    printf '%b' "\\x$(printf '%02x' $((n % 64)))\\x10" | cat - "$file" > "fuzz/corpus/readers/$n"
    n=$((n + 1))
  done
fi
RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer "${SANITIZER:-none}" "$target" -- \
  -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
