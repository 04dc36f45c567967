// Tests of the second tab: the check of a domain.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dns } from './dns.mjs';
import { MARKUP, broken, good, inconclusive, progress, stream, twelve } from './domains.mjs';
import { app, isSeen, verdict, violations, visit } from './page.mjs';
import { service } from './service.mjs';
import { smtpd } from './smtpd.mjs';

const CHECKS = '**/v1/checks/domain';
const NARROW = { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true };
const FRAGMENT = '#domain=example.com';

const row = (page, address) => page.locator(`tr[data-address="${address}"]`);
const cell = (page, address, column) => row(page, address).locator(`td[data-column="${column}"]`);
const whole = (report) => stream([...progress(report), ['report', report]]);

/** Opens the tab, runs a check whose events are these, and waits for its verdict. */
function shown(report, use, options = {}) {
  return visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: whole(report) }));
    await page.click('#domain-run');
    await verdict(page).waitFor();
    await use(page);
  }, { fragment: FRAGMENT, ...options });
}

/** Whether the page is wider than the screen. */
const overflows = (page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

for (const [name, report] of Object.entries({ good, broken, inconclusive, twelve })) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${name}, in the ${colorScheme} theme: accessible, also on a narrow phone`, async () => {
      for (const device of [undefined, NARROW]) {
        await shown(report(), async (page) => {
          assert.deepEqual(await violations(page), []);
          assert.equal(await overflows(page), false);
          assert.ok(await isSeen(verdict(page).locator('h2')), 'the verdict is not on the screen');
        }, { colorScheme, ...(device && { device }) });
      }
    });
  }
}

test('a good domain: verdicts in words, and the matrix', async () => {
  await shown(good(), async (page) => {
    assert.equal(await verdict(page).locator('h2').innerText(), 'Mail to example.com gets through');
    assert.equal(await verdict(page).getAttribute('data-outcome'), 'completed');
    assert.match(await page.locator('[data-view=mta_sts]').innerText(), /ok[^]*Mail gets through under the policy \(enforce\)/);
    const cells = await row(page, '203.0.113.8').locator('td').allInnerTexts();
    assert.deepEqual(cells.map((text) => text.split('\n')[0]), ['takes mail', 'TLSv1.3', 'valid', 'ok', 'ok']);
    assert.deepEqual(await page.locator('.matrix .server').allInnerTexts(), ['mx1.example.com', 'mx2.example.com']);
    assert.match(await page.locator('#of-domain-records').innerText(), /SPF[^]*2 of 10 lookups[^]*DMARC[^]*policy reject[^]*DKIM s1[^]*RSA 2048[^]*TLSA of mx1\.example\.com[^]*1 of 1 fit/);
    assert.match(await page.locator('#of-domain-senders').innerText(), /out\.example\.com leads back[^]*SPF pass/);
    assert.equal(await page.locator('#of-domain-findings').count(), 0);
    assert.match(await page.locator('#domain-status').textContent(), /Mail to example\.com gets through/);
  });
});

test('a broken domain: what fails for whom, and what to do, to copy', async () => {
  await shown(broken(), async (page) => {
    assert.match(await verdict(page).locator('h2').innerText(), /does not get through from senders with MTA-STS or DANE/);
    assert.match(await page.locator('[data-view=opportunistic]').innerText(), /Mail gets through\. But 2 of 4 addresses fail\./);
    assert.match(await cell(page, '203.0.113.8', 'Reach').innerText(), /not reached\s+TCP connect: connection refused/);
    assert.match(await cell(page, '203.0.113.17', 'Reach').innerText(), /RCPT TO refused\s+550 5\.1\.1/);
    assert.match(await cell(page, '203.0.113.9', 'STARTTLS').innerText(), /not offered/);
    assert.match(await cell(page, '203.0.113.7', 'Certificate').innerText(), /wrong name, unknown issuer/);
    assert.equal((await cell(page, '203.0.113.7', 'DANE').innerText()).trim(), 'fails');
    assert.match(await page.locator('.matrix').innerText(), /gone\.example\.com[^]*the name does not exist/);
    assert.match(await page.locator('#of-domain-differences').innerText(), /Certificate[^]*sha256:abab[^]*Outcome[^]*connect refused/);

    const findings = page.locator('.found > li');
    const severities = await findings.evaluateAll((items) => items.map((item) => item.dataset.severity));
    assert.deepEqual(severities, ['error', 'error', 'warning', 'notice', 'notice', 'info']);
    const copied = [];
    for (const button of await findings.locator('button').all()) {
      await button.click();
      copied.push(await page.evaluate(() => navigator.clipboard.readText()));
    }
    assert.deepEqual(copied.slice(0, 2), [`_25._tcp.mx1.example.com. IN TLSA 3 1 1 ${'cd'.repeat(32)}`, 'Publish the addresses of the name, or remove its MX record.']);
    assert.equal(copied[3], '_smtp._tls.example.com. IN TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.com"');
    assert.deepEqual(copied.slice(4, 6), ['_mta-sts.example.com. IN TXT "v=STSv1; id=1"', 'Serve the lines version: STSv1, mode: testing, then publish _mta-sts.example.com. IN TXT "v=STSv1; id=1".']);
    assert.equal(copied.length, 7);
    assert.equal(await findings.locator('a').first().getAttribute('href'), '/docs/findings#dane.mismatch');
  });
});

test('what could not be told looks other than what failed, in word and shape', async () => {
  await shown(inconclusive(), async (page) => {
    assert.equal(await verdict(page).locator('h2').innerText(), 'Could not tell whether mail to example.com gets through');
    assert.match(await page.locator('[data-view=mta_sts]').innerText(), /could not tell[^]*the web server did not answer in time/);
    assert.match(await cell(page, '203.0.113.7', 'Reach').innerText(), /could not tell\s+450 4\.2\.0 greylisted/);
    assert.match(await cell(page, '2001:db8::7', 'Reach').innerText(), /not checked\s+the address is not admitted/);
    assert.match(await page.locator('#of-domain-records').innerText(), /DMARC\s+could not tell\s+SERVFAIL\s+Asked for _dmarc[^]*DKIM s1\s+not looked up/);
    assert.equal(await page.locator('#domain-result .mark.fail').count(), 0);
    const shape = (kind) => page.evaluate((of) => {
      const probe = document.querySelector('#domain-result').appendChild(Object.assign(document.createElement('span'), { className: `mark ${of}` }));
      const shape = [getComputedStyle(probe, '::before').content, getComputedStyle(probe).borderTopStyle];
      probe.remove();
      return shape.join();
    }, kind);
    const shapes = await Promise.all(['ok', 'fail', 'warn', 'unknown', 'none'].map(shape));
    assert.equal(new Set(shapes).size, 5, shapes.join(' | '));
    assert.match(shapes[3], /\?.*dashed/);
  });
});

test('twelve mail servers with long names', async () => {
  await shown(twelve(), async (page) => {
    assert.equal(await page.locator('.matrix tbody').count(), 12);
    assert.equal(await page.locator('.matrix tr[data-address]').count(), 24);
  });
});

test('texts of servers and records are never HTML', async () => {
  await shown(broken(), async (page) => {
    assert.equal(await page.locator('#domain-result img').count(), 0);
    assert.ok((await cell(page, '203.0.113.17', 'Reach').innerText()).includes(MARKUP));
    assert.ok((await page.locator('#of-domain-records').innerText()).includes(`v=spf1 ${MARKUP}`));
    assert.equal(await page.title(), 'smtp-check');
  });
});

for (const [change, title, state] of [
  [{ mx_status: 'null_mx', hosts: [], verdict: { opportunistic: 'not_applicable', mta_sts: 'not_applicable', dane: 'not_applicable' } }, /takes no mail, and says so/, 'completed'],
  [{ mx_status: 'no_such_domain', hosts: [], verdict: { opportunistic: 'fail', mta_sts: 'not_applicable', dane: 'not_applicable' } }, /example\.com does not exist/, 'failed'],
  [{ mx_status: 'inconclusive', hosts: [], verdict: { opportunistic: 'inconclusive', mta_sts: 'inconclusive', dane: 'inconclusive' } }, /Could not tell/, 'inconclusive'],
  [{ counts: { error: 2, warning: 0, notice: 0, info: 0, inconclusive: 0 } }, /gets through, with 2 errors to mend/, 'flawed'],
]) {
  test(`the title of ${change.mx_status ?? 'a domain with errors'}`, async () => {
    await shown({ ...good(), ...change }, async (page) => {
      assert.match(await verdict(page).locator('h2').innerText(), title);
      assert.equal(await verdict(page).getAttribute('data-outcome'), state);
    });
  });
}

test('a check is shown live, and stopped', async () => {
  const events = progress(good());
  await visit(async (page) => {
    await page.evaluate(() => {
      const real = window.fetch;
      window.fetch = async (url, options) => {
        if (!String(url).includes('/v1/checks/domain')) return real(url, options);
        const body = new ReadableStream({
          start(controller) {
            window.push = (text) => controller.enqueue(new TextEncoder().encode(text));
            options.signal.addEventListener('abort', () => controller.error(new DOMException('aborted', 'AbortError')));
          },
        });
        return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
      };
    });
    const push = (event) => page.evaluate((text) => window.push(text), stream([event]));
    await page.fill('#domain-domain', 'example.com');
    await page.keyboard.press('Control+Enter');
    await page.locator('#domain-result .outcome.running').waitFor();
    await push(events[0]);
    await page.locator('.matrix .server', { hasText: 'mx2.example.com' }).waitFor();
    assert.match(await page.locator('.matrix').innerText(), /waiting[^]*waiting/);
    assert.match(await page.locator('#of-domain-records').innerText(), /MX\s+ok[^]*SPF\s+not yet known/);
    await push(events.find(([, { host }]) => host === 'mx1.example.com'));
    await row(page, '203.0.113.7').waitFor();
    assert.match(await cell(page, '203.0.113.7', 'Reach').innerText(), /takes mail/);
    assert.match(await cell(page, '203.0.113.7', 'DANE').innerText(), /not yet known/);
    assert.deepEqual(await violations(page), []);
    assert.equal(await verdict(page).count(), 0);

    await page.keyboard.press('Escape');
    await page.locator('#domain-result .outcome.stopped').waitFor();
    assert.match(await cell(page, '203.0.113.7', 'DANE').innerText(), /not known/);
    assert.equal(await page.locator('.pending').count(), 0);
    assert.equal(await page.locator('#domain-run').innerText(), 'Run the check');
  }, { fragment: '#domain=' });
});

test('violations of the service are shown at their fields', async () => {
  await visit(async (page) => {
    await page.fill('#domain-domain', '192.0.2.1');
    await page.fill('#domain-sending_ips', '192.0.2.1 here');
    for (const group of ['expect', 'limits']) await page.click(`#domain-group-${group} summary`);
    await page.fill('#domain-expect-mx', 'mx1.example.com, mx_2..example.com');
    await page.fill('#domain-mx_limit', '21');
    await page.click('#domain-run');
    for (const [id, words] of [['domain', /./], ['sending_ips', /^“here” must be an IPv4 or IPv6 address$/], ['expect-mx', /“mx_2\.\.example\.com” /], ['mx_limit', /1 to 20/]]) {
      const error = page.locator(`[id="domain-${id}-error"]`);
      await error.waitFor();
      assert.match(await error.innerText(), words);
      assert.equal(await page.locator(`#domain-${id}`).getAttribute('aria-invalid'), 'true');
      assert.match(await page.locator(`#domain-${id}`).getAttribute('aria-describedby'), new RegExp(`domain-${id}-error`));
    }
    assert.equal(await page.evaluate(() => document.activeElement.id), 'domain-domain');
    assert.match(await page.locator('#domain-result .outcome.missing').innerText(), /4 parameters are invalid/);
    assert.deepEqual(await violations(page), []);
  }, { fragment: '#domain=', expected: [422] });
});

test('a refusal is told in words', async () => {
  await visit(async (page) => {
    const problem = { title: 'Too many checks', detail: 'all places for checks of domains are taken' };
    await page.route(CHECKS, (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', headers: { 'Retry-After': '7' }, body: JSON.stringify(problem) }));
    await page.click('#domain-run');
    assert.match(await page.locator('#domain-result .outcome.missing').innerText(), /Too many checks[^]*All places[^]*Try again in 7 s/);
  }, { fragment: FRAGMENT, expected: [503] });
});

test('the request, the link and the curl command have what the form has', async () => {
  let link;
  const parameters = {
    domain: 'example.com', depth: 'tls', dkim_selectors: ['s1', 's2'], sending_ips: ['192.0.2.1', '2001:db8::1'], mx_limit: 3, transcript: true,
    expect: { mx: ['mx1.example.com', 'mx2.example.com'], dmarc_policy: 'reject', dane: false },
  };
  await visit(async (page) => {
    const asked = page.waitForRequest(CHECKS);
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: whole(good()) }));
    await page.locator('#domain-check details').evaluateAll((groups) => groups.forEach((group) => group.setAttribute('open', '')));
    await page.fill('#domain-domain', ' example.com ');
    await page.selectOption('#domain-depth', 'tls');
    await page.fill('#domain-dkim_selectors', 's1, s2');
    await page.fill('#domain-sending_ips', '192.0.2.1 2001:db8::1');
    await page.fill('#domain-mx_limit', '3');
    await page.check('#domain-transcript');
    await page.fill('#domain-expect-mx', 'mx1.example.com; mx2.example.com');
    await page.selectOption('#domain-expect-dmarc_policy', 'reject');
    await page.selectOption('#domain-expect-dane', 'false');
    await page.click('#domain-run');
    const request = await asked;
    assert.equal(request.headers().accept, 'text/event-stream');
    assert.deepEqual(request.postDataJSON(), parameters);
    await page.click('#domain-copy-curl');
    const line = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(line.startsWith(`curl -sS ${app.origin}/v1/checks/domain `), line);
    assert.deepEqual(JSON.parse(line.slice(line.indexOf('{'), line.lastIndexOf('}') + 1)), parameters);
    await page.click('#domain-copy-link');
    link = await page.evaluate(() => navigator.clipboard.readText());
  }, { fragment: '#domain=' });
  await visit(async (page) => {
    const asked = page.waitForRequest(CHECKS);
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: whole(good()) }));
    assert.ok(await page.locator('#domain-expect-mx').isVisible(), 'the group that was filled in is closed');
    await page.click('#domain-run');
    assert.deepEqual((await asked).postDataJSON(), parameters);
  }, { fragment: link.slice(link.indexOf('#')) });
});

test('the form has every parameter of the document, each with a label', async () => {
  await visit(async (page) => {
    const { DomainRequest: request, DomainExpectations: expectations } = await page.evaluate(() =>
      fetch('/openapi.json').then((answer) => answer.json()).then((document) => document.components.schemas));
    const expected = Object.keys(expectations.properties).map((name) => `expect/${name}`);
    const parameters = [...Object.keys(request.properties).filter((name) => name !== 'expect'), ...expected];
    const fields = await page.locator('#domain-check [name]').evaluateAll((elements) => elements.map((element) => element.name));
    assert.deepEqual(fields.toSorted(), parameters.toSorted());
    for (const element of await page.locator('#domain-check :is(input, select, textarea)').all()) {
      assert.ok(await element.evaluate((field) => field.labels.length > 0), 'a field without a label');
    }
  }, { fragment: '#domain=' });
});

test('the tabs work by keyboard, and each keeps what it has', async () => {
  await visit(async (page) => {
    await page.route(CHECKS, (route) => route.fulfill({ contentType: 'text/event-stream', body: whole(good()) }));
    await page.fill('#to', 'probe@example.test');
    await page.focus('#tab-server');
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-domain');
    assert.equal(await page.locator('#tab-domain').getAttribute('aria-selected'), 'true');
    assert.equal(await page.locator('#check').isVisible(), false);
    assert.deepEqual(await violations(page), []);
    await page.focus('#domain-domain');
    await page.keyboard.type('example.com');
    await page.keyboard.press('Enter');
    await verdict(page).waitFor();
    await page.focus('.skip');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/#domain-result');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'domain-result');
    await page.focus('#tab-domain');
    await page.keyboard.press('ArrowLeft');
    assert.equal(await page.inputValue('#to'), 'probe@example.test');
    assert.equal(await page.locator('#domain-check').isVisible(), false);
    await page.keyboard.press('End');
    assert.ok(await verdict(page).isVisible(), 'the result of the tab is gone');
    await page.reload();
    assert.ok(await page.locator('#domain-check').isVisible(), 'another tab after a reload');
  });
});

for (const [where, device] of [['in a small window', { viewport: { width: 1280, height: 700 } }], ['on a narrow phone', NARROW]]) {
  test(`${where}, the focused element is visible`, async () => {
    await visit(async (page) => {
      await page.locator('#domain-check details').evaluateAll((groups) => groups.forEach((group) => group.setAttribute('open', '')));
      await page.focus('#domain-domain');
      for (let id = 'domain-domain'; id !== 'domain-run'; id = await page.evaluate(() => document.activeElement.id)) {
        assert.ok(await isSeen(page.locator(':focus')), id);
        await page.keyboard.press('Tab');
      }
    }, { device, fragment: '#domain=' });
  });
}

test('the service itself: a domain that it cannot look up, or that does not exist', async () => {
  await visit(async (page) => {
    await page.fill('#domain-domain', 'nowhere.invalid');
    await page.click('#domain-run');
    await verdict(page).waitFor();
    assert.match(await verdict(page).locator('h2').innerText(), /nowhere\.invalid/);
    assert.notEqual(await verdict(page).getAttribute('data-outcome'), 'completed');
    assert.match(await page.locator('#of-domain-records').innerText(), /MX[^]*SPF[^]*DMARC[^]*MTA-STS[^]*TLS-RPT/);
  }, { fragment: '#domain=' });
});

test('the service itself: a domain with a server that refuses for now, and one that is not there', async () => {
  const mail = await smtpd({ replies: { rcptto: `450 4.2.0 ${MARKUP} greylisted` } });
  const names = await dns({
    'example.test MX': ['10 mx1.example.test', '20 mx2.example.test'], 'mx1.example.test A': ['127.0.0.1'], 'mx2.example.test A': ['127.0.0.2'],
    'example.test TXT': ['v=spf1 mx -all'], '_dmarc.example.test TXT': null,
  });
  const real = await service(['--dns-server', names.server, '--dnssec', 'off']);
  try {
    await visit(async (page) => {
      await page.click('#domain-run');
      await verdict(page).waitFor();
      assert.equal(await verdict(page).locator('h2').innerText(), 'No mail server of example.test that could be judged takes the mail');
      assert.match(await page.locator('[data-view=opportunistic]').innerText(), /But 1 of 2 could not be judged/);
      assert.match(await cell(page, '127.0.0.1', 'Reach').innerText(), /could not tell\s+450 4\.2\.0 <img/);
      assert.match(await cell(page, '127.0.0.1', 'STARTTLS').innerText(), /not offered/);
      assert.match(await cell(page, '127.0.0.2', 'Reach').innerText(), /TCP connect: connection refused/);
      assert.match(await page.locator('#of-domain-records').innerText(), /SPF\s+ok[^]*1 of 10 lookups[^]*DMARC\s+could not tell\s+[^]*SERVFAIL[^]*MTA-STS\s+none published/);
      assert.match(await page.locator('#of-domain-dialogues').textContent(), /RCPT TO:<postmaster@example\.test>/);
      assert.equal(await page.locator('.found > li').count() > 0, true);
      assert.deepEqual(await violations(page), []);
    }, { origin: real.origin, fragment: `#domain=example.test&transcript=true&port=${mail.port}` });
  } finally {
    real.stop();
    names.stop();
  }
});
