// Tests of the display of a check, while it runs and when it has ended.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { PHONE, fill, app, isSeen, phaseRow, verdict, violations, visit } from './page.mjs';
import { Gates, smtpd } from './smtpd.mjs';

/** The report of a real check, from the OpenAPI document. */
const example = (name) => JSON.parse(readFileSync(new URL(`../../openapi/examples/${name}.json`, import.meta.url)));

/** Its events. */
const stream = (report) => [...report.phases.map((phase) => ['phase', phase]), ['report', report]]
  .map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join('');

const CHECKS = '**/v1/checks/smtp';
const outcome = (page, state) => page.locator(`.outcome.${state}`);

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

test('the running phase is shown while the server does not reply', async () => {
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

test('an expected rejection is shown as a success', async () => {
  const server = await smtpd({ replies: { rcptto: '550 5.7.1 Relay denied' } });
  await visit(async (page) => {
    await fill(page, { to: 'a@b.test', target: '127.0.0.1', port: server.port, expect: '{"rcptto": {"code": "5xx"}}' });
    await page.click('#run');
    await verdict(page).waitFor();
    assert.match(await verdict(page).innerText(), /Completed: rejected at RCPT TO, as expected/);
    assert.equal(await phaseRow(page, 'rcptto', 'ok').count(), 1);
  });
});

test('a rejection is shown with the text of the server, and never as HTML', async () => {
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
      await fill(page, { to: 'you@sandbox.test', target: '127.0.0.1', port: app.sandbox, tls_server_name: 'mail.example.org' });
      await page.locator('.segments label', { hasText: 'STARTTLS' }).click();
      await page.click('#run');
      await verdict(page).waitFor();
      assert.match(await verdict(page).innerText(), /Delivered[^]*\d+ days left Wrong name\n/);
      assert.match(await verdict(page).getAttribute('class'), /flawed/);
      assert.match(await phaseRow(page, 'tls', 'warn').innerText(), /certificate: wrong name/);
      assert.deepEqual(await page.locator('#of-certificate .chip').allInnerTexts(), ['Wrong name']);
      assert.match(await page.locator('#of-certificate').innerText(), /mail\.example\.org/);
      assert.ok((await page.locator('.chain > li').count()) > 0);
      assert.deepEqual(await page.locator('#of-capabilities thead th').allInnerTexts(), ['Keyword', 'In clear text', 'Inside TLS']);
      assert.deepEqual(await violations(page), []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways');
    }, { device: PHONE, colorScheme });
  });
}

test('a bad certificate without tls_verify require', async () => {
  const report = example('delivered');
  Object.assign(report.tls, { verified: false, errors: ['expired', 'self_signed', 'wrong_name'] });
  report.metrics.cert_end_in = -3.5 * 24 * 60 * 60;
  await visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: stream(report) }));
    await page.click('#run');
    await verdict(page).waitFor();
    assert.match(await verdict(page).getAttribute('class'), /flawed/);
    assert.match(await verdict(page).innerText(), /expired 3 days ago Self-signed Wrong name\n/i);
    assert.match(await phaseRow(page, 'tls', 'warn').innerText(), /certificate: expired, self-signed, wrong name/);
    assert.deepEqual(await violations(page), []);
  });
});

test('a certificate whose dates cannot be read', async () => {
  const report = example('delivered');
  Object.assign(report.tls, { verified: false, errors: ['malformed'] });
  const facts = { not_before: null, not_before_as_written: '20261301000000Z', not_after: null, not_after_as_written: 'never' };
  Object.assign(report.tls.chain[0], facts);
  for (const name of ['cert_start', 'cert_end', 'cert_end_in']) delete report.metrics[name];
  await visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: stream(report) }));
    await page.click('#run');
    await verdict(page).waitFor();
    assert.match(await verdict(page).innerText(), /end unreadable Malformed\n/i);
    assert.match(await page.locator('.chain > li').first().innerText(), /“20261301000000Z” \(unreadable\) to “never” \(unreadable\)/);
    assert.deepEqual(await violations(page), []);
  });
});

test('a server that stops answering: the phase without a reply', async () => {
  const gates = new Gates();
  const server = await smtpd({ gate: gates.pass });
  gates.open('banner');
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo', timeout_ms: 400 });
    await page.click('#run');
    await verdict(page).waitFor();
    assert.match(await verdict(page).innerText(), /^Failed at EHLO: no answer within 400 ms\n+The server did not answer in time[^\n]*raise timeout_ms[^\n]*\n+Temporary/);
    assert.match(await phaseRow(page, 'ehlo', 'bad').innerText(), /no answer/);
  });
});

test('a verdict does not repeat itself', async () => {
  const server = await smtpd();
  server.close();
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo' });
    await page.click('#run');
    assert.match(await verdict(page).innerText(), /^Failed at TCP connect: connection refused\n+The host is there, and nothing listens[^\n]*\n+Temporary/);
  });
});

test('findings with what shows them and what to do, each linked to its section', async () => {
  const report = example('bad_certificate');
  report.findings[0].evidence = ['<img src=x onerror=document.title=1>'];
  await visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: stream(report) }));
    await page.click('#run');
    await verdict(page).waitFor();
    const findings = page.locator('#of-findings');
    assert.deepEqual(await findings.locator('a').allInnerTexts(), report.findings.map(({ id }) => id));
    assert.match(await findings.innerText(), /error[^]*<img src=x onerror=document\.title=1>[^]*Use a certificate/);
    assert.equal(await findings.locator('a').first().getAttribute('href'), '/docs/findings#cert.name_mismatch');
    assert.equal(await page.title(), 'smtp-check');
    assert.deepEqual(await violations(page), []);
  });
});

test('the axis ends with the check, not with its last phase', async () => {
  const report = example('rejected');
  report.metrics.duration = 4321;
  await visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: stream(report) }));
    await page.click('#run');
    await verdict(page).waitFor();
    assert.equal(await page.locator('#axis-end').innerText(), '4.32 s');
  });
});

test('a server without capabilities', async () => {
  const server = await smtpd({ replies: { ehlo: '250 mx.example.test' } });
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo' });
    await page.click('#run');
    await verdict(page).waitFor();
    assert.match(await page.locator('#of-capabilities').innerText(), /Nothing beyond plain SMTP/);
    assert.equal(await page.locator('#of-capabilities table').count(), 0);
  });
});

const height = async (locator) => (await locator.boundingBox()).height;

test('a long reply is one line beside the form, and complete when it is opened', async () => {
  const server = await smtpd({ replies: { banner: `220 mx.example.test ${'and so on '.repeat(18)}` } });
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo' });
    await page.click('#run');
    await verdict(page).waitFor();
    const reply = phaseRow(page, 'banner', 'ok').locator('.reply');
    assert.ok((await reply.boundingBox()).width > 300, 'squeezed');
    const line = await height(reply);
    await reply.locator('summary').click();
    assert.ok((await height(reply)) > 2.5 * line);
    assert.ok(line < 30, `${line} px`);
  }, { device: { viewport: { width: 1024, height: 768 } } });
});

test('on a phone, no EHLO keyword is broken and no keyboard shortcut is mentioned', async () => {
  await visit(async (page) => {
    assert.equal(await page.locator('.keys').isVisible(), false);
    await fill(page, { target: '127.0.0.1', port: app.sandbox, stop_after: 'ehlo' });
    await page.click('#run');
    await verdict(page).waitFor();
    assert.ok((await height(page.locator('th', { hasText: 'ENHANCEDSTATUSCODES' }))) < 35);
  }, { device: PHONE });
});

test('on a phone, the phases are scrolled into view when the check starts', async () => {
  const gates = new Gates();
  const server = await smtpd({ gate: gates.pass });
  gates.open('banner');
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo' });
    await page.click('#run');
    await phaseRow(page, 'ehlo', 'running').waitFor();
    assert.ok(await isSeen(phaseRow(page, 'ehlo', 'running')));
    assert.ok(await isSeen(page.locator('#stop')));
  }, { device: PHONE });
});

test('on a phone, the reason why no check was run is visible', async () => {
  await visit(async (page) => {
    await fill(page, { to: 'probe@example.test', target: '169.254.1.1' });
    await page.click('#run');
    await outcome(page, 'missing').waitFor();
    assert.match(await outcome(page, 'missing').innerText(), /The target is forbidden/);
    assert.ok(await isSeen(outcome(page, 'missing')));
    assert.match(await page.locator('#status').innerText(), /forbidden/);
    assert.deepEqual(await violations(page), []);
  }, { device: PHONE, expected: [403] });
});

test('the retry time is shown', async () => {
  await visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ status: 429, headers: { 'Retry-After': '7' }, json: { title: 'Too many requests', detail: 'wait a little' } }));
    await page.click('#run');
    assert.match(await outcome(page, 'missing').innerText(), /Too many requests\s+Wait a little\.\s+Try again in 7 s\./);
  }, { expected: [429] });
});

test('the verdict is removed when another check starts, and when the form is cleared', async () => {
  await visit(async (page) => {
    const deliver = async () => {
      await fill(page, { to: 'you@sandbox.test', target: '127.0.0.1', port: app.sandbox });
      await page.click('#run');
      await verdict(page).waitFor();
    };
    await deliver();
    const held = [];
    await page.route(CHECKS, (route) => held.push(route));
    await page.click('#run');
    await outcome(page, 'running').waitFor();
    assert.equal(await verdict(page).isVisible(), false);
    assert.equal(await page.locator('#of-transcript').isVisible(), false);
    assert.doesNotMatch(await page.locator('#status').innerText(), /Delivered/);
    await page.keyboard.press('Escape');
    await outcome(page, 'stopped').waitFor();
    assert.equal(await verdict(page).isVisible(), false);

    await page.unroute(CHECKS);
    await deliver();
    await page.click('[type=reset]');
    await page.locator('#idle').waitFor();
    assert.equal(await verdict(page).isVisible(), false);
    assert.equal(await page.locator('#status').innerText(), '');
  });
});

for (const [how, end, words] of [
  ['without a report', '', /The response was cut off/],
  ['in the middle of an event', 'event: report\ndata: {"id"', /The response was cut off/],
  ['with a problem', 'event: problem\ndata: {"title":"The target is forbidden","detail":"no"}\n\n', /The target is forbidden/],
]) {
  test(`a stream that ends ${how}`, async () => {
    const body = `event: begin\ndata: {"name":"dns","started_ms":0.1}\n\n${end}`;
    await visit(async (page) => {
      await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body }));
      await page.click('#run');
      await phaseRow(page, 'dns', 'cut').waitFor();
      assert.match(await outcome(page, 'missing').innerText(), words);
      assert.equal(await page.locator('#run').innerText(), 'Run the check');
    });
  });
}

test('no response', async () => {
  await visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ status: 502, body: 'Bad gateway' }));
    await page.click('#run');
    assert.match(await outcome(page, 'missing').innerText(), /502 Bad Gateway/);
  }, { expected: [502] });
});

test('a stopped check is no failure of the server, and keeps the keyboard focus', async () => {
  const gates = new Gates();
  const server = await smtpd({ gate: gates.pass });
  gates.open('banner');
  await visit(async (page) => {
    await fill(page, { target: '127.0.0.1', port: server.port, stop_after: 'ehlo' });
    await page.click('#run');
    await phaseRow(page, 'ehlo', 'running').waitFor();
    await page.focus('#stop');
    await page.keyboard.press('Enter');
    await server.ended;
    await outcome(page, 'stopped').waitFor();
    assert.match(await outcome(page, 'stopped').innerText(), /Stopped by you/);
    assert.match(await phaseRow(page, 'ehlo', 'cut').innerText(), /unfinished/);
    assert.equal(await page.locator('.phase.bad').count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'run');
    assert.deepEqual(await violations(page), []);
  });
});

test('the Esc key ends the check and the connection to the mail server', async () => {
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

test('harmful characters are shown as escapes, everywhere', async () => {
  const harmful = 'a\u009b31m\u007f\u2028\u061c\u202e\u200b\u{e0041}z';
  const escaped = String.raw`a\u009b31m\u007f\u2028\u061c\u202e\u200b\udb40\udc41z`;
  const report = example('rejected');
  report.failure.message = harmful;
  report.target.host = harmful;
  report.queue_id = harmful;
  report.warnings = [harmful];
  report.phases.forEach((phase) => { phase.message = harmful; });
  report.transcript = [{ at_ms: 1, from: 'server', text: harmful }];
  report.capabilities = { before_tls: { [harmful]: harmful }, after_tls: null };
  await visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: stream(report) }));
    await page.click('#run');
    await verdict(page).waitFor();
    const text = await page.evaluate(() => document.querySelector('#result').textContent);
    assert.doesNotMatch(text, /[\u0080-\u009f\u007f\u061c\u200b\u2028-\u202e]|\u{e0041}/u);
    assert.equal(text.split(escaped).length - 1 > 8, true, text);
    assert.deepEqual(JSON.parse(await page.evaluate(() => document.querySelector('.raw pre').textContent)), report);
  });
});

for (const [message, note] of [
  ['no greeting in time; a server that expects TLS from the first byte (implicit_tls) sends none either', /no greeting in time[^]*unless this port expects TLS/],
  ['no reply in time after "250-SIZE 1"', /after "250-SIZE 1"[^]*Temporary: the same check may succeed later/],
]) {
  test(`a timeout is explained: ${message}`, async () => {
    const report = example('rejected');
    report.failure = { phase: 'banner', kind: 'timeout', code: null, enhanced_code: null, message, temporary: true };
    await visit(async (page) => {
      await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: stream(report) }));
      await page.click('#run');
      await verdict(page).waitFor();
      assert.match(await verdict(page).innerText(), note);
    });
  });
}
