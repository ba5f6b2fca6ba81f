// Opens every page of the demonstration in Chromium, as a visitor would: wide and narrow, light and dark, with and without script, and
// looks for what a careful visitor would see go wrong. Usage: node run.mjs AFFIANT [SCREENSHOT_FOLDER]
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [binary, shots = path.join(os.tmpdir(), 'affiant-shots')] = process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const data = fs.mkdtempSync(path.join(os.tmpdir(), 'affiant-browser-'));
fs.mkdirSync(shots, { recursive: true });
let passed = 0;
const failures = [];
const check = (name, good, detail = '') => {
  if (good) passed += 1;
  else { failures.push(`${name}: ${detail}`); console.error(`FAIL ${name}: ${detail}`); }
};

const server = spawn(binary, ['demo', '--data', data, '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
const stop = () => { server.kill('SIGTERM'); fs.rmSync(data, { recursive: true, force: true }); };
process.on('exit', stop);
const lines = readline.createInterface({ input: server.stdout });
let url, link;
for await (const line of lines) {
  url = line.match(/^Affiant is at (\S+)/)?.[1] ?? url;
  link = line.match(/(http\S+sign-in\S+)/)?.[1];
  if (link) break;
}

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((f) => fs.existsSync(f));
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
const first = await browser.newContext();
const page = await first.newPage();
await page.goto(link);
check('one-time link signs in', await page.locator('h1').textContent() === 'All projects');
const storageState = await first.storageState();
const stranger = await (await browser.newContext()).newPage();
await stranger.goto(link);
check('a one-time link works once', await stranger.locator('h1').textContent() === 'Sign in');

// Three clicks from a score to the line of the report that lowered it.
await page.goto(`${url}/p/payments`);
await page.getByRole('link', { name: 'PCI DSS', exact: true }).click();
await page.locator('#pci-6\\.2\\.4').getByRole('link', { name: 'COD-', exact: false }).first().click();
const control = new URL(page.url()).pathname + new URL(page.url()).search;
await page.locator('ul.tree a').first().click();
const finding = new URL(page.url()).pathname;
check('three clicks lead to the line of the report', await page.locator('pre.source .hit').count() > 0, page.url());

// A report is made and downloaded.
await page.goto(`${url}/p/payments/reports?framework=hipaa`);
await page.getByRole('button', { name: 'Make the report' }).click();
const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /^PDF of HIPAA/ }).first().click()]);
const pdf = path.join(shots, 'report.pdf');
await download.saveAs(pdf);
execFileSync('qpdf', ['--check', pdf]);
const text = execFileSync('pdftotext', [pdf, '-']).toString().replace(/\s+/g, ' ');
for (const words of ['Period report', 'Summary', 'Requirements', 'What changed in the period', 'Findings', 'Method', 'Page 2 of']) check(`the PDF says "${words}"`, text.includes(words));
const fonts = execFileSync('pdffonts', [pdf]).toString().split('\n').slice(2).filter(Boolean);
check('the fonts are embedded', fonts.length > 0 && fonts.every((font) => / yes +(yes|no) +yes /.test(font)), fonts.join('; '));

// A file is uploaded, first on trial.
const scan = path.join(data, 'upload.sarif');
fs.writeFileSync(scan, JSON.stringify({ version: '2.1.0', runs: [{ tool: { driver: { name: 'semgrep', rules: [] } }, results: [{ ruleId: 'x', message: { text: '<script>alert(1)</script>' } }] }] }));
for (const trial of [true, false]) {
  await page.goto(`${url}/p/analytics/imports`);
  await page.getByLabel('What was scanned').fill('repo:uploaded');
  if (trial) await page.getByLabel('Only say what would happen').check();
  await page.getByLabel('File: choose it, or drop it here').setInputFiles(scan);
  await page.getByRole('button', { name: 'Import' }).click();
  const told = await page.getByRole('status').textContent();
  check(trial ? 'a trial upload stores nothing' : 'an upload is imported', told.includes(trial ? 'nothing was stored' : '1 new'), told);
}
await page.goto(`${url}/p/analytics/imports`);
await page.getByLabel('What was scanned').fill('planet:mars');
await page.getByLabel('File: choose it, or drop it here').setInputFiles(scan);
await page.getByRole('button', { name: 'Import' }).click();
check('a wrong upload is explained', (await page.getByRole('alert').textContent()).includes('unknown kind'));

const appears = (text) => page.locator('main').getByText(text).first().waitFor({ timeout: 10000 }).then(() => true, () => false);

// A waiver is asked for, a statement made, a schedule changed.
await page.goto(url + finding);
await page.getByLabel('Until').fill('2027-06-30');
await page.getByLabel('Why').fill('Replaced with the next release.');
await page.getByRole('button', { name: 'Ask' }).click();
check('a waiver is asked for', await appears('Replaced with the next release.'));
await page.goto(`${url}/p/payments/controls/GOV-01`);
await page.getByLabel('Valid until').fill('2027-06-30');
await page.getByLabel('Statement').fill('Reviewed with everybody.');
await page.getByRole('button', { name: 'Record' }).click();
check('a statement is recorded', await appears('Reviewed with everybody.'));
await page.goto(`${url}/p/payments/assessments`);
await page.getByLabel('Cron').first().fill('nonsense');
await page.getByRole('button', { name: 'Save' }).first().click();
check('a wrong schedule is explained', (await page.getByRole('alert').textContent()).includes('cron'));

// An audit store is set up, pulled, and its silence seen.
fs.mkdirSync(path.join(data, 'inbox', 'payments', 'agents'), { recursive: true });
const hours = [200, 199, 198, 150, 149, 2, 1].map((h) => ({ timestamp: new Date(Date.now() - h * 3600e3).toISOString(), agent_id: 'invoice-bot', action: 'read' }));
fs.writeFileSync(path.join(data, 'inbox', 'payments', 'agents', 'log.ndjson'), hours.map((e) => JSON.stringify(e)).join('\n') + '\n');
const setUp = async (settings) => {
  await page.goto(`${url}/p/payments/sources`);
  await page.getByLabel('Name', { exact: true }).fill('agent-log');
  await page.getByLabel('Settings, JSON').fill(settings);
  await page.getByLabel('An event is expected within').fill('1440');
  await page.getByRole('button', { name: 'Set up' }).click();
};
await setUp('{"kind": "folder", "path": "../outside"}');
check('a wrong source is explained', (await page.getByRole('alert').textContent()).includes('settings/path'));
await setUp('{"kind": "folder", "path": "agents"}');
await page.getByRole('button', { name: 'Pull now: agent-log' }).click();
const pulledText = await page.getByRole('status').textContent();
check('a source is pulled', /agent-log was pulled/.test(pulledText), pulledText);

const pages = ['/', '/p/payments', '/p/payments/frameworks/pci-dss', '/p/care/frameworks/hipaa', control, '/p/payments/controls/GOV-01', '/p/payments/findings?state=open', finding, '/p/payments/imports', '/p/payments/assessments', '/p/payments/sources', '/p/payments/reports', '/people', '/account', '/actions', '/trail', '/trail?entry=0', '/privacy', '/api/docs/'];
for (const where of pages) {
  for (const [width, colorScheme] of [[1280, 'light'], [1280, 'dark'], [390, 'light']]) {
    const context = await browser.newContext({ storageState, colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' });
    const tab = await context.newPage();
    const name = `${where} ${width} ${colorScheme}`;
    const wrong = [];
    tab.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
    tab.on('pageerror', (error) => wrong.push(error.message));
    tab.on('dialog', (dialog) => { wrong.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
    tab.on('request', (request) => { const u = request.url(); if (!u.startsWith(url) && !/^(data|blob|about):/.test(u)) wrong.push(`request to ${u}`); });
    tab.on('response', (response) => response.status() >= 400 && wrong.push(`${response.status()} ${response.url()}`));
    await tab.goto(url + where, { waitUntil: 'load' });
    if (where === '/api/docs/') {
      await tab.waitForSelector('.opblock');
      check(name, wrong.length === 0, wrong.join('; '));
      await context.close();
      continue;
    }
    if (await tab.evaluate(() => document.documentElement.scrollWidth > innerWidth + 1)) wrong.push('the page scrolls sideways');
    await tab.evaluate(axe);
    const audit = await tab.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    for (const v of audit.violations) if (['serious', 'critical'].includes(v.impact)) wrong.push(`axe ${v.impact} ${v.id} at ${v.nodes[0].target.join(' ')}`);
    await tab.screenshot({ path: path.join(shots, `${where.split('?')[0].replace(/\W+/g, '_') || '_'}-${width}-${colorScheme}.png`), fullPage: true });
    check(name, wrong.length === 0, wrong.join('; '));
    await context.close();
  }
  const still = await browser.newContext({ storageState, javaScriptEnabled: false });
  const tab = await still.newPage();
  await tab.goto(url + where);
  if (where !== '/api/docs/') check(`${where} without script`, await tab.locator('h1').count() === 1);
  await still.close();
}
await browser.close();
console.log(`${passed} passed, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
