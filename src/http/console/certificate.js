// The certificates of the server, and their errors.

import { card, fact, h } from './dom.js';

const CERTIFICATE_ERRORS = {
  expired: 'Expired', not_yet_valid: 'Not yet valid', wrong_name: 'Wrong name', self_signed: 'Self-signed',
  unknown_issuer: 'Unknown issuer', bad_signature: 'Bad signature', wrong_key_usage: 'Wrong key usage', weak_key: 'Weak key', unproven_key: 'Unproven key',
  name_constraint: 'Name constraint', unsupported: 'Unsupported', malformed: 'Malformed', other: 'Not trusted',
};

const DAY = 24 * 60 * 60;

/** The errors of the server's certificate, in one or two words each. */
export function certificateErrors(tls) {
  if (!tls || tls.verified) return [];
  return tls.errors.length > 0 ? tls.errors.map((error) => CERTIFICATE_ERRORS[error] ?? error) : ['Not verified'];
}

/** The time until it expires (`undefined` if that cannot be told), and its errors. */
export function certificateSummary(endIn, tls) {
  const warn = (text) => h('span', { class: 'chip warn' }, text);
  const written = tls.chain[0].not_after;
  // The service compares no date with a clock that is set wrong.
  const unknown = written === null ? warn('end unreadable') : `until ${day(written)}`;
  const end = endIn === undefined ? unknown : endIn < 0 ? warn(left(endIn)) : left(endIn);
  const others = certificateErrors(tls).filter((error) => error !== CERTIFICATE_ERRORS.expired);
  return [end, others.map((error) => [' ', warn(error)])];
}

/** The card with the certificates. */
export function certificates({ tls, metrics }) {
  const state = tls.verified
    ? h('ul', { class: 'chips', 'aria-label': 'Verdict' }, h('li', { class: 'chip good' }, 'Verified'))
    : h('ul', { class: 'chips', 'aria-label': 'What is wrong' }, certificateErrors(tls).map((error) => h('li', { class: 'chip bad' }, error)));
  return card('certificate', 'Certificate',
    state,
    metrics.cert_error && h('p', { class: 'words' }, metrics.cert_error),
    h('p', { class: 'note' }, `Server name: ${tls.server_name}.${clientCertificate(tls.client_certificate)}`),
    h('ol', { class: 'chain' }, tls.chain.map((facts, place) => link(facts, place))));
}

function clientCertificate({ requested, shown }) {
  if (!requested) return '';
  return shown === null ? ' The server asked for a client certificate, and was shown none.' : ` The server was shown the client certificate “${shown}”.`;
}

function link(facts, place) {
  return h('li', {},
    h('h3', {}, facts.subject || '(no subject)', h('small', {}, place === 0 ? ' the server’s own' : ' sent with it')),
    h('dl', { class: 'pairs' },
      fact('Issuer', facts.issuer),
      facts.names.length > 0 && fact('Names', facts.names.join(', ')),
      validity(facts),
      fact('Key', facts.key),
      fact('Serial', facts.serial),
      h('div', {}, h('dt', {}, 'SHA-256'), h('dd', { class: 'code' }, facts.fingerprint_sha256))));
}

/** The dates; one that cannot be read as it is written. */
function validity(facts) {
  const written = (instant, text) => (instant === null ? `“${text}” (unreadable)` : day(instant));
  const dates = `${written(facts.not_before, facts.not_before_as_written)} to ${written(facts.not_after, facts.not_after_as_written)}`;
  if (facts.not_before === null || facts.not_after === null) {
    return h('div', {}, h('dt', {}, 'Valid'), h('dd', { class: 'bad' }, dates));
  }
  const [from, to, now] = [Date.parse(facts.not_before), Date.parse(facts.not_after), Date.now()];
  const spent = Math.min(100, Math.max(0, (100 * (now - from)) / Math.max(1, to - from)));
  const meter = h('span', { class: 'meter', 'aria-hidden': 'true' }, h('span', {}));
  meter.firstChild.style.width = `${spent}%`;
  return h('div', {}, h('dt', {}, 'Valid'), h('dd', { class: now < from || now > to ? 'bad' : null },
    `${dates}, ${left((to - now) / 1000)}`, meter));
}

const day = (instant) => instant.slice(0, 10);

function left(seconds) {
  const days = Math.floor(Math.abs(seconds) / DAY);
  const counted = `${days} ${days === 1 ? 'day' : 'days'}`;
  return seconds < 0 ? `expired ${counted} ago` : `${counted} left`;
}
