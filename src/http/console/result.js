// The result: the progress of a check, then its verdict and its report.

import { certificateErrors } from './certificate.js';
import { byId, h, visible } from './dom.js';
import { details } from './report.js';
import { verdict } from './verdict.js';
import { Waterfall, nameOf } from './waterfall.js';

/** Shows the page as it was before the first check. */
export function clear() {
  byId('idle').hidden = false;
  for (const id of ['outcome', 'phases', 'report']) byId(id).hidden = true;
  announce('');
}

/** The result of one check. It replaces the previous one as soon as the check begins. */
export class Result {
  #timeout;
  #waterfall = new Waterfall(byId('waterfall'));

  /** `timeout` is the parameter of the check in milliseconds, if given; the Stop button calls `stop`. */
  constructor(timeout, stop) {
    clear();
    byId('idle').hidden = true;
    this.#timeout = timeout;
    const button = h('button', { type: 'button', id: 'stop' }, 'Stop');
    button.addEventListener('click', stop);
    this.#outcome(outcome('running', 'Running…', button));
  }

  /** Scrolls to the result: on a phone it is below the form, and the page may be scrolled past its top. */
  reveal() {
    const { top } = byId('result').getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) byId('result').scrollIntoView();
  }

  begin(phase) {
    byId('phases').hidden = false;
    this.#waterfall.begin(phase);
  }

  end(phase) {
    byId('phases').hidden = false;
    this.#waterfall.end(phase);
    announce(`${nameOf(phase.name)}: ${phase.ok ? 'done' : 'failed'}`);
  }

  report(report) {
    this.#waterfall.stop(report.metrics.duration);
    const errors = certificateErrors(report.tls);
    if (errors.length > 0) this.#waterfall.warn('tls', `certificate: ${errors.join(', ').toLowerCase()}`);
    this.#outcome(verdict(report, this.#timeout));
    byId('report').replaceChildren(...details(report));
    byId('report').hidden = false;
  }

  stopped() {
    this.#waterfall.stop();
    this.#outcome(outcome('stopped', 'Stopped by you', h('p', { class: 'note' }, 'The connection to the mail server was closed.')));
  }

  /** Shows why there is no report. */
  missing(title, detail, note) {
    this.#waterfall.stop();
    this.#outcome(outcome('missing', title, detail && h('p', { class: 'reason' }, detail), note && h('p', { class: 'note' }, note)));
  }

  #outcome(card) {
    const place = byId('outcome');
    // The Stop button is about to be removed. Without a new focus, the keyboard would start at the top of the page.
    if (place.contains(document.activeElement)) byId('run').focus({ preventScroll: true });
    place.replaceChildren(card);
    place.hidden = false;
    announce([...card.querySelectorAll('h2, .words, .reason')].map((part) => part.textContent).join('. '));
  }
}

function outcome(state, title, ...children) {
  return h('div', { class: `card outcome ${state}` }, h('h2', {}, title), children);
}

/** Announces text to screen readers. */
function announce(text) {
  byId('status').textContent = visible(text);
}
