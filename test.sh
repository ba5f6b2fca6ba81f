#!/usr/bin/env bash
# Installs what the tests need, by package name and only what is missing (Debian), then runs them all.
set -euo pipefail
cd "$(dirname "$0")"

need() { # need COMMAND-OR-FILE PACKAGE…
  local what=$1; shift
  if ! command -v "$what" >/dev/null 2>&1 && [ ! -e "$what" ]; then missing+=("$@"); fi
}
missing=()
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need initdb-of-debian postgresql
need chromium chromium
need qpdf qpdf
need pdftotext poppler-utils
need node nodejs npm
need cc gcc libc6-dev
need curl curl
need strace strace
need unshare util-linux
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing+=(faketime)
need openssl openssl
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3 python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  echo "installing: ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# A database server of our own, for as long as the tests run; they need not outlive a power cut.
POSTGRES_OPTIONS="-c fsync=off" . tests/postgres.sh

# An S3 server of our own.
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
if [ ! -x "$target/s3/bin/moto_server" ]; then
  python3 -m venv "$target/s3"
  "$target/s3/bin/pip" install --quiet --disable-pip-version-check 'moto[server]>=5,<6'
fi
s3_port=$((40000 + RANDOM % 20000))
"$target/s3/bin/python" "$target/s3/bin/moto_server" -H 127.0.0.1 -p "$s3_port" >"$work/s3.log" 2>&1 &
also+=($!)
export AFFIANT_TEST_S3="http://127.0.0.1:$s3_port"

# And one of Azure's.
if [ ! -x "$target/azurite/node_modules/.bin/azurite-blob" ]; then
  npm --prefix "$target/azurite" install --silent --no-audit --no-fund azurite@3
fi
azure_port=$((s3_port - 20000 + RANDOM % 100))
node "$target/azurite/node_modules/.bin/azurite-blob" --location "$work/azure" --blobHost 127.0.0.1 --blobPort "$azure_port" \
  --silent --skipApiVersionCheck --disableTelemetry >"$work/azure.log" 2>&1 &
also+=($!)
export AFFIANT_TEST_AZURE="http://127.0.0.1:$azure_port"

for port in "$s3_port" "$azure_port"; do
  for _ in $(seq 100); do
    "$target/s3/bin/python" -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null && break
    sleep 0.2
  done
done

cargo test --workspace --locked

if [ ! -x "$target/fuzz/bin/schemathesis" ]; then
  python3 -m venv "$target/fuzz"
  "$target/fuzz/bin/pip" install --quiet --disable-pip-version-check 'schemathesis>=4.32,<5'
fi
bash tests/fuzz/run.sh "$target/debug/affiant" "$target/fuzz/bin/schemathesis"

npm --prefix tests/browser ci --silent --no-audit --no-fund
node=node
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
  npm --prefix "$target/node" install --silent --no-audit --no-fund node@22
  node=$(find "$target/node/node_modules" -path '*/bin/node' -type f | head -1)
fi
"$node" tests/browser/run.mjs "$target/debug/affiant" "$target/shots"
"$node" tests/browser/sign_in.mjs "$target/debug/affiant" "$target/shots"
"$node" tests/browser/directory.mjs "$target/debug/affiant" "$target/shots"
