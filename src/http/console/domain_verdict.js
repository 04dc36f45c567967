// The verdict about a domain, in words: for each kind of sender, whether its mail gets through, and why not.

import { duration, fact, h } from './dom.js';
import { SEVERITY_ORDER, verdictMark } from './mark.js';

const VIEWS = [
  ['opportunistic', 'Opportunistic', 'Uses TLS where it is offered, and looks at no certificate.', opportunistic],
  ['mta_sts', 'MTA-STS', 'Keeps to the policy that the domain serves over HTTPS.', mtaSts],
  ['dane', 'DANE', 'Keeps to TLSA records that DNSSEC vouches for.', dane],
];

const MX_STATUS = {
  has_mx: 'by MX records', no_mx: 'no MX record: the domain is its own mail server', null_mx: 'null MX: takes no mail',
  null_mx_with_others: 'a null MX beside other MX records', no_such_domain: 'no such domain', inconclusive: 'could not tell',
};

/** The card with the verdict. */
export function domainVerdict(report) {
  const { domain, verdict, counts, hosts, mx_status: status } = report;
  const [state, title] = summary(report);
  const addresses = hosts.flatMap((host) => host.addresses);
  const found = SEVERITY_ORDER.filter((severity) => counts[severity] > 0).map((severity) => `${counts[severity]} ${counted(severity, counts[severity])}`);
  return h('div', { class: `card outcome verdict ${state}`, 'data-outcome': state },
    h('h2', {}, title),
    h('ul', { class: 'views', 'aria-label': 'For each kind of sender' }, VIEWS.map(([view, name, about, words]) => h('li', { 'data-view': view },
      h('h3', {}, name),
      h('p', {}, verdictMark(verdict[view])),
      h('p', { class: 'reason' }, words(verdict[view], report), besides(verdict[view], hosts, view)),
      h('p', { class: 'note' }, about)))),
    h('dl', { class: 'facts' },
      fact('Domain', domain),
      fact('Mail servers', hosts.length > 0 ? `${hosts.length}, with ${addresses.length} ${addresses.length === 1 ? 'address' : 'addresses'}` : MX_STATUS[status] ?? status),
      hosts.length > 0 && status !== 'has_mx' && fact('MX', MX_STATUS[status] ?? status),
      fact('Findings', found.join(', ') || 'none'),
      fact('Duration', duration(report.duration_ms))));
}

function counted(severity, count) {
  if (severity === 'inconclusive') return 'inconclusive';
  return count === 1 || severity === 'info' ? severity : `${severity}s`;
}

/** The state of the card and its title. */
function summary({ domain, verdict, counts, hosts, mx_status: status }) {
  const broken = VIEWS.filter(([view]) => verdict[view] === 'fail').map(([, name]) => name);
  const errors = `${counts.error} ${counted('error', counts.error)}`;
  if (status === 'no_such_domain') return ['failed', `${domain} does not exist`];
  if (status === 'null_mx') return [counts.error > 0 ? 'flawed' : 'completed', `${domain} takes no mail, and says so`];
  if (verdict.opportunistic === 'fail' && besides('fail', hosts, 'opportunistic')) return ['failed', `No mail server of ${domain} that could be judged takes the mail`];
  if (verdict.opportunistic === 'fail') return ['failed', `Mail to ${domain} does not get through`];
  if (broken.length > 0) return ['failed', `Mail to ${domain} does not get through from senders with ${broken.join(' or ')}`];
  if (verdict.opportunistic === 'inconclusive') return ['inconclusive', `Could not tell whether mail to ${domain} gets through`];
  if (counts.error > 0) return ['flawed', `Mail to ${domain} gets through, with ${errors} to mend`];
  return [counts.warning > 0 ? 'flawed' : 'completed', `Mail to ${domain} gets through`];
}

/** What the verdict passes over: one that fails or could not be judged, beside others. */
function besides(verdict, hosts, view) {
  if (verdict !== 'ok' && verdict !== 'fail') return '';
  const addresses = hosts.flatMap((host) => host.addresses);
  const count = (of) => addresses.filter(({ views }) => views[view] === of).length;
  const [failed, unknown] = [verdict === 'ok' ? count('fail') : 0, count('inconclusive')];
  const lost = hosts.filter((host) => host.addresses.length === 0 && host.views[view] === 'inconclusive').length;
  const parts = [
    failed > 0 && `${failed} of ${addresses.length} addresses ${failed === 1 ? 'fails' : 'fail'}`,
    unknown > 0 && `${unknown} of ${addresses.length} could not be judged`,
    lost > 0 && `the addresses of ${lost} ${lost === 1 ? 'server' : 'servers'} could not be told`,
  ].filter(Boolean);
  return parts.length > 0 ? ` But ${parts.join(', ')}.` : '';
}

function opportunistic(verdict, { mx_status: status, dns }) {
  return {
    ok: 'Mail gets through.',
    fail: status === 'no_such_domain' ? 'The domain does not exist.' : 'No mail server takes the mail.',
    inconclusive: status === 'inconclusive' ? `Where mail goes could not be told: ${dns.mx.reason ?? 'no answer'}.` : 'No mail server could be judged from here: see its row.',
    not_applicable: 'The domain takes no mail.',
  }[verdict];
}

function mtaSts(verdict, { dns: { mta_sts: { state, reason, policy } } }) {
  const testing = policy?.mode === 'testing' ? ' The policy is in testing: such mail is delivered all the same, and the failure reported.' : '';
  if (verdict === 'ok') return `Mail gets through under the policy (${policy?.mode ?? 'in force'}).`;
  if (verdict === 'fail') return `No mail server meets the policy.${testing}`;
  if (verdict === 'inconclusive') return state === 'inconclusive' ? `The policy could not be told: ${reason ?? 'no answer'}.` : 'No mail server could be judged by the policy.';
  if (policy?.mode === 'none') return 'The policy says that there is none.';
  return { absent: 'The domain publishes no policy.', invalid: `The policy cannot be used: ${reason ?? 'see the records'}.` }[state] ?? 'There is no policy to keep to.';
}

function dane(verdict, { hosts, findings }) {
  const unfit = findings.find(({ id }) => id === 'dnssec.resolver_unfit');
  const reason = unfit?.message ?? hosts.map(({ tlsa }) => tlsa.state === 'inconclusive' && tlsa.reason).find(Boolean);
  return {
    ok: 'Mail gets through, and the certificates fit the TLSA records.',
    fail: 'No mail server shows what its TLSA records demand.',
    inconclusive: reason ? `Could not tell: ${reason.replace(/\.$/, '')}.` : 'Whether TLSA records apply could not be told.',
    not_applicable: 'No mail server has TLSA records that senders can use.',
  }[verdict];
}
