#!/usr/bin/env python3
"""Imports, assesses, pages and events over HTTP on SQLite and, where it is given, PostgreSQL, each beside its limit in the same run.

Usage: over_http.py [--n 100000] [--postgres postgres://postgres@127.0.0.1:5432/bench] [--binary target/release/affiant]
The limit for imports is the bare load of as many rows of the same size with a unique fingerprint, durable, by the database's own means:
SQLite through Python's driver, PostgreSQL by COPY into a staging table and an upsert. Python 3.9 or later, nothing else; psql for the latter.
"""
import argparse, concurrent.futures, hashlib, http.client, json, os, re, sqlite3, subprocess, tempfile, time, urllib.parse

def sarif(path, n, generation):
    """A report of n findings in five tools' runs; the next generation has one in twenty gone and one in twenty new."""
    with open(path, 'w') as out:
        out.write('{"version":"2.1.0","runs":[')
        for tool in range(5):
            rules = [{"id": f"T{tool}-{r}", "shortDescription": {"text": f"Rule {r}"}, "properties": {"security-severity": str(1 + r % 9), "tags": [f"CWE-{20 + r}"]}} for r in range(80)]
            out.write((',' if tool else '') + '{"tool":{"driver":{"name":"bench%d","rules":%s}},"results":[' % (tool, json.dumps(rules)))
            for k in range(n // 5):
                i = k + (n if generation and k % 20 == 7 else 0)
                r = k % 80
                out.write((',' if k else '') + json.dumps({"ruleId": f"T{tool}-{r}", "ruleIndex": r, "message": {"text": f"Input reaches a query in module {i}, which lets an attacker change what it asks."},
                    "locations": [{"physicalLocation": {"artifactLocation": {"uri": f"src/module{i}/order.py"}, "region": {"startLine": 1 + i % 900, "snippet": {"text": "cursor.execute(\"SELECT * FROM orders WHERE id = \" + order_id)"}}}}],
                    "fingerprints": {"primary/v1": hashlib.sha256(f"{tool}{i}".encode()).hexdigest()}}, separators=(',', ':')))
            out.write(']}')
        out.write(']}')

class Server:
    def __init__(self, binary, folder, url=None):
        base = ['--data', folder] + (['--database-url', url] if url else [])
        self.process = subprocess.Popen([binary, 'serve', '--listen', '127.0.0.1:0'] + base, stdout=subprocess.PIPE, text=True)
        self.host = urllib.parse.urlsplit(self.process.stdout.readline().split()[-1]).netloc
        self.process.stdout.readline()
        self.token = subprocess.run([binary, 'token', 'create', '--role', 'admin'] + base, capture_output=True, text=True, check=True).stdout.strip()
        self.call('POST', '/api/v1/projects', {"slug": "bench", "name": "Bench"})
    def call(self, method, path, body=None, connection=None):
        c = connection or http.client.HTTPConnection(self.host, timeout=600)
        if isinstance(body, (dict, list)): body = json.dumps(body)
        c.request(method, path, body, {'Authorization': 'Bearer ' + self.token, 'Content-Type': 'application/json'})
        answer = c.getresponse(); data = answer.read()
        assert answer.status < 300, (answer.status, data[:300])
        return json.loads(data) if data else None
    def peak(self):
        return int(re.search(r'VmHWM:\s+(\d+)', open(f'/proc/{self.process.pid}/status').read())[1]) // 1024
    def cpu(self):
        fields = open(f'/proc/{self.process.pid}/stat').read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    def stop(self): self.process.terminate(); self.process.wait()

def rows(n):
    for i in range(n):
        yield (hashlib.sha256(str(i).encode()).digest()[:16], os.urandom(16), i % 97, f"Rule {i % 80}", f"Input reaches a query in module {i}, which lets an attacker change what it asks.", f"src/module{i}/order.py", i)

def bare_sqlite(folder, n):
    db = sqlite3.connect(os.path.join(folder, 'bare.sqlite')); db.execute('PRAGMA journal_mode=WAL'); db.execute('PRAGMA synchronous=FULL')
    db.execute('CREATE TABLE f(fp BLOB, id BLOB, c INT, title TEXT, message TEXT, location TEXT, line INT, UNIQUE(fp))'); data = list(rows(n)); t = time.time()
    with db: db.executemany('INSERT INTO f VALUES(?,?,?,?,?,?,?) ON CONFLICT DO NOTHING', data)
    return n / (time.time() - t)

def bare_postgres(url, n):
    text = ''.join(f"\\\\x{a.hex()}\t\\\\x{b.hex()}\t{c}\t{d}\t{e}\t{f}\t{g}\n" for a, b, c, d, e, f, g in rows(n))
    sql = 'DROP TABLE IF EXISTS bare; CREATE TABLE bare(fp bytea UNIQUE, id bytea, c int, title text, message text, location text, line int);'
    subprocess.run(['psql', '-q', url, '-c', sql], check=True, capture_output=True); t = time.time()
    script = 'BEGIN; CREATE TEMP TABLE s(LIKE bare); COPY s FROM STDIN;\n' + text + '\\.\nINSERT INTO bare SELECT * FROM s ON CONFLICT (fp) DO NOTHING; COMMIT; DROP TABLE bare;\n'
    subprocess.run(['psql', '-q', url, '-v', 'ON_ERROR_STOP=1'], input=script, text=True, check=True, capture_output=True)
    return n / (time.time() - t)

def event(i): return {"timestamp": "2026-05-01T10:00:00Z", "event_id": f"e{i}", "agent_id": f"agent-{hash(i) % 12}", "action": "data_read", "resource": "orders", "outcome": "success"}

def measure(name, server, first, second, n, limit):
    def timed(path, body):
        t, c = time.time(), server.cpu(); answer = server.call('POST', path, body); return time.time() - t, server.cpu() - c, answer
    push = '/api/v1/projects/bench/scans?asset=repo:bench&confirm=true'
    wall, cpu, _ = timed(push, open(first, 'rb').read())
    print(f"{name}: import of {n}: {n / wall:,.0f}/s ({n / cpu:,.0f} per CPU second of the server); bare load {limit:,.0f}/s; ratio of times {limit / (n / wall):.2f}")
    wall, _, answer = timed(push, open(second, 'rb').read())
    print(f"{name}: again with 5 % changed: {n / wall:,.0f}/s ({answer['created']} new, {answer['closed']} closed)")
    wall, _, answer = timed(push, open(second, 'rb').read())
    print(f"{name}: the same bytes: {n / wall:,.0f}/s (unchanged: {answer['unchanged']})")
    for frameworks in (["pci-dss"], []):
        wall, _, _ = timed('/api/v1/projects/bench/assessments', {"frameworks": frameworks})
        print(f"{name}: assess {'one framework' if frameworks else 'all five'}: {wall * 1000:,.0f} ms")
    t = time.time(); server.call('GET', '/api/v1/projects/bench/findings?state=open&limit=50'); print(f"{name}: first page of open findings: {(time.time() - t) * 1000:.0f} ms")
    batches = [[event(b * 500 + k) for k in range(500)] for b in range(40)]
    t = time.time()
    for batch in batches: server.call('POST', '/api/v1/projects/bench/audit-events', batch)
    print(f"{name}: audit events in batches of 500: {20000 / (time.time() - t):,.0f}/s")
    def client(k):
        c = http.client.HTTPConnection(server.host, timeout=60); took = []
        for i in range(150):
            t = time.time(); server.call('POST', '/api/v1/projects/bench/audit-events', event(f"s{k}-{i}"), c); took.append(time.time() - t)
        return took
    t = time.time()
    with concurrent.futures.ThreadPoolExecutor(16) as pool: took = sorted(x for part in pool.map(client, range(16)) for x in part)
    print(f"{name}: single durable events, 16 clients: {len(took) / (time.time() - t):,.0f}/s, p99 {took[len(took) * 99 // 100] * 1000:.0f} ms")
    print(f"{name}: peak memory of the server {server.peak()} MB")

def main():
    p = argparse.ArgumentParser(); p.add_argument('--n', type=int, default=100_000); p.add_argument('--postgres'); p.add_argument('--binary', default='target/release/affiant'); a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first, second = os.path.join(folder, 'a.sarif'), os.path.join(folder, 'b.sarif')
        sarif(first, a.n, 0); sarif(second, a.n, 1)
        print(f"files of {os.path.getsize(first) / 1e6:.0f} MB, {os.cpu_count()} cores")
        t = time.time(); subprocess.run([a.binary, 'formats', 'check', first, '--json'], check=True, capture_output=True); print(f"command line: {a.n} findings to a summary in {time.time() - t:.2f} s")
        for name, url in (('SQLite', None), ('PostgreSQL', a.postgres)):
            if name == 'PostgreSQL' and not url: continue
            data = tempfile.mkdtemp(dir=folder); server = Server(a.binary, data, url)
            try: measure(name, server, first, second, a.n, bare_postgres(url, a.n) if url else bare_sqlite(data, a.n))
            finally: server.stop()

main()
