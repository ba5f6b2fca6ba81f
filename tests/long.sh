#!/usr/bin/env bash
# The rigs at full length, on a release build: crash rounds, events beside a large import, a million findings, a soak under a memory limit. About 60 minutes; the figures go
# into docs/PERFORMANCE.md. Needs what ./test.sh installs.
#
# Usage: tests/long.sh [crashes|beside|million|soak]…      all of them, where none is named
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- crashes beside million soak

bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)")
work=$(mktemp -d); chmod 755 "$work"
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
finish() {
  as "$bin/pg_ctl" -s -D "$work/db" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
port=$((20000 + RANDOM % 20000))
mkdir "$work/db"; [ "$(id -u)" != 0 ] || chown postgres "$work/db"
as "$bin/initdb" -D "$work/db" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
as "$bin/pg_ctl" -s -w -D "$work/db" -l "$work/db/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200" start
export AFFIANT_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port"

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
