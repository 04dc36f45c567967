// The place of the result: what a check is doing, and what came of it.

import { flaws } from './certificate.js';
import { byId, h } from './dom.js';
import { details } from './report.js';
import { verdict } from './verdict.js';
import { Waterfall, nameOf } from './waterfall.js';

/** As it was before the first check. */
export function clear() {
  byId('idle').hidden = false;
  for (const id of ['outcome', 'phases', 'report']) byId(id).hidden = true;
  say('');
}

/** The result of one check. It takes the place of the one before as soon as the check begins: that one's verdict is not about this check. */
export class Result {
  #timeout;
  #waterfall = new Waterfall(byId('waterfall'));

  /** `timeout` is what the check was given, in milliseconds, if anything; `stop` is called by whoever does not want to wait. */
  constructor(timeout, stop) {
    clear();
    byId('idle').hidden = true;
    this.#timeout = timeout;
    const button = h('button', { type: 'button', id: 'stop' }, 'Stop');
    button.addEventListener('click', stop);
    this.#outcome(outcome('running', 'Running…', button));
  }

  /** Brings the result to where it is seen: on a phone it lies below the form, and a long one may be scrolled away. */
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
    say(`${nameOf(phase.name)}: ${phase.ok ? 'done' : 'failed'}`);
  }

  report(report) {
    this.#waterfall.stop(report.metrics.duration);
    const wrong = flaws(report.tls);
    if (wrong.length > 0) this.#waterfall.warn('tls', `certificate: ${wrong.join(', ').toLowerCase()}`);
    this.#outcome(verdict(report, this.#timeout));
    byId('report').replaceChildren(...details(report));
    byId('report').hidden = false;
  }

  stopped() {
    this.#waterfall.stop();
    this.#outcome(outcome('stopped', 'Stopped by you', h('p', { class: 'note' }, 'The connection to the mail server was closed.')));
  }

  /** There is no report, and this is why. */
  missing(title, detail, note) {
    this.#waterfall.stop();
    this.#outcome(outcome('missing', title, detail && h('p', { class: 'reason' }, detail), note && h('p', { class: 'note' }, note)));
  }

  #outcome(card) {
    const place = byId('outcome');
    // The button to stop is about to go. Without a new place the keyboard would have to start at the top of the page.
    if (place.contains(document.activeElement)) byId('run').focus({ preventScroll: true });
    place.replaceChildren(card);
    place.hidden = false;
    say([...card.querySelectorAll('h2, .words, .reason')].map((part) => part.textContent).join('. '));
  }
}

function outcome(state, title, ...children) {
  return h('div', { class: `card outcome ${state}` }, h('h2', {}, title), children);
}

/** For those who hear the page. */
function say(text) {
  byId('status').textContent = text;
}
