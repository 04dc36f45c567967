// The place of a result: the card with its outcome, and the report below.

import { byId, h, parts, visible } from './dom.js';

export class Place {
  #prefix;
  #hidden;

  /** `prefix` is that of the ids of the tab; `hidden` are the ids of what is shown only with a result. */
  constructor(prefix, hidden) {
    this.#prefix = prefix;
    this.#hidden = hidden;
  }

  get(id) {
    return byId(this.#prefix + id);
  }

  /** Shows the page as it was before the first check. */
  clear() {
    this.get('idle').hidden = false;
    for (const id of this.#hidden) this.get(id).hidden = true;
    this.announce('');
  }

  /** Shows that a check runs; its Stop button calls `stop`. */
  running(stop) {
    this.clear();
    this.get('idle').hidden = true;
    const button = h('button', { type: 'button', id: `${this.#prefix}stop` }, 'Stop');
    button.addEventListener('click', stop);
    this.outcome(card('running', 'Running…', button));
  }

  /** Scrolls to the result: on a phone it is below the form, and the page may be scrolled past its top. */
  reveal() {
    const { top } = this.get('result').getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) this.get('result').scrollIntoView();
  }

  stopped(note) {
    this.outcome(card('stopped', 'Stopped by you', h('p', { class: 'note' }, note)));
  }

  /** Shows why there is no report. */
  missing(title, detail, note) {
    this.outcome(card('missing', title, detail && h('p', { class: 'reason' }, detail), note && h('p', { class: 'note' }, note)));
  }

  outcome(card) {
    const place = this.get('outcome');
    // The Stop button is about to be removed. Without a new focus, the keyboard would start at the top of the page.
    if (place.contains(document.activeElement)) this.get('run').focus({ preventScroll: true });
    place.replaceChildren(card);
    place.hidden = false;
    this.announce([...card.querySelectorAll('h2, .words, .reason')].map((part) => part.textContent).join('. '));
  }

  report(...cards) {
    this.get('report').replaceChildren(...parts(cards));
    this.get('report').hidden = false;
  }

  /** Announces text to screen readers. */
  announce(text) {
    this.get('status').textContent = visible(text);
  }
}

function card(state, title, ...children) {
  return h('div', { class: `card outcome ${state}` }, h('h2', {}, title), children);
}
