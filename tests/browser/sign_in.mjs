// Signs people in and out in Chromium, against a real provider: who may see what, what a provider ends, and tokens that are wrong in one
// way each. Usage: node sign_in.mjs AFFIANT [SCREENSHOT_FOLDER]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { startProvider, WRONG_TOKENS } from './provider.mjs';

const [binary, shots = path.join(os.tmpdir(), 'affiant-shots')] = process.argv.slice(2);
fs.mkdirSync(shots, { recursive: true });
const data = fs.mkdtempSync(path.join(os.tmpdir(), 'affiant-sign-in-'));
const secret = 'only-for-tests-only-for-tests-only-for';
let passed = 0;
const failures = [];
const check = (name, good, detail = '') => {
  if (good) passed += 1;
  else { failures.push(name); console.error(`FAIL ${name}: ${detail}`); }
};
const freePort = () => new Promise((done) => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => done(port)); }); });

const port = await freePort();
const base = `http://127.0.0.1:${port}`;
const provider = await startProvider({ secret, clients: [{ id: 'affiant', base }] });
const config = path.join(data, 'affiant.toml');
fs.writeFileSync(config, `
[server]
public_url = "${base}"
[session]
renew_seconds = 1
[[provider]]
name = "corp"
title = "Corporate sign-in"
issuer = "${provider.issuer}"
client_id = "affiant"
client_secret = "env:CLIENT_SECRET"
scopes = ["profile", "email", "groups", "offline_access"]
admin_groups = ["affiant-admins"]
[[workload]]
name = "forge"
issuer = "${provider.issuer}"
audience = "affiant-ci"
rules = [{ project = "payments", claims = { repository = "acme/payments", ref = "refs/heads/*" } }]
`);
const server = spawn(binary, ['serve', '--data', data, '--listen', `127.0.0.1:${port}`, '--config', config], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, CLIENT_SECRET: secret, AFFIANT_SERVER_BREAK_GLASS: 'true' } });
process.on('exit', () => { server.kill('SIGTERM'); fs.rmSync(data, { recursive: true, force: true }); });
const said = [];
for await (const line of readline.createInterface({ input: server.stdout })) { said.push(line); if (said.length === 2) break; }
check('with a provider no link is printed', !said.join(' ').includes('/sign-in/'), said.join(' '));

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((f) => fs.existsSync(f));
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
const heading = (page) => page.locator('h1').textContent();
const visit = async () => {
  const page = await (await browser.newContext()).newPage();
  page.on('dialog', (dialog) => { check('no dialog opens', false, dialog.message()); dialog.dismiss(); });
  page.on('pageerror', (error) => check('no script fails', false, error.message));
  return page;
};
const arrive = async (who, to = '/') => {
  const page = await visit();
  await page.goto(base + to);
  await page.getByRole('link', { name: 'Sign in with Corporate sign-in' }).click();
  await page.locator(`#${who}`).click();
  await page.waitForURL(`${base}/**`);
  return page;
};
const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const look = async (page, name) => {
  await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const wrong = violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id} at ${v.nodes[0].target.join(' ')}`);
  check(`everybody can use the page ${name}`, wrong.length === 0, wrong.join('; '));
};
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const api = async (page, method, to, body) => {
  const response = await page.request.fetch(base + to, { method, data: body, headers: { 'sec-fetch-site': 'same-origin' } });
  return { status: response.status(), body: await response.json().catch(() => null) };
};

// The door.
const stranger = await visit();
await stranger.goto(`${base}/p/payments`);
check('a stranger is asked to sign in', await heading(stranger) === 'Sign in');
await look(stranger, 'sign-in');

await stranger.goto(`${base}/emergency`);
await look(stranger, 'emergency');

// An administrator by group.
const ann = await arrive('ann');
check('an administrator sees all projects', await heading(ann) === 'All projects', await heading(ann));
const cookies = await ann.context().cookies();
const session = cookies.find((c) => c.name === '__Host-affiant_session');
check('the cookie is for this host, for no script, for no plain connection', session?.httpOnly && session.secure && session.sameSite === 'Lax' && session.path === '/', JSON.stringify(session));
check('nothing is left of the attempt', cookies.filter((c) => c.domain === '127.0.0.1' && c.name.startsWith('__Host-affiant_sign_in')).length === 0);
for (const slug of ['payments', 'secret']) await api(ann, 'POST', '/api/v1/projects', { slug, name: slug });

// Somebody without a role; then a member by group, in one project.
const bob = await arrive('bob', '/p/payments');
check('who has no role sees nothing', await heading(bob) === 'No role yet', await heading(bob));
await look(bob, 'no-role');
await ann.goto(`${base}/people`);
await ann.getByLabel('Group of the provider').fill('payments-team');
await ann.getByLabel('Where').selectOption('payments');
await ann.getByRole('button', { name: 'Give it' }).click();
await look(ann, 'people');
await bob.goto(`${base}/p/payments/findings`);
check('a member of the group is in, where they wanted to go', await heading(bob) === 'Findings', await heading(bob));
await bob.goto(`${base}/p/secret`);
check('another project is not there', await heading(bob) === 'Not found', await heading(bob));
const unseen = [await api(bob, 'GET', '/api/v1/projects/secret'), await api(bob, 'GET', '/api/v1/projects/nothing')].map(({ status, body }) => `${status} ${body.detail}`);
check('forbidden and unknown look alike', unseen[0] === unseen[1] && unseen[0].startsWith('404'), unseen.join(' / '));
check('a member manages nobody', (await api(bob, 'GET', '/api/v1/people')).status === 403 && (await api(bob, 'POST', '/api/v1/tokens', { name: 'x', role: 'admin' })).status === 403);

// Hostile claims.
const mallory = await arrive('mallory');
check('markup in a name is text', await mallory.locator('.who').textContent().then((t) => t.includes('<img src=x')), await mallory.content());
check('an address makes nobody an administrator', await heading(mallory) === 'No role yet');
await ann.goto(`${base}/people`);
check('the page of people shows markup as text', await ann.locator('main img').count() === 0 && (await ann.locator('main').textContent()).includes('<img src=x'));

// Tokens that are wrong.
for (const wrong of WRONG_TOKENS) {
  if (wrong === 'no key id') {
    provider.state.wrong = wrong;
    const page = await arrive('carol');
    check('a token without key id is believed where there is one key', await heading(page) === 'No role yet', await heading(page));
    provider.state.wrong = null;
    provider.rotate();
    await pause(1100);
  }
  provider.state.wrong = wrong;
  const page = await arrive('carol');
  check(`a token that is wrong (${wrong}) is refused`, await heading(page) === 'That did not work', `${await heading(page)} ${await page.locator('main').textContent()}`);
  check(`nobody is signed in by it (${wrong})`, (await page.context().cookies()).every((c) => c.name !== '__Host-affiant_session'));
  provider.state.wrong = null;
  await page.context().close();
}
const log = (await api(ann, 'GET', '/api/v1/actions')).body.items.filter((a) => a.kind === 'sign-in.refused');
check('each refusal is in the log of actions', log.length === WRONG_TOKENS.length, JSON.stringify(log.map((a) => a.detail.why)));
check('the log holds no token', !JSON.stringify(log).includes('eyJ'));
await ann.goto(`${base}/actions`);
await look(ann, 'actions');

// A new key, with the old one gone.
provider.rotate(true);
await pause(1100);
const carol = await arrive('carol');
check('a new key of the provider is believed', await heading(carol) === 'No role yet', await heading(carol));

// An answer that this browser did not ask for, and one that is sent twice.
const forged = await visit();
await forged.goto(`${base}/auth/callback?code=abc&state=def`);
check('an answer without a question is refused', await heading(forged) === 'That did not work', await heading(forged));
for (const to of ['//evil.example', 'https://evil.example']) {
  const page = await visit();
  await page.goto(`${base}/sign-in/with/corp?return=${encodeURIComponent(to)}`);
  await page.locator('#carol').click();
  await page.waitForURL(`${base}/**`);
  check(`a return to ${to} stays here`, new URL(page.url()).pathname === '/', page.url());
  await page.context().close();
}

// A pipeline exchanges the token of its platform for one that pushes for minutes.
const exchange = async (token) => {
  const form = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token_type: 'urn:ietf:params:oauth:token-type:jwt', subject_token: token });
  const answer = await fetch(`${base}/api/v1/token-exchange`, { method: 'POST', body: form });
  return { status: answer.status, body: await answer.json() };
};
const job = { aud: 'affiant-ci', sub: 'repo:acme/payments', repository: 'acme/payments', ref: 'refs/heads/main' };
const given = await exchange(await provider.sign(job));
check('a pipeline gets a token', given.status === 200 && given.body.expires_in === 900 && given.body.token_type === 'Bearer', JSON.stringify(given));
const push = (slug) => fetch(`${base}/api/v1/projects/${slug}/scans?asset=repo:payments`, { method: 'POST', headers: { authorization: `Bearer ${given.body.access_token}` }, body: JSON.stringify({ version: '2.1.0', runs: [] }) });
check('it pushes to its project', (await push('payments')).status === 201);
check('and to no other', (await push('secret')).status === 404);
check('and reads nothing', (await fetch(`${base}/api/v1/projects/payments/findings`, { headers: { authorization: `Bearer ${given.body.access_token}` } })).status === 403);
const past = Math.floor(Date.now() / 1000) - 3600;
for (const [name, token] of [
  ['another repository', await provider.sign({ ...job, repository: 'acme/other' })], ['a tag', await provider.sign({ ...job, ref: 'refs/tags/v1' })],
  ['another audience', await provider.sign({ ...job, aud: 'elsewhere' })], ['a token that has ended', await provider.sign({ ...job, iat: past, exp: past + 60 })],
  ['a token without end', await provider.sign({ ...job, exp: undefined })], ['another key', await provider.sign(job, provider.makeKey())],
  ['another issuer', await provider.sign({ ...job, iss: 'https://elsewhere.example' })],
  ['no signature', `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ ...job, iss: provider.issuer, exp: past + 9999 })).toString('base64url')}.`],
  ['nothing', ''],
]) { const answer = await exchange(token); check(`a pipeline with ${name} gets none`, answer.status === 401, JSON.stringify(answer)); }

// A new session at each sign-in; the old one is worth nothing.
await ann.goto(`${base}/sign-in/with/corp`);
await ann.waitForURL(`${base}/**`);
const renewed = (await ann.context().cookies()).find((c) => c.name === '__Host-affiant_session');
check('a sign-in begins a new session', renewed.value !== session.value);
const old = await fetch(`${base}/api/v1/me`, { headers: { cookie: `__Host-affiant_session=${session.value}` } });
check('the one before has ended', old.status === 401, String(old.status));

// One's own sessions, listed and ended.
const second = await arrive('ann');
await second.goto(`${base}/account`);
check('both sessions are listed', await second.locator('tbody tr').count() === 2, String(await second.locator('tbody tr').count()));
await look(second, 'account');
await second.locator('tbody tr', { hasNot: second.locator('.tag') }).getByRole('button').click();
await ann.goto(base);
check('a session that is ended elsewhere is over', await heading(ann) === 'Sign in', await heading(ann));

// The provider is away: who is in stays in, who is out is told.
provider.state.away = true;
await pause(1100);
await second.goto(base);
check('who is in stays in while the provider is away', await heading(second) === 'All projects', await heading(second));
const late = await visit();
await late.goto(base);
await late.getByRole('link', { name: 'Sign in with Corporate sign-in' }).click();
await late.waitForLoadState();
check('who comes is told that the provider is away', (await late.locator('body').textContent()).match(/cannot be reached|away/), await late.locator('body').textContent());
provider.state.away = false;

// Groups change, a person is disabled: the provider is asked again while the session holds.
provider.state.users.bob.groups = [];
await pause(1100);
await bob.goto(`${base}/p/payments/findings`);
check('who left the group has no role', await heading(bob) === 'No role yet', await heading(bob));
provider.state.users.bob.groups = ['payments-team'];
await pause(1100);
await bob.goto(`${base}/p/payments/findings`);
check('who is back in the group has it again', await heading(bob) === 'Findings', await heading(bob));
provider.state.users.bob.disabled = true;
await pause(1100);
await bob.goto(`${base}/p/payments/findings`);
check('who is disabled is out', await heading(bob) === 'Sign in', await heading(bob));
provider.state.users.bob.disabled = false;

// A person's token does what the person still could, and no more than once they have left.
const made = (await api(second, 'POST', '/api/v1/tokens', { name: 'by ann', role: 'admin' })).body;
const withToken = async () => { const answer = await fetch(`${base}/api/v1/me`, { headers: { authorization: `Bearer ${made.token}` } }); return { status: answer.status, name: (await answer.json()).name }; };
check('a token bears its maker\'s name', (await withToken()).name === 'Ann Admin via token by ann', JSON.stringify(await withToken()));
provider.state.users.ann.groups = [];
await pause(1100);
await second.goto(base);
check('who is no administrator any more has no token of one', (await withToken()).status === 401);
provider.state.users.ann.groups = ['affiant-admins'];
await pause(1100);
await second.goto(base);
check('and has it back with the group', (await withToken()).status === 200);
const dan = await arrive('carol');
check('somebody stays', await heading(dan) === 'No role yet');
await second.goto(`${base}/people`);
await second.getByRole('button', { name: 'Carol Clerk has left' }).click();
await second.waitForLoadState();
check('what somebody takes along is shown first', (await second.locator('main').textContent()).includes('Their sessions end'), await second.locator('main').textContent());
await look(second, 'confirm');
await second.getByRole('button', { name: 'Has left' }).click();
await second.waitForLoadState();
await dan.goto(base);
check('who has left is out', await heading(dan) === 'Sign in', await heading(dan));

// An auditor from outside: named frameworks, a window, nothing else, and every reading in the log.
for (const framework of ['hipaa', 'sox']) await api(second, 'POST', '/api/v1/projects/payments/assessments', { frameworks: [framework] });
const reports = {};
for (const [framework, period] of [['hipaa', '2025-Q3'], ['hipaa', '2024-Q3'], ['sox', '2025-Q3']]) reports[`${framework} ${period}`] = (await api(second, 'POST', '/api/v1/projects/payments/reports', { framework, period })).body.id;
await second.goto(`${base}/people`);
await second.getByLabel('Group of the provider').fill('outside-auditors');
await second.getByLabel('Role').selectOption('auditor');
await second.getByLabel('Where').selectOption('payments');
await second.getByText('A room for an auditor from outside').click();
await second.getByLabel('Frameworks').fill('hipaa');
await second.getByLabel('Nothing before').fill('2025-01-01');
await second.getByRole('button', { name: 'Give it' }).click();
check('the room is told', (await second.locator('main').textContent()).includes('only hipaa; from 2025-01-01'));
await look(second, 'people-room');
provider.state.users.erin = { name: 'Erin Extern', email: 'erin@audit.example', email_verified: true, groups: ['outside-auditors'] };
const erin = await arrive('erin');
check('an auditor from outside sees the project', (await erin.locator('main').textContent()).includes('payments'), await erin.locator('main').textContent());
await erin.goto(`${base}/p/payments/reports`);
const seen = await erin.locator('main').textContent();
check('and the reports of the room', await erin.locator('tbody tr').count() === 1 && seen.includes('2025-07-01'), seen);
await look(erin, 'room');
for (const [name, id] of Object.entries(reports)) {
  const { status } = await api(erin, 'GET', `/api/v1/reports/${id}/json`);
  check(`of the reports, ${name}`, status === (name === 'hipaa 2025-Q3' ? 200 : 404), String(status));
}
const assessments = (await api(erin, 'GET', '/api/v1/projects/payments/assessments')).body.items;
check('and the assessments of the framework', assessments.length > 0 && assessments.every((one) => one.framework === 'hipaa'), JSON.stringify(assessments));
for (const [method, to, body, wanted] of [
  ['GET', '/api/v1/projects/payments/findings', undefined, 403], ['GET', '/api/v1/projects/payments/audit-events', undefined, 403], ['GET', '/api/v1/projects/payments/scans', undefined, 403],
  ['POST', '/api/v1/projects/payments/reports', { framework: 'sox', period: '2025-Q3' }, 403], ['POST', '/api/v1/projects/payments/reports', { framework: 'hipaa', period: '2024-Q3' }, 403],
  ['POST', '/api/v1/projects/payments/reports', { framework: 'hipaa', period: '2025-Q4' }, 201], ['GET', '/api/v1/projects/secret', undefined, 404], ['GET', '/api/v1/actions', undefined, 403],
]) { const { status } = await api(erin, method, to, body); check(`from the room ${method} ${to} ${JSON.stringify(body ?? '')}`, status === wanted, String(status)); }
for (const [to, wanted] of [['/p/payments/frameworks/hipaa', 'Health Insurance'], ['/p/payments/frameworks/sox', 'Not found'], ['/p/payments/findings', 'That did not work']]) {
  await erin.goto(base + to);
  check(`from the room ${to}`, (await heading(erin)).includes(wanted), await heading(erin));
}
const readings = (await api(second, 'GET', '/api/v1/actions')).body.items.filter((a) => a.kind === 'room.read' && a.actor === 'Erin Extern');
check('each reading is written down', readings.some((a) => a.detail.path === `/api/v1/reports/${reports['hipaa 2025-Q3']}/json`) && readings.length > 10, JSON.stringify(readings.slice(0, 3)));

// Signing out here and at the provider; the provider's own logout.
await second.goto(base);
await second.getByRole('button', { name: 'Sign out' }).click();
await second.waitForURL(`${provider.issuer}/**`);
check('signing out leads to the provider', second.url().startsWith(`${provider.issuer}/session/end`), second.url());
await second.locator('form').evaluate((form) => { const yes = document.createElement('input'); yes.name = 'logout'; yes.value = 'yes'; form.append(yes); form.submit(); });
await second.waitForURL(`${base}/`);
check('and back', await heading(second) === 'Sign in', await heading(second));
const third = await arrive('ann');
const tab = await third.context().newPage();
await tab.goto(`${provider.issuer}/session/end`);
await tab.locator('form').evaluate((form) => { const yes = document.createElement('input'); yes.name = 'logout'; yes.value = 'yes'; form.append(yes); form.submit(); });
await tab.waitForLoadState();
for (let n = 0; n < 30; n += 1) { await third.goto(base); if (await heading(third) === 'Sign in') break; await pause(100); }
check('a logout at the provider ends the session here', await heading(third) === 'Sign in', await heading(third));
for (const token of ['', 'a.b.c', 'eyJhbGciOiJub25lIn0.e30.']) {
  const answer = await fetch(`${base}/auth/backchannel-logout`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: `logout_token=${token}` });
  check('a logout that is not the provider\'s is refused', answer.status === 400, String(answer.status));
}

await browser.close();
provider.stop();
console.log(`sign-in: ${passed} passed, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
