// Marks: a state as a word with a shape, so that it does not depend on colour.

import { h } from './dom.js';

/** What a sender makes of something. */
const VERDICTS = {
  ok: ['ok', 'ok'], fail: ['fail', 'fails'], inconclusive: ['unknown', 'could not tell'], not_applicable: ['none', 'not applicable'],
};

/** What is known of records. */
const STATES = {
  ok: ['ok', 'ok'], absent: ['none', 'none published'], invalid: ['fail', 'invalid'], inconclusive: ['unknown', 'could not tell'],
  not_tested: ['none', 'not looked up'],
};

const SEVERITIES = { error: 'fail', warning: 'warn', notice: 'notice', info: 'info', inconclusive: 'unknown' };

/** A text with the shape of `ok`, `fail`, `warn`, `notice`, `info`, `unknown`, `none` or `pending`. */
export function mark(shape, ...text) {
  return h('span', { class: `mark ${shape}` }, text);
}

export function verdictMark(verdict) {
  return mark(...(VERDICTS[verdict] ?? ['none', verdict]));
}

export function stateMark(state) {
  return mark(...(STATES[state] ?? ['none', state]));
}

export function severityMark(severity) {
  return mark(SEVERITIES[severity] ?? 'info', severity === 'inconclusive' ? 'could not tell' : severity);
}

/** The severities, the worst first. */
export const SEVERITY_ORDER = Object.keys(SEVERITIES);
