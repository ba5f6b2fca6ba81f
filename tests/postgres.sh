# Sourced: starts a PostgreSQL server of our own on a free port, for as long as the script runs that sources this. Sets `work`, a folder that is
# removed at the end, and `AFFIANT_TEST_POSTGRES`. What else is to be ended goes into `also`.
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -1)")
work=$(mktemp -d); chmod 755 "$work"
also=()
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
finish() {
  [ ${#also[@]} -eq 0 ] || kill "${also[@]}" 2>/dev/null || true
  as "$bin/pg_ctl" -s -D "$work/db" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
port=$((20000 + RANDOM % 20000))
mkdir "$work/db"; [ "$(id -u)" != 0 ] || chown postgres "$work/db"
as "$bin/initdb" -D "$work/db" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
as "$bin/pg_ctl" -s -w -D "$work/db" -l "$work/db/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 ${POSTGRES_OPTIONS:-}" start
export AFFIANT_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port"
