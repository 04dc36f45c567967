// The report of a check, below its verdict: certificates, capabilities, transcript.

import { certificates } from './certificate.js';
import { card, copy, duration, h, visible, withCode } from './dom.js';

/** The cards of the report. */
export function details(report) {
  return [
    report.findings?.length > 0 && findings(report.findings),
    report.tls && certificates(report),
    (report.capabilities.before_tls || report.capabilities.after_tls) && capabilities(report),
    report.transcript?.length > 0 && transcript(report.transcript),
    raw(report),
  ].filter(Boolean);
}

function findings(found) {
  return card('findings', 'Findings', h('ul', { class: 'findings' }, found.map(({ id, severity, message, evidence, remedy }) => h('li', {},
    h('p', {}, h('b', {}, severity), ' ', message, ' ', h('a', { href: `/docs/findings#${id}` }, id)),
    evidence.map((text) => h('p', { class: 'note' }, text)),
    h('p', { class: 'note' }, withCode(remedy))))));
}

function capabilities({ capabilities: { before_tls: before, after_tls: after }, sasl, warnings }) {
  const keywords = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  // The part that is left out of a long reply may list the keyword.
  const missing = warnings.some((warning) => /octets are left out|left out:.* capabilities/.test(warning)) ? 'not in the report' : 'not offered';
  const cell = (offered, keyword) => {
    if (!offered || !(keyword in offered)) return h('td', { class: 'none' }, h('span', { class: 'unseen' }, missing));
    return h('td', {}, offered[keyword] || '✓');
  };
  if (keywords.length === 0) {
    const nothing = missing === 'not offered' ? 'Nothing beyond plain SMTP.' : 'It is not in the report.';
    return card('capabilities', 'What the server offers', h('p', { class: 'note' }, nothing));
  }
  return card('capabilities', 'What the server offers',
    sasl && h('p', { class: 'note', id: 'sasl' }, `Login by ${sasl.mechanism}${sasl.initial_response ? ', with an initial response' : ''}.`),
    h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'Keywords' }, h('table', {},
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Keyword'), before && h('th', { scope: 'col' }, 'In clear text'), after && h('th', { scope: 'col' }, 'Inside TLS'))),
      h('tbody', {}, keywords.map((keyword) => h('tr', {}, h('th', { scope: 'row' }, keyword), before && cell(before, keyword), after && cell(after, keyword)))))));
}

const SPEAKERS = { client: 'C', server: 'S', tls: '·' };

function transcript(lines) {
  return card('transcript', 'Dialogue', dialogue(lines, 'Lines'));
}

/** The lines of a session. */
export function dialogue(lines, label) {
  return h('div', { class: 'scroll dialogue', tabindex: '0', role: 'group', 'aria-label': visible(label) }, h('ol', {}, lines.map(({ at_ms: at, from, text }) =>
    h('li', { class: from }, h('span', { class: 'at' }, duration(at)), h('span', { class: 'who', 'aria-label': from }, SPEAKERS[from] ?? from), h('span', { class: 'said' }, text)))));
}

/** The report as JSON. */
export function raw(report) {
  const text = visible(JSON.stringify(report, null, 2));
  const button = h('button', { type: 'button', class: 'link' }, 'Copy JSON');
  button.addEventListener('click', () => copy(text, button));
  return h('details', { class: 'card raw' }, h('summary', {}, 'The report as JSON'), button, h('pre', { tabindex: '0' }, text));
}
