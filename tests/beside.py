#!/usr/bin/env python3
"""Single events and pages beside a large import: one report of 700,000 findings is imported while events are due at a steady rate.

Usage: beside.py [--n 700000] [--rate 50] [--database-url postgres://…] [--binary target/release/affiant]
Each request is due at a time of its own (open loop); its latency counts from then. Asserted: every event is answered 201, their p99 is under 150 ms,
and no list shows a part of the import. Python 3.9 or later, nothing else.
"""
import argparse, concurrent.futures, http.client, json, os, subprocess, sys, tempfile, threading, time, urllib.parse

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('--n', type=int, default=700_000); parser.add_argument('--rate', type=float, default=50)
parser.add_argument('--database-url', default=''); parser.add_argument('--binary', default='target/release/affiant')
options = parser.parse_args()
folder = tempfile.TemporaryDirectory()
base = ['--data', folder.name] + (['--database-url', options.database_url] if options.database_url else [])
server = subprocess.Popen([options.binary, 'serve', '--listen', '127.0.0.1:0'] + base, stdout=subprocess.PIPE, text=True)
host = urllib.parse.urlsplit(server.stdout.readline().split()[-1]).netloc
server.stdout.readline()
token = subprocess.run([options.binary, 'token', 'create', '--role', 'admin'] + base, capture_output=True, text=True, check=True).stdout.strip()
connections = threading.local()

def call(method, path, body=None):
    c = getattr(connections, 'c', None)
    if c is None: c = connections.c = http.client.HTTPConnection(host, timeout=600)
    c.request(method, path, body, {'Authorization': 'Bearer ' + token, 'Content-Type': 'application/json'})
    answer = c.getresponse(); data = answer.read()
    return answer.status, json.loads(data) if data else None

def write_report(path, generation):
    with open(path, 'w') as out:
        out.write('{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"beside"}},"results":[')
        for k in range(options.n):
            # One in twenty is gone in the next generation, and another is there.
            name = k + (options.n if generation and k % 20 == 7 else 0)
            out.write((',' if k else '') + json.dumps({"ruleId": f"R{k % 80}", "message": {"text": f"Input reaches a query in module {name}, which lets an attacker change what it asks."},
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": f"src/module{name}/order.py"}, "region": {"startLine": 1 + k % 900}}}]}, separators=(',', ':')))
        out.write(']}]}')

P = '/api/v1/projects/beside'
assert call('POST', '/api/v1/projects', json.dumps({"slug": "beside", "name": "Beside"}))[0] == 201
latency, wrong, pages, counts = [], [], [], set()

def event(n, due):
    status, _ = call('POST', f'{P}/audit-events', json.dumps({"timestamp": "2026-11-20T09:30:00Z", "agent_id": f"bot{n % 40}", "action": "read", "resource": "ledger", "event_id": f"e{n}"}))
    latency.append(time.monotonic() - due)
    if status != 201: wrong.append(f'an event was answered {status}')

def page(due):
    status, found = call('GET', f'{P}/findings?state=open&limit=50')
    pages.append(time.monotonic() - due)
    if status != 200: wrong.append(f'a page was answered {status}')
    else: counts.add(len(found['items']))

def imported(path):
    status, job = call('POST', f'{P}/scans?asset=repo:beside&confirm=true', open(path, 'rb'))
    while job.get('kind') == 'import' and job['state'] in ('queued', 'running'):
        time.sleep(0.2); status, job = call('GET', f"{P}/jobs/{job['id']}")
        if status != 200: wrong.append(f'a look at the job was answered {status}'); job = {'kind': 'import', 'state': 'running', 'id': job.get('id')}
    return job.get('result') or job

def at(all, share): return round(sorted(all)[min(len(all) - 1, int(len(all) * share))] * 1000)

n = 0
for generation, name in enumerate(('first', 'again with 5 % changed')):
    path = os.path.join(folder.name, f'{generation}.sarif'); write_report(path, generation)
    latency.clear(); pages.clear(); counts.clear()
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        begun = time.monotonic(); future = pool.submit(imported, path); first = n
        while not future.done():
            due = begun + (n - first) / options.rate
            time.sleep(max(0, due - time.monotonic()))
            pool.submit(event, n, due)
            if n % 25 == 0: pool.submit(page, due)
            n += 1
        took = time.monotonic() - begun; result = future.result()
    os.remove(path)
    print(json.dumps({'import': name, 'findings': options.n, 'seconds': round(took, 1), 'a second': round(options.n / took), 'created': result.get('created'), 'closed': result.get('closed'),
        'events': len(latency), 'p50_ms': at(latency, .5), 'p99_ms': at(latency, .99), 'max_ms': at(latency, 1), 'pages_p50_ms': at(pages, .5), 'pages_max_ms': at(pages, 1), 'on_pages': sorted(counts)}), flush=True)
    if at(latency, .99) >= 150: wrong.append(f'p99 of events is {at(latency, .99)} ms')
    if not counts <= {0, 50}: wrong.append(f'a page shows a part: {counts}')
with open(f'/proc/{server.pid}/status') as status: peak = next(int(line.split()[1]) // 1024 for line in status if line.startswith('VmHWM'))
server.terminate(); server.wait()
print(json.dumps({'peak_mb': peak, 'wrong': wrong[:20]}))
sys.exit(1 if wrong else 0)
