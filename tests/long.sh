#!/usr/bin/env bash
# The rigs at full length, on a release build: crash rounds, events beside a large import, a million findings, a soak under a memory limit. About 60 minutes; the figures go
# into docs/PERFORMANCE.md. Needs what ./test.sh installs.
#
# Usage: tests/long.sh [crashes|beside|million|soak]…      all of them, where none is named
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- crashes beside million soak

. tests/postgres.sh
cargo build --release --locked
target=${CARGO_TARGET_DIR:-target}
for rig in "$@"; do
  echo "== $rig"
  case "$rig" in
    crashes) AFFIANT_CRASH_ROUNDS=60 cargo test --release --workspace --locked --test it crashes -- --nocapture ;;
    beside) for url in "" "$AFFIANT_TEST_POSTGRES/postgres"; do python3 tests/beside.py --binary "$target/release/affiant" --database-url "$url"; done ;;
    million) python3 bench/over_http.py --binary "$target/release/affiant" --n 1000000 ;;
    soak) for url in "" "$AFFIANT_TEST_POSTGRES/postgres"; do python3 tests/soak.py --binary "$target/release/affiant" --database-url "$url"; done ;;
    *) echo "unknown rig $rig: crashes, beside, million or soak" >&2; exit 2 ;;
  esac
done
