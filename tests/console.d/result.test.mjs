// What a person sees of a check, while it runs and when it is over.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PHONE, fill, house, phaseRow, verdict, violations, visit } from './page.mjs';
import { Gates, smtpd } from './smtpd.mjs';

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
