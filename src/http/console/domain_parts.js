// Parts of the report of a domain: its records, its senders, in what its addresses differ, and the dialogues.

import { card, h } from './dom.js';
import { tlsaRows } from './domain_matrix.js';
import { mark, stateMark } from './mark.js';
import { dialogue } from './report.js';

const PROOFS = { secure: 'signed (DNSSEC)', insecure: 'not signed', bogus: 'bogus signatures' };

/** Members of the report's `dns`, with their names, and what is told of each. */
const RECORDS = {
  mx: ['MX', () => false],
  spf: ['SPF', ({ state, lookups, void_lookups: voids }) => state !== 'absent' && `${lookups} of 10 lookups, ${voids} of 2 void ones`],
  dmarc: ['DMARC', ({ policy, found_at: at }) => policy && `policy ${policy}, found at ${at}`],
  mta_sts: ['MTA-STS', ({ policy, policy_url: url }) => [policy && `mode ${policy.mode} for ${policy.mx.join(', ') || 'no server'}`, url].filter(Boolean).join('; ')],
  tls_rpt: ['TLS-RPT', () => false],
};

/** The card with the records. Those that are not known yet are pending. */
export function records(dns, hosts) {
  const rows = Object.entries(RECORDS).map(([member, [name, facts]]) => (dns[member]
    ? { name, state: stateMark(dns[member].state), record: dns[member], facts: facts(dns[member]) }
    : { name, state: mark('pending', 'not yet known'), record: null }));
  const keys = (dns.dkim ?? []).map((key) => ({ name: `DKIM ${key.selector}`, state: stateMark(key.state), record: key, facts: key.key }));
  return card('domain-records', 'Records', h('ul', { class: 'records' }, [...rows, ...keys, ...tlsaRows(hosts)].map(row)));
}

function row({ name, state, record, facts }) {
  return h('li', {},
    h('h3', {}, name),
    h('p', {}, state, ' ', h('span', { class: 'note' }, [record && PROOFS[record.proof], facts].filter(Boolean).join(' · '))),
    record?.reason && h('p', { class: 'why' }, record.reason),
    record?.records.length > 0 && h('ul', { class: 'code' }, record.records.map((text) => h('li', {}, text))),
    record?.tree?.length > 0 && h('details', {}, h('summary', {}, 'Lookups of SPF'), tree(record.tree)),
    record?.state !== 'ok' && record?.looked_up.length > 0 && h('p', { class: 'note' }, `Asked for ${record.looked_up.join(', ')}`));
}

function tree(terms) {
  return h('ul', { class: 'tree' }, terms.map(({ term, lookups, children }) => h('li', {}, h('span', { class: 'code' }, term), ` ${lookups}`, children.length > 0 && tree(children))));
}

/** The shape of a result of SPF. */
const SPF = { pass: 'ok', fail: 'fail', softfail: 'fail', permerror: 'fail', temperror: 'unknown' };

export function senders(found) {
  const confirmed = (is) => (is === null ? mark('unknown', 'could not tell') : is ? mark('ok', 'leads back') : mark('fail', 'does not lead back'));
  return card('domain-senders', 'Sending addresses', h('ul', { class: 'records' }, found.map(({ ip, ptr, forward_confirmed: is, spf }) => h('li', {},
    h('h3', {}, ip),
    h('p', {}, ptr ? [`Name ${ptr} `, confirmed(is)] : mark('warn', 'no name')),
    h('p', {}, 'SPF ', mark(SPF[spf] ?? 'none', spf))))));
}

const DIFFERENCES = { certificate: 'Certificate', capabilities: 'What is offered', size: 'Size limit', tls_version: 'TLS version', outcome: 'Outcome' };

export function differences(found) {
  return card('domain-differences', 'In what the addresses differ', h('ul', { class: 'records' }, found.map(({ of, values }) => h('li', {},
    h('h3', {}, DIFFERENCES[of] ?? of),
    h('ul', {}, values.map(({ value, addresses }) => h('li', {}, h('span', { class: 'code' }, value || 'nothing'), h('p', { class: 'note' }, addresses.join(', ')))))))));
}

/** The card with the lines of each session, if they were asked for. */
export function dialogues(hosts) {
  const all = hosts.flatMap(({ name, addresses }) => addresses.filter(({ report }) => report?.transcript?.length > 0).map((seen) => [name, seen]));
  return all.length > 0 && card('domain-dialogues', 'Dialogues', all.map(([name, { address, report }]) => h('details', {},
    h('summary', {}, `${name} [${address}]`), dialogue(report.transcript, `Lines of ${name} [${address}]`))));
}
