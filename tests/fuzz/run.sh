#!/usr/bin/env bash
# Fuzzes the API against its own description, with each role: no fault of the server, no answer that is not described.
# Usage: run.sh AFFIANT SCHEMATHESIS [EXAMPLES]
set -euo pipefail
affiant=$1 schemathesis=$2 examples=${3:-12}
here=$(cd "$(dirname "$0")" && pwd)
data=$(mktemp -d)
finish() { kill "$server" 2>/dev/null || true; rm -rf "$data"; }
trap finish EXIT
export AFFIANT_LIMITS_ANONYMOUS_PER_SECOND=1000000 AFFIANT_LIMITS_IDENTITY_PER_SECOND=1000000
"$affiant" serve --data "$data" --listen 127.0.0.1:0 >"$data/out" 2>"$data/log" &
server=$!
for _ in $(seq 100); do grep -q '^Affiant is at' "$data/out" && break; sleep 0.1; done
url=$(sed -n 's/^Affiant is at //p' "$data/out")
token() { "$affiant" token create --role "$1" --data "$data"; }
curl -sf -H "Authorization: Bearer $(token admin)" -H 'Content-Type: application/json' -d '{"slug": "payments", "name": "Payments"}' "$url/api/v1/projects" >"$data/project"
for role in admin compliance member auditor privacy ingest; do
  "$schemathesis" --config-file "$here/schemathesis.toml" run "$url/api/openapi.json" --max-examples "$examples" --seed 1 --workers 1 --no-color \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    -H "Authorization: Bearer $(token $role)" >"$data/$role" 2>&1 || { cat "$data/$role"; echo "as $role"; exit 1; }
  echo "fuzzed as $role: $(grep -m1 'generated, ' "$data/$role" | sed 's/^ *//')"
done
! grep -q ' panicked at ' "$data/log"
