// The verdict: how a check ended, and its main facts.

import { certificateErrors, certificateSummary } from './certificate.js';
import { duration, fact, h, withCode } from './dom.js';
import { nameOf } from './waterfall.js';

/** The kinds of failure. `tls` needs no text: its phase is the TLS handshake. */
const KINDS = {
  dns: 'no mail server found', refused: 'connection refused', unreachable: 'unreachable', closed: 'the server closed the connection',
  protocol: 'not valid SMTP', rejected: 'rejected', tls: '', certificate: 'the certificate is not valid', unsupported: 'not supported',
  unexpected: 'not the reply that was expected',
};

/** Messages that say no more than the kind does. */
const PLAIN_MESSAGES = [
  'connection refused', 'the server closed the connection', 'the server closed the connection at once',
  'the server closed the connection during the TLS handshake', 'the TLS handshake was not completed in time', 'no reply in time',
  'no answer to the connection attempt',
];

/** The card with the verdict. `timeout` is the parameter of the check in milliseconds, if given. */
export function verdict(report, timeout) {
  const { outcome, failure, target, metrics, tls } = report;
  const last = report.phases.filter(({ name, ok }) => ok && name !== 'quit').at(-1);
  const refused = report.phases.find(({ ok, expected }) => expected && !ok);
  const title = {
    delivered: 'Delivered: the server accepted the message',
    completed: refused ? `Completed: rejected at ${nameOf(refused.name)}, as expected` : `Completed: ended after ${nameOf(last?.name)}, as asked`,
    failed: failure && [`Failed at ${nameOf(failure.phase)}`, kindOf(failure, timeout ?? metrics.duration)].filter(Boolean).join(': '),
  }[outcome];
  return h('div', { class: `card outcome verdict ${outcome} ${certificateErrors(tls).length > 0 ? 'flawed' : ''}`, 'data-outcome': outcome },
    h('h2', {}, title),
    failure && hasDetails(failure) && h('p', { class: 'words' }, [failure.code && h('b', {}, `${failure.code} `), failure.enhanced_code && `${failure.enhanced_code} `, failure.message]),
    failure?.explanation && h('p', { class: 'explanation' }, withCode(failure.explanation)),
    failure && h('p', { class: 'note' }, prospects(failure)),
    h('dl', { class: 'facts' },
      fact('Server', `${target.host}${target.address && target.address !== target.host ? ` [${target.address}]` : ''}, port ${target.port}${target.via === 'mx' ? ', by MX' : ''}`),
      fact('Duration', duration(metrics.duration)),
      tls?.cipher && fact('Encryption', `${tls.version}, ${tls.cipher}`),
      tls?.chain.length > 0 && fact('Certificate', certificateSummary(metrics.cert_end_in, tls)),
      report.queue_id && fact('Queued as', report.queue_id)),
    report.warnings.length > 0 && h('ul', { class: 'warnings', 'aria-label': 'Warnings' }, report.warnings.map((warning) => h('li', {}, warning))),
    target.attempts && h('details', {}, h('summary', {}, `${target.attempts.length} failed attempts`),
      h('ul', {}, target.attempts.map(({ host, address, error }) => h('li', {}, `${host}${address ? ` [${address}]` : ''}: ${error}`)))));
}

function kindOf({ kind }, timeout) {
  return kind === 'timeout' ? `no answer within ${duration(timeout)}` : KINDS[kind] ?? kind;
}

/** A failure in one line. */
export function failureWords(failure) {
  const { phase, kind, code, enhanced_code: enhanced, message } = failure;
  if (code) return [code, enhanced, message.split('\n')[0]].filter(Boolean).join(' ');
  return hasDetails(failure) ? message : `${nameOf(phase)}: ${kind === 'timeout' ? 'no answer in time' : KINDS[kind] || kind}`;
}

function prospects({ temporary, message }) {
  if (!temporary) return 'Permanent: trying again will not help.';
  // A port with implicit TLS is silent in clear text, however often it is tried.
  return message.includes('implicit_tls') ? 'The same check may succeed later, unless this port expects TLS from the first byte.'
    : 'Temporary: the same check may succeed later.';
}

/** Whether the message of the failure adds something to the title: a reply of the server, or details of ours. */
function hasDetails({ phase, kind, code, message }) {
  return code !== null || phase === 'dns' || !['refused', 'timeout', 'closed'].includes(kind) || !PLAIN_MESSAGES.includes(message);
}
