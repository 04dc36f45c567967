// The findings about a domain, the worst first, each with a button that copies what to do.

import { card, copy, h, visible, withCode } from './dom.js';
import { severityMark } from './mark.js';

/** The card with the findings, in the order of the report. */
export function findings(found) {
  return card('domain-findings', 'Findings', h('ol', { class: 'found' }, found.map(finding)));
}

function finding({ id, severity, subject, message, evidence, remedy, reference }) {
  return h('li', { 'data-severity': severity },
    h('p', {}, severityMark(severity), ' ', h('b', { class: 'subject' }, subject)),
    h('p', {}, message),
    evidence.length > 0 && h('ul', { class: 'code', 'aria-label': 'What shows it' }, evidence.map((text) => h('li', {}, text))),
    remedy && h('div', { class: 'remedy' }, h('p', {}, withCode(remedy)), copies(id, remedy)),
    h('p', { class: 'note' }, h('a', { href: `/docs/findings#${id}` }, id), reference && ` ${reference}`));
}

/** A button for each record to publish, and one for the whole remedy if it has more to copy. */
function copies(id, remedy) {
  const quoted = remedy.split('`').filter((part, index) => index % 2 === 1);
  const records = quoted.filter((part) => / IN [A-Z]+ /.test(part));
  const buttons = records.map((record) => button('Copy the record', `Copy the record ${record}`, record));
  if (records.length === 0 || quoted.length > records.length) buttons.push(button('Copy the remedy', `Copy the remedy of ${id}`, remedy.replaceAll('`', '')));
  return buttons;
}

function button(label, name, text) {
  const element = h('button', { type: 'button', class: 'link', 'aria-label': visible(name) }, label);
  element.addEventListener('click', () => copy(visible(text), element));
  return element;
}
