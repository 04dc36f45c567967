// The verdict: how a check ended, and the facts that one looks for first.

import { certificateInBrief, flaws } from './certificate.js';
import { duration, fact, h } from './dom.js';
import { nameOf } from './waterfall.js';

/** How it failed. A failed handshake needs no word: its phase has the name. */
const KINDS = {
  dns: 'the name leads to no mail server', refused: 'connection refused', unreachable: 'unreachable', closed: 'the server hung up',
  protocol: 'not as SMTP has it', rejected: 'rejected', tls: '', certificate: 'the certificate is not good enough', unsupported: 'not supported',
};

/** How it ended, in a sentence, and the facts that one looks for first. `timeout` is what the check was given, in milliseconds, if anything. */
export function verdict(report, timeout) {
  const { outcome, failure, target, metrics, tls } = report;
  const last = report.phases.filter(({ name, ok }) => ok && name !== 'quit').at(-1);
  const title = {
    delivered: 'Delivered: the server took the message',
    completed: `Completed: ended after ${nameOf(last?.name)}, as asked`,
    failed: failure && [`Failed at ${nameOf(failure.phase)}`, kindOf(failure, timeout ?? metrics.duration)].filter(Boolean).join(': '),
  }[outcome];
  return h('div', { class: `card outcome verdict ${outcome} ${flaws(tls).length > 0 ? 'flawed' : ''}`, 'data-outcome': outcome },
    h('h2', {}, title),
    failure && saysMore(failure) && h('p', { class: 'words' }, [failure.code && h('b', {}, `${failure.code} `), failure.enhanced_code && `${failure.enhanced_code} `, failure.message]),
    failure && h('p', { class: 'note' }, failure.temporary ? 'Temporary: the same check may succeed later.' : 'Permanent: trying again will not help.'),
    h('dl', { class: 'facts' },
      fact('Server', `${target.host}${target.address && target.address !== target.host ? ` [${target.address}]` : ''}, port ${target.port}${target.via === 'mx' ? ', by MX' : ''}`),
      fact('Duration', duration(metrics.duration)),
      tls?.cipher && fact('Encryption', `${tls.version}, ${tls.cipher}`),
      metrics.cert_end_in !== undefined && fact('Certificate', certificateInBrief(metrics.cert_end_in, tls)),
      report.queue_id && fact('Queued as', report.queue_id)),
    report.warnings.length > 0 && h('ul', { class: 'warnings', 'aria-label': 'Warnings' }, report.warnings.map((warning) => h('li', {}, warning))),
    target.attempts && h('details', {}, h('summary', {}, `${target.attempts.length} tried in vain`),
      h('ul', {}, target.attempts.map(({ host, address, error }) => h('li', {}, `${host}${address ? ` [${address}]` : ''}: ${error}`)))));
}

function kindOf({ kind }, timeout) {
  return kind === 'timeout' ? `no answer within ${duration(timeout)}` : KINDS[kind] ?? kind;
}

/** Whether there is more to say than the title does: words of the server, or what our own account adds. */
function saysMore({ phase, kind, code }) {
  return code !== null || phase === 'dns' || !['refused', 'timeout', 'closed'].includes(kind);
}
