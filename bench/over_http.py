#!/usr/bin/env python3
"""Imports, assesses, pages and events over HTTP on SQLite and, where it is given, PostgreSQL, each beside its limit in the same run.

Usage: over_http.py [--n 100000] [--postgres postgres://postgres@127.0.0.1:5432/bench] [--binary target/release/affiant]
The limit for imports is the bare load of the very rows that the import stored, staged and upserted, durable, into tables of the same columns and
indexes by the database's own means: SQLite through Python's driver, PostgreSQL by COPY. Python 3.9 or later, nothing else; psql for the latter.
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

BEHIND = ('finding_text', 'finding_search')  # filled behind an import, not by it

def bare_sqlite(folder, n):
    """Seconds to load the rows of the large tables once more, into a file of their own."""
    db = sqlite3.connect(os.path.join(folder, 'bare.sqlite')); db.execute('PRAGMA journal_mode=WAL'); db.execute('PRAGMA synchronous=FULL')
    db.execute("ATTACH ? AS was", (os.path.join(folder, 'affiant.sqlite'),)); took = 0
    names = [name for (name,) in db.execute("SELECT name FROM was.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'") if not name.startswith(BEHIND)]
    for name in names:
        data = db.execute(f'SELECT * FROM was."{name}"').fetchall()
        if len(data) < n / 2: continue
        for (sql,) in db.execute("SELECT sql FROM was.sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC", (name,)).fetchall(): db.execute(sql)
        marks = ','.join('?' * len(data[0])); t = time.time()
        with db:
            db.execute(f'CREATE TEMP TABLE s AS SELECT * FROM "{name}"'); db.executemany(f'INSERT INTO s VALUES({marks})', data)
            db.execute(f'INSERT INTO "{name}" SELECT * FROM s WHERE true ON CONFLICT DO NOTHING'); db.execute('DROP TABLE s')
        took += time.time() - t
        assert db.execute(f'SELECT count(*) FROM main."{name}"').fetchone()[0] == len(data)
    return took

def bare_postgres(url, n):
    def psql(sql, **more): return subprocess.run(['psql', '-qAt', url, '-v', 'ON_ERROR_STOP=1'], input=sql, text=True, check=True, capture_output=True, **more).stdout
    names = psql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name NOT LIKE 'finding_text%'").split(); took = 0
    for name in names:
        if int(psql(f'SELECT count(*) FROM "{name}"')) < n / 2: continue
        data = psql(f'COPY "{name}" TO STDOUT'); psql(f'CREATE TABLE bare (LIKE "{name}" INCLUDING ALL)'); t = time.time()
        psql('BEGIN; CREATE TEMP TABLE s (LIKE bare); COPY s FROM STDIN;\n' + data + '\\.\nINSERT INTO bare OVERRIDING SYSTEM VALUE SELECT * FROM s ON CONFLICT DO NOTHING; COMMIT;')
        took += time.time() - t; psql('DROP TABLE bare')
    return took

def event(i): return {"timestamp": "2026-05-01T10:00:00Z", "event_id": f"e{i}", "agent_id": f"agent-{hash(i) % 12}", "action": "data_read", "resource": "orders", "outcome": "success"}

def measure(name, server, first, second, n, bare):
    def timed(path, body):
        t, c = time.time(), server.cpu(); answer = server.call('POST', path, body)
        while isinstance(answer, dict) and answer.get('kind') == 'import' and answer['state'] in ('queued', 'running'):  # a large report is imported behind the answer
            time.sleep(0.1); answer = server.call('GET', f"/api/v1/projects/bench/jobs/{answer['id']}")
        if isinstance(answer, dict) and answer.get('kind') == 'import':
            assert answer['state'] == 'done', answer
            answer = answer['result']
        return time.time() - t, server.cpu() - c, answer
    push = '/api/v1/projects/bench/scans?asset=repo:bench&confirm=true'
    wall, cpu, _ = timed(push, open(first, 'rb').read())
    limit = bare()
    print(f"{name}: import of {n}: {n / wall:,.0f}/s ({n / cpu:,.0f} per CPU second of the server); its rows bare {n / limit:,.0f}/s; ratio of times {wall / limit:.2f}")
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
            try: measure(name, server, first, second, a.n, (lambda: bare_postgres(url, a.n)) if url else (lambda: bare_sqlite(data, a.n)))
            finally: server.stop()

main()
