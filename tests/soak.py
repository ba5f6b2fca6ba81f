#!/usr/bin/env python3
"""A soak: a mixed load on one server under a memory limit, for 20 minutes, with what is promised asserted at the end.

Usage: soak.py --binary target/release/affiant [--database-url postgres://…] [--minutes 20] [--megabytes 512]
Each request is due at a time of its own (open loop), so that a server that stalls cannot hide behind clients that wait; its latency counts from
then. Asserted: no answer but 2xx (and 503 under 0.1 %), p99 of single events under 150 ms, memory under the limit, its mean over the last half within
5 % of the mean of the minute in the middle, descriptors flat. As root the limit is a memory cgroup, so that the kernel ends a server that
goes over; else it is only measured. Python 3.9 or later, nothing else.
"""
import argparse, collections, concurrent.futures, http.client, json, multiprocessing, os, random, statistics, subprocess, sys, tempfile, time, urllib.parse, uuid

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('--binary', default='target/release/affiant'); parser.add_argument('--database-url', default='')
parser.add_argument('--minutes', type=float, default=20); parser.add_argument('--megabytes', type=int, default=512)
parser.add_argument('--rate', type=float, default=60, help='requests a second')
options = parser.parse_args()
random.seed(12)

def group(megabytes):
    """A memory cgroup of version 2 or 1; none where there may be none."""
    for parent, limit in (('/sys/fs/cgroup', 'memory.max'), ('/sys/fs/cgroup/memory', 'memory.limit_in_bytes')):
        folder = os.path.join(parent, f'soak-{os.getpid()}')
        try:
            os.mkdir(folder)
            if not os.path.exists(os.path.join(folder, limit)): raise OSError('no cgroups are mounted here')
            with open(os.path.join(folder, limit), 'w') as out: out.write(str(megabytes << 20))
            return folder
        except OSError:
            if os.path.isdir(folder): os.rmdir(folder)
    return None

folder = tempfile.TemporaryDirectory()
base = ['--data', folder.name] + (['--database-url', options.database_url] if options.database_url else [])
cgroup = group(options.megabytes)
def enter():
    if cgroup:
        with open(os.path.join(cgroup, 'cgroup.procs'), 'w') as out: out.write(str(os.getpid()))
server = subprocess.Popen([options.binary, 'serve', '--listen', '127.0.0.1:0'] + base, stdout=subprocess.PIPE, text=True, preexec_fn=enter)
host = urllib.parse.urlsplit(server.stdout.readline().split()[-1]).netloc
server.stdout.readline()
token = subprocess.run([options.binary, 'token', 'create', '--role', 'admin'] + base, capture_output=True, text=True, check=True).stdout.strip()

def sarif(n, seed):
    results = [{"ruleId": f"R{k % 40}", "message": {"text": f"Input reaches a query in module {seed}-{k}"},
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": f"src/m{k}.py"}, "region": {"startLine": 1 + k % 500}}}]} for k in range(n)]
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "soak"}}, "results": results}]})

def event():
    return {"timestamp": "2026-11-20T09:30:00Z", "user_id": f"user{random.randrange(500)}", "agent_id": f"bot{random.randrange(40)}",
            "action": random.choice(["read", "data_export", "model_update"]), "resource": "ledger", "event_id": str(uuid.uuid4()), "compliance_tags": ["SOX"]}

P = '/api/v1/projects/soak'
KINDS = {
    'event': (600, lambda n: ('POST', f'{P}/audit-events', json.dumps(event()))),
    'batch': (20, lambda n: ('POST', f'{P}/audit-events', json.dumps([event() for _ in range(200)]))),
    'many events': (1, lambda n: ('POST', f'{P}/audit-events', json.dumps([event() for _ in range(20000)]))),
    'scan': (8, lambda n: ('POST', f'{P}/scans?asset=repo:a{n % 30}&confirm=true', sarif(300, n % 3))),
    'large scan': (1, lambda n: ('POST', f'{P}/scans?asset=repo:large&confirm=true', sarif(8000, n % 2))),
    'overview': (60, lambda n: ('GET', '/p/soak', None)),
    'findings': (60, lambda n: ('GET', f'{P}/findings?severity=high&limit=50', None)),
    'events': (60, lambda n: ('GET', f'{P}/audit-events?risk=HIGH&limit=50', None)),
    'assess': (2, lambda n: ('POST', f'{P}/assessments', json.dumps({"frameworks": ["sox"]}))),
    'report': (1, lambda n: ('POST', f'{P}/reports', json.dumps({"framework": "sox", "period": "2026-Q4"}))),
}
# Bodies that take long to make are made by a process of their own: its work would count as the server's latency.
LARGE = ['batch', 'many events', 'scan', 'large scan']
def make(kind, ready):
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    random.seed()
    for n in __import__('itertools').count(): ready.put(KINDS[kind][1](n))
ready = {kind: multiprocessing.Queue(40 if kind == 'batch' else 4) for kind in LARGE}
makers = [multiprocessing.Process(target=make, args=(kind, ready[kind]), daemon=True) for kind in LARGE]
for maker in makers: maker.start()
def request(kind, n): return ready[kind].get() if kind in ready else KINDS[kind][1](n)

names, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
latency, codes = collections.defaultdict(list), collections.defaultdict(collections.Counter)
connections = __import__('threading').local()

def send(method, path, body, key=None):
    headers = {'Authorization': 'Bearer ' + token, 'Content-Type': 'application/json'}
    if key: headers['Idempotency-Key'] = key
    for again in (False, True):
        c = getattr(connections, 'c', None)
        if c is None: c = connections.c = http.client.HTTPConnection(host, timeout=60)
        try:
            c.request(method, path, body, headers); answer = c.getresponse(); answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            connections.c = None
            if again: return 0

assert send('POST', '/api/v1/projects', json.dumps({"slug": "soak", "name": "Soak"})) == 201

def fire(n, due, name):
    asked = request(name, n)
    status = send(*asked, key=str(uuid.uuid4()) if asked[0] == 'POST' else None)
    latency[name].append(time.monotonic() - due); codes[name][status] += 1

def seen():
    with open(f'/proc/{server.pid}/status') as status:
        memory = next(int(line.split()[1]) / 1024 for line in status if line.startswith('VmRSS'))
    return memory, len(os.listdir(f'/proc/{server.pid}/fd'))

begun, watched, n = time.monotonic(), [], 0
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    while time.monotonic() - begun < options.minutes * 60 and server.poll() is None:
        due = begun + n / options.rate
        time.sleep(max(0, due - time.monotonic()))
        name = random.choices(names, weights)[0]
        pool.submit(fire, n, due, name)
        n += 1
        if n % int(options.rate * 5) == 0: watched.append((time.monotonic() - begun, *seen()))
for maker in makers: maker.kill()
ended = server.poll()
server.terminate(); server.wait()
if cgroup: os.rmdir(cgroup)

wrong = []
if ended is not None: wrong.append(f'the server ended with {ended}')
total = sum(sum(one.values()) for one in codes.values())
refused = sum(one[503] for one in codes.values())
other = {name: dict(one) for name, one in codes.items() if any(not 200 <= code < 300 and code != 503 for code in one)}
if other: wrong.append(f'answers: {other}')
if refused > total / 1000: wrong.append(f'{refused} of {total} answered 503')
def p99(all): return sorted(all)[int(len(all) * .99)] * 1000
if p99(latency['event']) >= 150: wrong.append(f"p99 of events is {p99(latency['event']):.0f} ms")
half = options.minutes * 30
middle = [memory for at, memory, _ in watched if half - 30 <= at < half + 30]
last = [memory for at, memory, _ in watched if at >= half]
peak = max(memory for _, memory, _ in watched)
if peak > options.megabytes: wrong.append(f'{peak:.0f} MB')
if middle and statistics.mean(last) > statistics.mean(middle) * 1.05: wrong.append(f'memory grew from {statistics.mean(middle):.0f} to {statistics.mean(last):.0f} MB')
files = [count for _, _, count in watched]
if max(files[len(files) // 2:]) > max(files[:len(files) // 2]) + 8: wrong.append(f'descriptors grew to {max(files)}')
print(json.dumps({'database': 'postgresql' if options.database_url else 'sqlite', 'minutes': options.minutes, 'requests': total, 'refused': refused, 'peak_mb': round(peak),
    'middle_mb': round(statistics.mean(middle)) if middle else None, 'last_half_mb': round(statistics.mean(last)) if last else None, 'descriptors': max(files),
    'p99_ms': {name: round(p99(all)) for name, all in sorted(latency.items())}, 'wrong': wrong}))
sys.exit(1 if wrong else 0)
