// Tests of the form: input, errors at the fields, links, and the curl command.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { PHONE, fill, app, isSeen, verdict, violations, visit } from './page.mjs';
import { smtpd } from './smtpd.mjs';

const SHELLS = ['bash', 'sh'];

async function shell(line, password = '', kind = 'bash') {
  const { stdout } = await promisify(execFile)(kind, ['-c', line], { env: { PATH: process.env.PATH, SASL_PASSWORD: password } });
  return stdout;
}

async function copied(page) {
  await page.click('#copy-curl');
  return page.evaluate(() => navigator.clipboard.readText());
}

test('a violation is shown at its field, and removed when it is corrected', async () => {
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
    assert.equal(await page.locator('#port-error').innerText(), 'Port must be a whole number from 1 to 65535');
    assert.ok((await page.locator('#port-error').boundingBox()).height < 30, 'the narrow field breaks the sentence');
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

for (const [what, parameters, told] of [
  ['no recipient', { target: '127.0.0.1' }, ['is required (unless “How far to go” ends before RCPT TO and “Mail server” is given)']],
  ['no recipient and no server', { stop_after: 'ehlo' }, ['is required when “Recipient” is left out']],
  ['a mechanism alone', { target: '127.0.0.1', stop_after: 'sasl_auth', sasl_authentication: 'plain' }, Array(2).fill('is required unless “Mechanism” is off')],
  ['an end at no login', { target: '127.0.0.1', stop_after: 'sasl_auth' }, ['is AUTH, and the check has no AUTH: give “Mechanism”']],
  ['an end at no TLS', { target: '127.0.0.1', stop_after: 'starttls' }, ['is “STARTTLS”, and the check has no STARTTLS: give “STARTTLS”']],
  ['a binary PROXY header', { target: '127.0.0.1', stop_after: 'ehlo', proxy_protocol: true, proxy_version: '2', proxy_source_address: 'here' },
    ['must be an IP address of the family TCP4 with “Version” 2']],
  ['a part of an object', { target: '127.0.0.1', stop_after: 'rcptto', to: 'a@b.test', expect: '{"rcptto": {"code": "9xx"}}' }, [/^rcptto\/code must be /]],
]) {
  test(`a violation names fields by their labels: ${what}`, async () => {
    await visit(async (page) => {
      await fill(page, parameters);
      await page.click('#run');
      await page.locator('.error').first().waitFor();
      const shown = await page.locator('.error').allInnerTexts();
      assert.equal(shown.length, told.length);
      told.forEach((text, at) => (text instanceof RegExp ? assert.match(shown[at], text) : assert.equal(shown[at], text)));
    }, { expected: [422] });
  });
}

test('blanks around a pasted value are removed, except in a password', async () => {
  const server = await smtpd();
  await visit(async (page) => {
    const given = { to: ' probe@example.test ', target: '127.0.0.1 ', port: ` ${server.port}`, sasl_user: ' me ', sasl_password: ' my ' };
    await fill(page, { ...given, sasl_authentication: 'plain' });
    await page.click('#run');
    await verdict(page).waitFor();
    assert.match(await verdict(page).innerText(), /Delivered/);
    assert.deepEqual(server.logins, ['\0 me \0 my ']);
  });
});

test('a link fills in the form, contains no password, and starts no check', async () => {
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

test('unknown parameters of a link are ignored', async () => {
  await visit(async (page) => {
    const value = (name) => page.locator(`[name="${name}"]`).inputValue();
    assert.deepEqual(
      [await value('to'), await value('sasl_authentication'), await value('stop_after'), await value('sasl_password')],
      ['you@sandbox.test', '', 'ehlo', '']);
    await page.focus('.skip');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/#result');
    assert.equal(await value('to'), 'you@sandbox.test', 'the way to the result empties the form');
  }, { fragment: '#length=1&item=2&elements=3&sasl_password=x&encryption=starttls&sasl_authentication=bogus&stop_after=ehlo&to=you@sandbox.test' });
});

test('the page works with user name and token in its address', async () => {
  await visit(async (page) => {
    await page.locator('#version', { hasText: /\d/ }).waitFor();
    await fill(page, { target: '127.0.0.1', port: app.sandbox, stop_after: 'ehlo' });
    await page.click('#run');
    await verdict(page).waitFor();
  }, { login: 'anybody:token@' });
});

test('the copied curl command runs the same check', async () => {
  await visit(async (page) => {
    await fill(page, { to: "o'brien@sandbox.test", target: '127.0.0.1', port: app.sandbox, ehlo: '[IPv6:::1]', stop_after: 'rcptto', payload: 'a "b" \\ %s\nc' });
    const { outcome, transcript } = JSON.parse(await shell(await copied(page)));
    assert.equal(outcome, 'completed');
    assert.ok(transcript.some(({ text }) => text === "RCPT TO:<o'brien@sandbox.test>"));
  });
});

for (const password of ['pa"ss\\word', 'tab\\there', "it's $HOME %s `id` \\\\", '密码"']) {
  test(`the copied curl command logs in with ${password}`, async () => {
    const server = await smtpd();
    await visit(async (page) => {
      await fill(page, { to: "o'brien@sandbox.test", target: '127.0.0.1', port: server.port, sasl_authentication: 'plain', sasl_user: 'de"mo', sasl_password: password });
      const line = await copied(page);
      assert.ok(!line.includes(password), line);
      // A stand-in for curl that prints its arguments: every user of the machine can read those.
      const seen = await shell(`curl() { printf '%s ' "$@"; }; ${line}`, password);
      assert.equal(seen, `-sS ${app.origin}/v1/checks/smtp -H Content-Type: application/json -d @- `);
      for (const kind of SHELLS) {
        assert.equal(JSON.parse(await shell(line, password, kind)).outcome, 'delivered', kind);
        assert.equal(server.logins.at(-1), `\0de"mo\0${password}`);
      }
    });
  });
}

test('the form has every mechanism of the document', async () => {
  await visit(async (page) => {
    const document = await page.evaluate(() => fetch('/openapi.json').then((answer) => answer.json()));
    const offered = await page.locator('#sasl_authentication option').evaluateAll((options) => options.map((option) => option.value || 'off'));
    assert.deepEqual(offered.toSorted(), document.components.schemas.SaslAuthentication.enum.toSorted());
  });
});

test('a login with an initial response', async () => {
  const server = await smtpd();
  await visit(async (page) => {
    await fill(page, { to: 'probe@example.test', target: '127.0.0.1', port: server.port, sasl_authentication: 'plain', sasl_user: 'me', sasl_password: 'my', sasl_initial_response: true });
    await page.click('#run');
    await verdict(page).waitFor();
    assert.match(await page.locator('#sasl').innerText(), /^Login by PLAIN, with an initial response\.$/);
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

test('the page can be used by keyboard alone', async () => {
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

for (const [where, device] of [['in a small window', { viewport: { width: 1280, height: 700 } }], ['on a phone', PHONE]]) {
  test(`${where}, the focused element is visible`, async () => {
    await visit(async (page) => {
      await page.locator('details').evaluateAll((groups) => groups.forEach((group) => group.setAttribute('open', '')));
      await page.focus('#to');
      for (let id = 'to'; id !== 'run'; id = await page.evaluate(() => document.activeElement.id)) {
        assert.ok(await isSeen(page.locator(':focus')), id);
        await page.keyboard.press('Tab');
      }
      await page.focus('#run');
      for (let id = 'run'; id !== 'to'; id = await page.evaluate(() => document.activeElement.id)) {
        assert.ok(await isSeen(page.locator(':focus')), `${id}, backwards`);
        await page.keyboard.press('Shift+Tab');
      }
    }, { device });
  });
}
