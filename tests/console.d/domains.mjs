// Reports of checks of domains, for the layout: a good one, a broken one, one that could not be judged, and one with twelve mail servers.

import { readFileSync } from 'node:fs';

const example = (name) => JSON.parse(readFileSync(new URL(`../../openapi/examples/${name}.json`, import.meta.url)));

const views = (opportunistic, mta_sts, dane) => ({ opportunistic, mta_sts, dane });
const record = (state, records = [], more = {}) => ({ state, reason: null, proof: 'insecure', records, looked_up: ['example.com. TXT'], ...more });

/** The session with one address, as the check of a domain holds it. */
function session(name = 'delivered', change = () => {}) {
  const report = example(name);
  report.outcome = report.failure ? 'failed' : 'completed';
  report.transcript = null;
  change(report);
  return report;
}

const address = (text, report, seen, refusal = null) => ({ address: text, report, refusal, views: seen });
const NO_TLSA = { state: 'absent', reason: null, proof: 'insecure', base: null, records: [], matched: [] };

function host(name, preference, addresses, more = {}) {
  return { name, preference, proof: 'insecure', reason: null, tlsa: NO_TLSA, addresses, views: addresses[0]?.views ?? views('inconclusive', 'inconclusive', 'inconclusive'), ...more };
}

function finding(id, severity, subject, message, remedy, more = {}) {
  return { id, severity, scope: 'domain', subject, phase: null, message, evidence: [], remedy, reference: 'RFC 8461, section 3', ...more };
}

function domain(more) {
  const report = {
    id: '01a225ad-486d-737d-aebe-07d86725348f', started_at: '2026-11-29T05:00:42.989702Z', domain: 'example.com', duration_ms: 812.4,
    verdict: views('ok', 'ok', 'ok'), mx_status: 'has_mx',
    dns: {
      mx: record('ok', ['10 mx1.example.com.', '20 mx2.example.com.'], { proof: 'secure', looked_up: ['example.com. MX'] }),
      spf: { ...record('ok', ['v=spf1 include:_spf.example.net -all']), lookups: 2, void_lookups: 0, tree: [{ term: 'include:_spf.example.net', lookups: 2, children: [{ term: 'a:out.example.net', lookups: 1, children: [] }] }] },
      dmarc: { ...record('ok', ['v=DMARC1; p=reject; rua=mailto:reports@example.com']), found_at: '_dmarc.example.com.', policy: 'reject' },
      dkim: [{ selector: 's1', ...record('ok', [`v=DKIM1; k=rsa; p=${'MIIBIjANBgkqhkiG9w0BAQEF'.repeat(12)}`]), key: 'RSA 2048' }],
      mta_sts: { ...record('ok', ['v=STSv1; id=20260101']), policy: { mode: 'enforce', mx: ['*.example.com'], max_age: 604800 }, policy_url: 'https://mta-sts.example.com/.well-known/mta-sts.txt' },
      tls_rpt: record('ok', ['v=TLSRPTv1; rua=mailto:reports@example.com']),
    },
    hosts: [], differences: [], findings: [], ...more,
  };
  const severities = ['error', 'warning', 'notice', 'info', 'inconclusive'];
  report.counts = Object.fromEntries(severities.map((severity) => [severity, report.findings.filter((each) => each.severity === severity).length]));
  return report;
}

const OK = views('ok', 'ok', 'ok');
const TLSA = { state: 'ok', reason: null, proof: 'secure', base: '_25._tcp.mx1.example.com.', records: [`3 1 1 ${'ab'.repeat(32)}`], matched: [0] };

export const good = () => domain({
  hosts: [
    host('mx1.example.com', 10, [address('203.0.113.7', session(), OK), address('2001:db8:1234:5678:9abc:def0:1234:5678', session(), OK)], { tlsa: TLSA }),
    host('mx2.example.com', 20, [address('203.0.113.8', session(), OK)], { tlsa: TLSA }),
  ],
  senders: [{ ip: '203.0.113.9', ptr: 'out.example.com', forward_confirmed: true, spf: 'pass' }],
});

const REFUSED = { phase: 'connect', kind: 'refused', temporary: true, code: null, enhanced_code: null, message: 'connection refused', explanation: null };

/** The text of a server and of records that tries to be HTML. */
export const MARKUP = '<img src=x onerror=document.title=1>';

export const broken = () => {
  const report = domain({
    verdict: views('ok', 'fail', 'fail'),
    hosts: [
      host('mx1.example.com', 10, [
        address('203.0.113.7', session('bad_certificate', (it) => { it.failure = null; }), views('ok', 'fail', 'fail')),
        address('203.0.113.17', session('rejected', (it) => { it.failure.message = MARKUP; }), views('fail', 'fail', 'fail')),
      ], { tlsa: { ...TLSA, matched: [] } }),
      host('mx2.example.com', 20, [address('203.0.113.8', session('rejected', (it) => {
        Object.assign(it, { failure: REFUSED, capabilities: { before_tls: null, after_tls: null } });
      }), views('fail', 'fail', 'fail'))]),
      host('mx3.example.com', 30, [address('203.0.113.9', session('delivered', (it) => {
        it.tls = null;
        delete it.capabilities.before_tls.STARTTLS;
      }), views('ok', 'fail', 'not_applicable'))]),
      host('gone.example.com', 40, [], { reason: 'the name does not exist', views: views('fail', 'fail', 'not_applicable') }),
    ],
    senders: [{ ip: '203.0.113.9', ptr: null, forward_confirmed: null, spf: 'softfail' }],
    differences: [
      { of: 'certificate', values: [{ value: `sha256:${'ab'.repeat(32)}`, addresses: ['203.0.113.7'] }, { value: `sha256:${'cd'.repeat(32)}`, addresses: ['203.0.113.17'] }] },
      { of: 'outcome', values: [{ value: 'ok', addresses: ['203.0.113.7', '203.0.113.9'] }, { value: 'connect refused', addresses: ['203.0.113.8'] }] },
    ],
    findings: [
      finding('dane.mismatch', 'error', 'mx1.example.com [203.0.113.7]', 'No TLSA record fits the certificate that the server shows.',
        `Publish \`_25._tcp.mx1.example.com. IN TLSA 3 1 1 ${'cd'.repeat(32)}\`.`, { evidence: [`3 1 1 ${'ab'.repeat(32)}`] }),
      finding('mx.dangling', 'error', 'gone.example.com', 'The name of a mail server does not exist.', 'Publish the addresses of the name, or remove its MX record.'),
      finding('spf.permerror', 'warning', 'example.com', 'The SPF record cannot be used.', 'Correct the term that is named.', { evidence: [MARKUP] }),
      finding('tls_rpt.absent', 'notice', 'example.com', 'There is no TLS-RPT record.',
        'Publish `_smtp._tls.example.com. IN TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.com"`.', { reference: null }),
      finding('mta_sts.absent', 'notice', 'example.com', 'There is no MTA-STS record.',
        'Serve the lines `version: STSv1`, `mode: testing`, then publish `_mta-sts.example.com. IN TXT "v=STSv1; id=1"`.'),
      finding('dnssec.unsigned', 'info', 'example.com', 'The zone is not signed.', 'Sign the zone, and have the registrar publish its DS record.'),
    ],
  });
  report.dns.spf = { ...record('invalid', [`v=spf1 ${MARKUP}`], { reason: `the term ${MARKUP} is unknown` }), lookups: 0, void_lookups: 0, tree: [] };
  report.dns.tls_rpt = record('absent', [], { looked_up: ['_smtp._tls.example.com. TXT'] });
  return report;
};

const GREYLISTED = {
  phase: 'rcptto', kind: 'rejected', temporary: true, code: 450, enhanced_code: '4.2.0', message: 'greylisted, come back in 300 seconds', explanation: null,
};
const UNKNOWN = views('inconclusive', 'inconclusive', 'inconclusive');

export const inconclusive = () => {
  const report = domain({
    verdict: UNKNOWN,
    hosts: [
      host('mx1.example.com', 10, [
        address('203.0.113.7', session('rejected', (it) => { it.failure = GREYLISTED; }), UNKNOWN),
        address('2001:db8::7', null, UNKNOWN, 'the address is not admitted'),
      ], { tlsa: { ...TLSA, state: 'inconclusive', proof: 'indeterminate', reason: 'SERVFAIL', records: [], matched: [] } }),
      host('mx2.example.com', 20, [], { reason: 'timed out' }),
    ],
    findings: [
      finding('mx.lookup_failed', 'inconclusive', 'mx2.example.com', 'The addresses could not be looked up: timed out.', 'Repeat the check later.'),
      finding('smtp.greylisted', 'inconclusive', 'mx1.example.com [203.0.113.7]', 'The server asks to come back later.', 'Repeat the check later.', { evidence: ['450 4.2.0 greylisted, come back in 300 seconds'] }),
    ],
  });
  report.dns.dmarc = { ...record('inconclusive', [], { reason: 'SERVFAIL', proof: 'indeterminate', looked_up: ['_dmarc.example.com. TXT'] }), found_at: null, policy: null };
  report.dns.mta_sts = { ...record('inconclusive', ['v=STSv1; id=1'], { reason: 'the web server did not answer in time' }), policy: null, policy_url: 'https://mta-sts.example.com/.well-known/mta-sts.txt' };
  report.dns.dkim = [{ selector: 's1', ...record('not_tested', [], { reason: 'the time was up', proof: 'indeterminate', looked_up: [] }), key: null }];
  return report;
};

export const twelve = () => {
  const hosts = [...Array(12).keys()].map((index) => host(`mx${index + 1}.a-long-name-of-a-mail-provider.example.net`, 10 * (index + 1),
    [address(`203.0.113.${index + 1}`, session(), views('ok', 'ok', index === 11 ? 'inconclusive' : 'not_applicable')), address(`2001:db8::${index + 1}`, session(), views('ok', 'ok', 'not_applicable'))]));
  const report = domain({ verdict: views('ok', 'ok', 'not_applicable'), hosts });
  report.dns.mx.records = hosts.map(({ name, preference }) => `${preference} ${name}.`);
  return report;
};

/** The events of a check, without the report. */
export const progress = (report) => [
  ...Object.entries(report.dns).map(([name, value]) => ['record', { name, value }]),
  ...report.hosts.flatMap(({ name, addresses }) => addresses.map((each) => ['server', {
    host: name, ...each, views: { opportunistic: each.views.opportunistic, mta_sts: 'inconclusive', dane: 'inconclusive' },
  }])),
];

/** Events as a stream. */
export const stream = (events) => events.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join('');
