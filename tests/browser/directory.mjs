// Two providers at once, and a directory that tells people and groups by SCIM while they are signed in, in Chromium.
// Usage: node directory.mjs AFFIANT [SCREENSHOT_FOLDER]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { chromium } from 'playwright-core';
import { startProvider } from './provider.mjs';

const [binary, shots = path.join(os.tmpdir(), 'affiant-shots')] = process.argv.slice(2);
fs.mkdirSync(shots, { recursive: true });
const data = fs.mkdtempSync(path.join(os.tmpdir(), 'affiant-directory-'));
const secret = 'only-for-tests-only-for-tests-only-for';
let passed = 0;
const failures = [];
const check = (name, good, detail = '') => {
  if (good) passed += 1;
  else { failures.push(name); console.error(`FAIL ${name}: ${detail}`); }
};
const port = await new Promise((done) => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port: free } = s.address(); s.close(() => done(free)); }); });
const base = `http://127.0.0.1:${port}`;
const start = (name) => startProvider({ secret, clients: [{ id: 'affiant', base, redirect: `${base}/auth/callback/${name}` }] });
const [corp, partner] = [await start('corp'), await start('partner')];
const block = (name, title, provider, more) => `
[[provider]]
name = "${name}"
title = "${title}"
issuer = "${provider.issuer}"
client_id = "affiant"
client_secret = "env:CLIENT_SECRET"
scopes = ["profile", "email", "groups"]
${more}`;
const config = path.join(data, 'affiant.toml');
fs.writeFileSync(config, `[server]\npublic_url = "${base}"\n${block('corp', 'Corporate sign-in', corp, 'admin_groups = ["affiant-admins"]')}${block('partner', 'Partners', partner, 'directory_only = true\nrequired_acr = ["two-factors"]')}`);
const server = spawn(binary, ['serve', '--data', data, '--listen', `127.0.0.1:${port}`, '--config', config], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, CLIENT_SECRET: secret } });
process.on('exit', () => { server.kill('SIGTERM'); fs.rmSync(data, { recursive: true, force: true }); });
let lines = 0;
for await (const line of readline.createInterface({ input: server.stdout })) { lines += line ? 1 : 0; if (lines === 2) break; }

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((f) => fs.existsSync(f));
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
const heading = (page) => page.locator('h1').textContent();
const arrive = async (who, title = 'Corporate sign-in') => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(base);
  await page.getByRole('link', { name: `Sign in with ${title}` }).click();
  await page.locator(`#${who}`).click();
  await page.waitForURL(`${base}/**`);
  return page;
};
const api = async (page, method, to, body) => {
  const response = await page.request.fetch(base + to, { method, data: body, headers: { 'sec-fetch-site': 'same-origin' } });
  return { status: response.status(), body: await response.json().catch(() => null) };
};

// Two providers: the same name at both is two people, and a group of one is none of the other.
const ann = await arrive('ann');
check('an administrator of one provider', await heading(ann) === 'All projects', await heading(ann));
await api(ann, 'POST', '/api/v1/projects', { slug: 'payments', name: 'Payments' });
await api(ann, 'POST', '/api/v1/memberships', { group: 'payments-team', provider: 'corp', role: 'compliance', project: 'payments' });
const bob = await arrive('bob');
check('a group of the provider counts', (await heading(bob)) === 'All projects', await heading(bob));
const stranger = await arrive('bob', 'Partners');
check('who is not told by the directory that is to tell everybody is out', await heading(stranger) === 'That did not work', await heading(stranger));
await stranger.screenshot({ path: path.join(shots, 'directory-refused.png') });

const made = (await api(ann, 'POST', '/api/v1/tokens', { name: 'directory', role: 'admin', scopes: ['people:provision'] })).body;
const scim = async (method, to, body) => {
  const answer = await fetch(`${base}/scim/v2/${to}`, { method, headers: { authorization: `Bearer ${made.token}`, 'content-type': 'application/scim+json' }, body: body && JSON.stringify(body) });
  return { status: answer.status, body: await answer.json().catch(() => null) };
};
const told = await scim('POST', 'partner/Users', { userName: 'bob', externalId: 'bob', displayName: 'Bob Partner', active: true });
check('a directory tells somebody', told.status === 201, JSON.stringify(told));
check('who shows one factor where two are required is out', await heading(await arrive('bob', 'Partners')) === 'That did not work');
partner.state.users.bob.acr = 'two-factors';
const partnerBob = await arrive('bob', 'Partners');
check('who then gets in, without the roles of a group of another provider', await heading(partnerBob) === 'No role yet', await heading(partnerBob));
await ann.goto(`${base}/people`);
check('two of one name are two people', (await ann.locator('main').textContent()).includes('Bob Builder') && (await ann.locator('main').textContent()).includes('Bob Partner'));
await ann.screenshot({ path: path.join(shots, 'directory-people.png'), fullPage: true });

// The answer of one provider at the address of the other.
const mixed = await (await browser.newContext()).newPage();
let at = `${base}/sign-in/with/corp`;
while (!at.startsWith(`${base}/auth/`)) {
  const step = await mixed.request.get(at, { maxRedirects: 0 });
  at = step.status() === 200 ? `${at}?who=ann` : new URL(step.headers().location, at).href;
}
await mixed.goto(at.replace('/callback/corp', '/callback/partner'));
check('the answer of one provider is none of the other', at.includes('code=') && await heading(mixed) === 'That did not work', `${mixed.url()} ${await heading(mixed)}`);

// Carol is told, joins a group, and has its role at once.
const carol = await arrive('carol');
check('carol has no role', await heading(carol) === 'No role yet');
const { body: user } = await scim('POST', 'corp/Users', { userName: 'carol@example.test', externalId: 'carol', displayName: 'Carol Clerk', active: true });
const group = await scim('POST', 'corp/Groups', { displayName: 'payments-team', members: [{ value: user.id }] });
check('a group is told', group.status === 201 && group.body.members.length === 1, JSON.stringify(group));
await carol.goto(`${base}/p/payments/findings`);
check('the group that the directory tells counts at once', await heading(carol) === 'Findings', await heading(carol));
const log = { version: '2.1.0', runs: [{ tool: { driver: { name: 'semgrep', rules: [{ id: 'sql' }] } }, results: [{ ruleId: 'sql', message: { text: 'one' }, locations: [{ physicalLocation: { artifactLocation: { uri: 'a.py' } } }] }] }] };
await api(ann, 'POST', '/api/v1/projects/payments/scans?asset=repo:payments', log);
const finding = (await api(carol, 'GET', '/api/v1/projects/payments/findings')).body.items[0].id;
const waiver = await api(carol, 'POST', '/api/v1/projects/payments/waivers', { finding, kind: 'accepted_risk', reason: 'seen and accepted', until: new Date(Date.now() + 30 * 86400e3).toISOString().slice(0, 10) });
check('she asks for a waiver', waiver.status === 201, JSON.stringify(waiver));
check('nobody takes over what has an owner', (await api(bob, 'PUT', `/api/v1/projects/payments/waivers/${waiver.body.id}/owner`)).status === 409);

// She leaves: out at once, not in again, and what she looked after asks for somebody else.
await scim('PATCH', `corp/Users/${user.id}`, { Operations: [{ op: 'Replace', path: 'active', value: 'False' }] });
await carol.goto(base);
check('who leaves in the directory is out at once', await heading(carol) === 'Sign in', await heading(carol));
check('and does not get in again', await heading(await arrive('carol')) === 'That did not work');
check('the refusal is in the log of actions', (await api(ann, 'GET', '/api/v1/actions')).body.items.some((a) => a.kind === 'sign-in.refused' && a.detail.why.includes('directory')));
await bob.goto(`${base}/p/payments`);
check('what is due says whose waiver wants an owner', (await bob.locator('main').textContent()).includes('Carol Clerk, who has left'), await bob.locator('main').textContent());
await bob.goto(`${base}/p/payments/findings/${finding}`);
await bob.screenshot({ path: path.join(shots, 'directory-waiver.png'), fullPage: true });
await bob.getByRole('button', { name: 'Take it over' }).click();
await bob.waitForLoadState();
check('somebody takes it over', (await bob.locator('main').textContent()).includes('looked after by Bob Builder'));
check('and does not decide on it', await bob.getByRole('button', { name: 'Approve' }).count() === 0 && (await api(bob, 'POST', `/api/v1/projects/payments/waivers/${waiver.body.id}/decision`, { approve: true })).status === 403);

// She comes back with what her groups have.
await scim('PATCH', `corp/Users/${user.id}`, { Operations: [{ op: 'replace', value: { active: true } }] });
const again = await arrive('carol');
await again.goto(`${base}/p/payments/findings`);
check('who is back in the directory is back', await heading(again) === 'Findings', await heading(again));
await scim('PATCH', `corp/Groups/${group.body.id}`, { Operations: [{ op: 'remove', path: `members[value eq "${user.id}"]` }] });
await again.goto(`${base}/p/payments/findings`);
check('who leaves the group has no role', await heading(again) === 'No role yet', await heading(again));
await scim('DELETE', `corp/Users/${user.id}`);
await again.goto(base);
check('who is removed from the directory is out', await heading(again) === 'Sign in', await heading(again));

await browser.close();
corp.stop();
partner.stop();
console.log(`directory: ${passed} passed, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
