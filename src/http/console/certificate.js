// The certificates that the server showed, and what is wrong about them.

import { card, fact, h } from './dom.js';

const CERTIFICATE_ERRORS = {
  expired: 'Expired', not_yet_valid: 'Not yet valid', wrong_name: 'Wrong name', self_signed: 'Self-signed',
  unknown_issuer: 'Unknown issuer', bad_signature: 'Bad signature', wrong_key_usage: 'Wrong key usage', unproven_key: 'Unproven key',
  name_constraint: 'Name constraint', unsupported: 'Unsupported', malformed: 'Malformed', other: 'Not trusted',
};

const DAY = 24 * 60 * 60;

/** How long it lasts yet, and what else is wrong. */
export function certificateInWords(endIn, errors) {
  const days = Math.floor(Math.abs(endIn) / DAY);
  const end = endIn < 0 ? `expired ${days} days ago` : `${days} days left`;
  const others = errors.filter((error) => error !== 'expired').map((error) => CERTIFICATE_ERRORS[error]?.toLowerCase() ?? error);
  return [end, ...others].join(', ');
}

/** The card of the certificates. */
export function certificates({ tls, metrics }) {
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
