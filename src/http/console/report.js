// The report of a check that ran: the verdict, the certificates, what the server offers, the dialogue.

import { copy, duration, h } from './dom.js';
import { nameOf } from './waterfall.js';

const KINDS = {
  dns: 'the name leads to no mail server', refused: 'connection refused', unreachable: 'unreachable', timeout: 'no answer in time',
  closed: 'the server hung up', protocol: 'not as SMTP has it', rejected: 'rejected', tls: 'the TLS handshake failed',
  certificate: 'the certificate is not good enough', unsupported: 'not supported',
};

const CERTIFICATE_ERRORS = {
  expired: 'Expired', not_yet_valid: 'Not yet valid', wrong_name: 'Wrong name', self_signed: 'Self-signed',
  unknown_issuer: 'Unknown issuer', bad_signature: 'Bad signature', wrong_key_usage: 'Wrong key usage', weak_key: 'Weak key',
  unproven_key: 'Unproven key', name_constraint: 'Name constraint', unsupported: 'Unsupported', malformed: 'Malformed', other: 'Not trusted',
};

const DAY = 24 * 60 * 60;

/** How it ended, in a sentence, and the facts that one looks for first. */
export function verdict(report) {
  const { outcome, failure, target, metrics, tls } = report;
  const last = report.phases.filter(({ name, ok }) => ok && name !== 'quit').at(-1);
  const title = {
    delivered: 'Delivered: the server took the message',
    completed: `Completed: ended after ${nameOf(last?.name)}, as asked`,
    failed: failure && `Failed at ${nameOf(failure.phase)}: ${KINDS[failure.kind] ?? failure.kind}`,
  }[outcome];
  return h('div', { class: `card verdict ${outcome}`, 'data-outcome': outcome },
    h('h2', {}, title),
    failure && h('p', { class: 'words' }, [failure.code && h('b', {}, `${failure.code} `), failure.enhanced_code && `${failure.enhanced_code} `, failure.message]),
    failure && h('p', { class: 'note' }, failure.temporary ? 'Temporary: the same check may succeed later.' : 'Permanent: trying again will not help.'),
    h('dl', { class: 'facts' },
      fact('Server', `${target.host}${target.address && target.address !== target.host ? ` [${target.address}]` : ''}, port ${target.port}${target.via === 'mx' ? ', by MX' : ''}`),
      fact('Duration', duration(metrics.duration)),
      tls?.cipher && fact('Encryption', `${tls.version}, ${tls.cipher}`),
      metrics.cert_end_in !== undefined && fact('Certificate', certificateInWords(metrics.cert_end_in, tls?.errors ?? [])),
      report.queue_id && fact('Queued as', report.queue_id)),
    report.warnings.length > 0 && h('ul', { class: 'warnings', 'aria-label': 'Warnings' }, report.warnings.map((warning) => h('li', {}, warning))),
    target.attempts && h('details', {}, h('summary', {}, `${target.attempts.length} tried in vain`),
      h('ul', {}, target.attempts.map(({ host, address, error }) => h('li', {}, `${host}${address ? ` [${address}]` : ''}: ${error}`)))));
}

function fact(term, text) {
  return h('div', {}, h('dt', {}, term), h('dd', {}, text));
}

function certificateInWords(endIn, errors) {
  const days = Math.floor(Math.abs(endIn) / DAY);
  const end = endIn < 0 ? `expired ${days} days ago` : `${days} days left`;
  const others = errors.filter((error) => error !== 'expired').map((error) => CERTIFICATE_ERRORS[error]?.toLowerCase() ?? error);
  return [end, ...others].join(', ');
}

/** Everything else, a card each. */
export function details(report) {
  return [
    report.tls && certificates(report),
    (report.capabilities.before_tls || report.capabilities.after_tls) && capabilities(report.capabilities),
    report.transcript && transcript(report.transcript),
    raw(report),
  ].filter(Boolean);
}

function card(id, title, ...children) {
  return h('section', { class: 'card', id: `of-${id}`, 'aria-labelledby': `of-${id}-title` }, h('h2', { id: `of-${id}-title` }, title), children);
}

function certificates({ tls, metrics }) {
  const state = tls.errors.length > 0
    ? h('ul', { class: 'chips', 'aria-label': 'What is wrong' }, tls.errors.map((error) => h('li', { class: 'chip bad', 'data-error': error }, CERTIFICATE_ERRORS[error] ?? error)))
    : h('ul', { class: 'chips', 'aria-label': 'Verdict' }, h('li', { class: `chip ${tls.verified ? 'good' : 'bad'}` }, tls.verified ? 'Verified' : 'Not verified'));
  return card('certificate', 'Certificate',
    state,
    metrics.cert_error && h('p', { class: 'words' }, metrics.cert_error),
    h('p', { class: 'note' }, `Asked for as ${tls.server_name}.`),
    h('ol', { class: 'chain' }, tls.chain.map((facts, place) => link(facts, place))));
}

function link(facts, place) {
  const [from, to, now] = [Date.parse(facts.not_before), Date.parse(facts.not_after), Date.now()];
  const spent = Math.min(100, Math.max(0, (100 * (now - from)) / Math.max(1, to - from)));
  const meter = h('span', { class: 'meter', 'aria-hidden': 'true' }, h('span', {}));
  meter.firstChild.style.width = `${spent}%`;
  return h('li', {},
    h('h3', {}, facts.subject || '(no subject)', h('small', {}, place === 0 ? ' the server’s own' : ' sent along')),
    h('dl', { class: 'pairs' },
      fact('Issuer', facts.issuer),
      facts.names.length > 0 && fact('Names', facts.names.join(', ')),
      h('div', {}, h('dt', {}, 'Valid'), h('dd', { class: now < from || now > to ? 'bad' : null },
        `${day(facts.not_before)} to ${day(facts.not_after)}, ${left(to - now)}`, meter)),
      fact('Key', facts.key),
      fact('Serial', facts.serial),
      h('div', {}, h('dt', {}, 'SHA-256'), h('dd', { class: 'code' }, facts.fingerprint_sha256))));
}

const day = (instant) => instant.slice(0, 10);

function left(ms) {
  const days = Math.floor(Math.abs(ms) / (1000 * DAY));
  return ms < 0 ? `over for ${days} days` : `${days} days left`;
}

function capabilities({ before_tls: before, after_tls: after }) {
  const keywords = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const cell = (offered, keyword) => {
    if (!offered || !(keyword in offered)) return h('td', { class: 'none' }, h('span', { class: 'unseen' }, 'not offered'));
    return h('td', {}, offered[keyword] || '✓');
  };
  return card('capabilities', 'What the server offers',
    h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'Keywords' }, h('table', {},
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Keyword'), before && h('th', { scope: 'col' }, 'In clear text'), after && h('th', { scope: 'col' }, 'Inside TLS'))),
      h('tbody', {}, keywords.map((keyword) => h('tr', {}, h('th', { scope: 'row' }, keyword), before && cell(before, keyword), after && cell(after, keyword)))))));
}

const SPEAKERS = { client: 'C', server: 'S', tls: '·' };

function transcript(lines) {
  return card('transcript', 'Dialogue',
    h('div', { class: 'scroll dialogue', tabindex: '0', role: 'group', 'aria-label': 'Lines' }, h('ol', {}, lines.map(({ at_ms: at, from, text }) =>
      h('li', { class: from }, h('span', { class: 'at' }, duration(at)), h('span', { class: 'who', 'aria-label': from }, SPEAKERS[from] ?? from), h('span', { class: 'said' }, text))))));
}

function raw(report) {
  const text = JSON.stringify(report, null, 2);
  const button = h('button', { type: 'button', class: 'link' }, 'Copy JSON');
  button.addEventListener('click', () => copy(text, button));
  return h('details', { class: 'card raw' }, h('summary', {}, 'The report as JSON'), button, h('pre', { tabindex: '0' }, text));
}
