// The console in a Chromium that can reach no host but the service, and the actions of a user. For test files that import it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';

import { chromium } from 'playwright-core';

import { stopAll } from './smtpd.mjs';
import { service } from './service.mjs';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const DESKTOP = { viewport: { width: 1280, height: 900 } };
export const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };

let browser;
/** The service with the console. */
export let app;

before(async () => {
  app = await service();
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
  });
});

after(async () => {
  await browser?.close();
  app?.stop();
  stopAll();
});

/** Opens the console, runs `use` with it, and then checks the page: no error, and no request to another host. */
export async function visit(use, { login = '', fragment = '', device = DESKTOP, colorScheme = 'light', expected = [], origin = app.origin } = {}) {
  const context = await browser.newContext({ ...device, colorScheme, permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = [];
  const asked = new Set();
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => asked.add(request.url()));
  try {
    await page.goto(`${origin.replace('//', `//${login}`)}/${fragment}`);
    await use(page);
    // The browser reports a response such as 422 as an error of the page.
    const unexpected = complaints.filter((complaint) => !expected.some((status) => complaint.includes(`status of ${status}`)));
    assert.deepEqual(unexpected, []);
    assert.deepEqual([...asked].filter((url) => new URL(url).origin !== origin), []);
  } finally {
    await context.close();
  }
}

export async function fill(page, parameters) {
  for (const [name, value] of Object.entries(parameters)) {
    const field = page.locator(`[name="${name}"]`);
    await field.evaluate((element) => element.closest('details')?.setAttribute('open', ''));
    if (value === true) await field.check();
    else if ((await field.evaluate((element) => element.tagName)) === 'SELECT') await field.selectOption(value);
    else await field.fill(String(value));
  }
}

/** The findings of axe-core on the page as it is now. */
export async function violations(page) {
  // Through the debugging interface of the browser: the content security policy allows no other script.
  await page.evaluate(`(() => { ${readFileSync(AXE, 'utf8')} })()`);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document);
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`);
  });
}

export const phaseRow = (page, phase, state) => page.locator(`.phase[data-phase="${phase}"].${state}`);
export const verdict = (page) => page.locator('.verdict');

/** Whether the element, or the first line of a tall one, is visible: on the screen, and not covered. */
export const isSeen = (locator) => locator.evaluate((element) => {
  const { left, top, width, height } = element.getBoundingClientRect();
  return [top + 2, top + Math.min(height, 40) / 2].every((y) => {
    const there = document.elementFromPoint(left + width / 2, y);
    return there !== null && (element.contains(there) || there.contains(element));
  });
});
