// What a person sees and does at `/`, in a real Chromium that can reach no host but the service.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { chromium } from 'playwright-core';

import { Gates, smtpd, stopAll } from './smtpd.mjs';
import { service } from './service.mjs';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

let browser;
let house;

before(async () => {
  house = await service();
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
  });
});

after(async () => {
  await browser?.close();
  house?.stop();
  stopAll();
});

/** Opens the console, hands it to `use`, and then asks whether the page was good: no complaint, no request elsewhere. */
async function visit(use, { fragment = '', viewport = DESKTOP, colorScheme = 'light', expected = [] } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = [];
  const asked = new Set();
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => asked.add(request.url()));
  try {
    await page.goto(`${house.origin}/${fragment}`);
    await use(page);
    // The browser itself reports an answer such as 422 as an error of the page.
    const unexpected = complaints.filter((complaint) => !expected.some((status) => complaint.includes(`status of ${status}`)));
    assert.deepEqual(unexpected, []);
    assert.deepEqual([...asked].filter((url) => !url.startsWith(`${house.origin}/`)), []);
  } finally {
    await context.close();
  }
}

async function fill(page, parameters) {
  for (const [name, value] of Object.entries(parameters)) {
    const field = page.locator(`[name="${name}"]`);
    await field.evaluate((element) => element.closest('details')?.setAttribute('open', ''));
    if (value === true) await field.check();
    else if ((await field.evaluate((element) => element.tagName)) === 'SELECT') await field.selectOption(value);
    else await field.fill(String(value));
  }
}

/** What axe-core finds wrong with the page as it is now. */
async function violations(page) {
  // Into the page by the browser's own door: its policy lets no foreign script in.
  await page.evaluate(`(() => { ${(await import('node:fs')).readFileSync(AXE, 'utf8')} })()`);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document);
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`);
  });
}

const phaseRow = (page, phase, state) => page.locator(`.phase[data-phase="${phase}"].${state}`);
const verdict = (page) => page.locator('.verdict');

test('a check runs, and its phases appear one by one', async () => {
  const gates = new Gates();
  const server = await smtpd({ gate: gates.pass });
  await visit(async (page) => {
    await fill(page, { to: 'probe@example.test', target: '127.0.0.1', port: server.port });
    await page.click('#run');
    const phases = ['banner', 'ehlo', 'mailfrom', 'rcptto', 'data', 'body', 'quit'];
    for (const [place, phase] of phases.entries()) {
      if (place === 3) assert.deepEqual(await violations(page), []);
      assert.equal(await phaseRow(page, phase, 'ok').count(), 0, `${phase} is shown before it ended`);
      assert.equal(await verdict(page).isVisible(), false);
      gates.open(phase);
      await phaseRow(page, phase, 'ok').waitFor();
    }
    await verdict(page).waitFor();
    assert.match(await verdict(page).innerText(), /Delivered/);
    assert.match(await verdict(page).innerText(), /ABC123/);
    assert.match(await phaseRow(page, 'rcptto', 'ok').innerText(), /250 2\.1\.5 Ok/);
    assert.match(await page.locator('#of-capabilities').innerText(), /SIZE\s+1000000/);
    assert.match(await page.locator('#of-transcript').innerText(), /RCPT TO:<probe@example\.test>/);
    assert.match(await page.locator('#status').innerText(), /Delivered/);
    assert.deepEqual(await violations(page), []);
  });
});

test('the phase under way is shown while the server thinks', async () => {
  const gates = new Gates();
  const server = await smtpd({ gate: gates.pass });
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo' });
    await page.click('#run');
    gates.open('banner');
    await phaseRow(page, 'ehlo', 'running').waitFor();
    assert.equal(await page.locator('#result').getAttribute('aria-busy'), 'true');
    ['ehlo', 'quit'].forEach((phase) => gates.open(phase));
    await verdict(page).waitFor();
    assert.match(await verdict(page).innerText(), /Completed: ended after EHLO/);
  });
});

test('a violation is shown at its field, and goes when it is mended', async () => {
  const server = await smtpd();
  await visit(async (page) => {
    await fill(page, { to: 'nobody', target: '127.0.0.1', port: '99999', proxy_version: '2', proxy_protocol: true, proxy_source_address: 'here' });
    await page.click('#run');
    for (const name of ['port', 'proxy_source_address']) {
      const error = page.locator(`#${name}-error`);
      await error.waitFor();
      assert.notEqual(await error.innerText(), '');
      assert.equal(await page.locator(`#${name}`).getAttribute('aria-invalid'), 'true');
      assert.match(await page.locator(`#${name}`).getAttribute('aria-describedby'), new RegExp(`${name}-error`));
    }
    assert.equal(await page.evaluate(() => document.activeElement.id), 'port');
    assert.equal(await verdict(page).isVisible(), false);
    assert.deepEqual(await violations(page), []);

    await page.fill('#port', String(server.port));
    await page.uncheck('#proxy_protocol');
    await page.click('#run');
    await verdict(page).waitFor();
    assert.equal(await page.locator('.error').count(), 0);
  }, { expected: [422] });
});

test('a rejection is shown in the words of the server, and never as HTML', async () => {
  const server = await smtpd({ replies: { rcptto: '550 5.1.1 <img src=x onerror=document.title=1> unknown' } });
  await visit(async (page) => {
    await fill(page, { to: 'nobody@example.test', target: '127.0.0.1', port: server.port });
    await page.click('#run');
    await verdict(page).waitFor();
    const text = await verdict(page).innerText();
    assert.match(text, /Failed at RCPT TO: rejected/);
    assert.ok(text.includes('550 5.1.1 <img src=x onerror=document.title=1> unknown'), text);
    assert.match(text, /Permanent/);
    assert.equal(await page.locator('#result img').count(), 0);
    assert.equal(await page.title(), 'smtp-check');
  });
});

for (const colorScheme of ['light', 'dark']) {
  test(`a bad certificate: what is wrong, in the ${colorScheme} theme, on a phone`, async () => {
    await visit(async (page) => {
      await fill(page, { to: 'you@sandbox.test', target: '127.0.0.1', port: house.sandbox, tls_server_name: 'mail.example.org' });
      await page.locator('.segments label', { hasText: 'STARTTLS' }).click();
      await page.click('#run');
      await verdict(page).waitFor();
      assert.match(await page.locator('.chip[data-error=wrong_name]').innerText(), /Wrong name/);
      assert.match(await page.locator('#of-certificate').innerText(), /mail\.example\.org/);
      assert.ok((await page.locator('.chain > li').count()) > 0);
      assert.deepEqual(await page.locator('#of-capabilities thead th').allInnerTexts(), ['Keyword', 'In clear text', 'Inside TLS']);
      assert.deepEqual(await violations(page), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways');
    }, { viewport: PHONE, colorScheme });
  });
}

test('a server that falls silent: the phase without an answer', async () => {
  const gates = new Gates();
  const server = await smtpd({ gate: gates.pass });
  gates.open('banner');
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo', timeout_ms: 400 });
    await page.click('#run');
    await verdict(page).waitFor();
    assert.match(await verdict(page).innerText(), /Failed at EHLO: no answer in time/);
    assert.match(await phaseRow(page, 'ehlo', 'bad').innerText(), /no answer/);
  });
});

test('the Esc key ends the check, and with it the connection to the mail server', async () => {
  const gates = new Gates();
  const server = await smtpd({ gate: gates.pass });
  gates.open('banner');
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo' });
    await page.press('#port', 'Control+Enter');
    await phaseRow(page, 'banner', 'ok').waitFor();
    await page.keyboard.press('Escape');
    await server.ended;
    await page.locator('#run', { hasText: 'Run the check' }).waitFor();
    assert.equal(await verdict(page).isVisible(), false);
  });
});

test('a link fills the form in, holds no password, and runs nothing', async () => {
  let link;
  await visit(async (page) => {
    await fill(page, { to: 'you@sandbox.test', port: '587', sasl_authentication: 'plain', sasl_user: 'probe', sasl_password: 'correct horse', payload: 'Subject: a\n\nb' });
    await page.locator('.segments label', { hasText: 'STARTTLS' }).click();
    await page.click('#copy-link');
    link = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(!link.includes('correct'), link);
  });
  await visit(async (page) => {
    const value = (name) => page.locator(`[name="${name}"]`).inputValue();
    assert.deepEqual(
      [await value('to'), await value('port'), await value('sasl_user'), await value('sasl_password'), await value('payload')],
      ['you@sandbox.test', '587', 'probe', '', 'Subject: a\n\nb']);
    assert.ok(await page.locator('[name=encryption][value=starttls]').isChecked());
    assert.ok(await page.locator('#sasl_user').isVisible(), 'the group that was filled in is open');
    assert.ok(await page.locator('#idle').isVisible());
  }, { fragment: link.slice(link.indexOf('#')) });
});

test('the copied curl line runs the same check', async () => {
  await visit(async (page) => {
    await fill(page, { to: "o'brien@sandbox.test", target: '127.0.0.1', port: house.sandbox, sasl_authentication: 'plain', sasl_user: 'demo', sasl_password: 'not this one' });
    await page.click('#copy-curl');
    const line = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(!line.includes('not this one'), line);
    const { stdout } = await promisify(execFile)('bash', ['-c', line], { env: { PATH: process.env.PATH, SASL_PASSWORD: 'not this one' } });
    const { failure } = JSON.parse(stdout);
    assert.deepEqual([failure.phase, failure.kind, failure.code], ['sasl_auth', 'rejected', 535]);
  });
});

test('the form has every parameter of the document', async () => {
  await visit(async (page) => {
    const document = await page.evaluate(() => fetch('/openapi.json').then((answer) => answer.json()));
    const parameters = Object.keys(document.components.schemas.CheckRequest.properties);
    const fields = await page.locator('[name], [data-parameter]').evaluateAll((elements) => elements.map((element) => element.dataset.parameter ?? element.name));
    assert.deepEqual(parameters.filter((name) => !fields.includes(name)), []);
    for (const element of await page.locator('input, select, textarea').all()) {
      assert.ok(await element.evaluate((field) => field.labels.length > 0), 'a field without a label');
    }
  });
});

test('the keyboard alone is enough', async () => {
  const server = await smtpd();
  await visit(async (page) => {
    await page.keyboard.press('Tab');
    assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip to the result/);
    await page.locator('#to').focus();
    await page.keyboard.type('probe@example.test');
    await page.keyboard.press('Tab');
    await page.keyboard.type('127.0.0.1');
    await page.keyboard.press('Tab');
    await page.keyboard.type(String(server.port));
    await page.keyboard.press('Enter');
    await verdict(page).waitFor();
    assert.match(await verdict(page).innerText(), /Delivered/);
  });
});
