// The matrix of mail servers, their addresses, and what each shows.

import { certificateErrors, certificateSummary } from './certificate.js';
import { card, h } from './dom.js';
import { mark, stateMark, verdictMark } from './mark.js';
import { failureWords } from './verdict.js';
import { nameOf } from './waterfall.js';

const COLUMNS = ['Reach', 'STARTTLS', 'Certificate', 'DANE', 'MTA-STS'];
/** Phases before which nothing is known of the server. */
const REACHING = ['dns', 'connect', 'proxy', 'banner', 'ehlo'];
const SECURING = ['starttls', 'tls', 'ehlo_tls'];

/** The card with the matrix. While the check runs, DANE and MTA-STS are not known yet. */
export function matrix(hosts, isRunning) {
  // Roles of their own: on a phone the rows are stacked, and a browser may then see no table.
  return card('domain-servers', 'Mail servers', h('table', { class: 'matrix', role: 'table' },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ['Address', ...COLUMNS].map((name) => h('th', { scope: 'col', role: 'columnheader' }, name)))),
    hosts.map((host) => h('tbody', { role: 'rowgroup' }, heading(host, isRunning), host.addresses.map((seen) => row(seen, isRunning))))));
}

function heading({ name, preference, addresses, reason, views }, isRunning) {
  const waits = isRunning && addresses.length === 0;
  return h('tr', { class: 'host', role: 'row' }, h('th', { scope: 'rowgroup', role: 'rowheader', colspan: String(1 + COLUMNS.length), 'aria-colspan': String(1 + COLUMNS.length) },
    h('span', { class: 'server' }, name), preference !== null && h('small', {}, ` preference ${preference}`),
    waits && [' ', mark('pending', 'waiting')],
    reason && [' ', mark(views.opportunistic === 'fail' ? 'fail' : 'unknown', reason)]));
}

function row(seen, isRunning) {
  const cells = [reach(seen), startTls(seen), certificate(seen), policy(seen, 'dane', isRunning), policy(seen, 'mta_sts', isRunning)];
  return h('tr', { role: 'row', 'data-address': seen.address },
    h('th', { scope: 'row', role: 'rowheader' }, seen.address),
    cells.map((cell, index) => h('td', { role: 'cell', 'data-column': COLUMNS[index] }, h('div', {}, cell))));
}

function note(text) {
  return text && h('span', { class: 'said' }, text);
}

/** Whether the server takes mail at all. */
function reach({ report, refusal, views: { opportunistic } }) {
  if (!report) return [mark('unknown', 'not checked'), note(refusal)];
  const { failure, phases } = report;
  const phase = failure?.phase;
  if (!failure || SECURING.includes(phase)) return mark('ok', phases.some(({ name, ok }) => name === 'rcptto' && ok) ? 'takes mail' : 'answers');
  const words = note(failureWords(failure));
  if (opportunistic === 'inconclusive') return [mark('unknown', 'could not tell'), words];
  if (REACHING.includes(phase)) return [mark('fail', phase === 'connect' ? 'not reached' : 'no session'), words];
  if (opportunistic === 'fail') return [mark('fail', `${nameOf(phase)} refused`), words];
  return [mark('warn', `answers, but ${nameOf(phase)} refused`), words];
}

function startTls({ report, views: { opportunistic } }) {
  if (!report) return mark('none', 'not checked');
  const { failure, tls, capabilities } = report;
  if (failure && SECURING.includes(failure.phase)) {
    return [opportunistic === 'inconclusive' ? mark('unknown', 'could not tell') : mark('fail', 'fails'), note(failureWords(failure))];
  }
  if (tls?.version) return mark('ok', tls.version);
  const before = capabilities?.before_tls;
  if (before && !('STARTTLS' in before)) return mark('warn', 'not offered');
  return mark('none', 'not reached');
}

function certificate({ report }) {
  const tls = report?.tls;
  if (!tls || tls.chain.length === 0) return mark('none', 'none seen');
  const errors = certificateErrors(tls);
  if (errors.length > 0) return [mark('warn', errors.join(', ').toLowerCase()), note(tls.chain[0].subject)];
  return [mark('ok', 'valid'), h('span', { class: 'said' }, certificateSummary(report.metrics.cert_end_in, tls))];
}

function policy({ views }, view, isRunning) {
  if (isRunning && views[view] === 'inconclusive') return mark('pending', 'not yet known');
  return verdictMark(views[view]);
}

/** The TLSA records of the hosts. */
export function tlsaRows(hosts) {
  return hosts.filter(({ tlsa }) => tlsa).map(({ name, tlsa }) => ({
    name: `TLSA of ${name}`,
    state: stateMark(tlsa.state),
    record: { ...tlsa, looked_up: tlsa.base ? [`${tlsa.base} TLSA`] : [] },
    facts: tlsa.records.length > 0 && (tlsa.matched.length > 0 ? `${tlsa.matched.length} of ${tlsa.records.length} fit what was shown` : 'none fits what was shown'),
  }));
}
