// The phases as bars on a time axis, which grow while the check runs.

import { byId, duration, h, parts } from './dom.js';

const NAMES = {
  dns: 'DNS', connect: 'TCP connect', proxy: 'PROXY header', banner: 'Greeting', ehlo: 'EHLO', starttls: 'STARTTLS',
  tls: 'TLS handshake', ehlo_tls: 'EHLO in TLS', sasl_auth: 'AUTH', mailfrom: 'MAIL FROM', rcptto: 'RCPT TO', data: 'DATA',
  body: 'Message', quit: 'QUIT',
};

/** The name of a phase on the page. */
export const nameOf = (phase) => NAMES[phase] ?? phase;

export class Waterfall {
  /** Rows by the name of their phase, in order of appearance. */
  #rows = new Map();
  #list;
  /** The start of the check, on the clock of the page. */
  #began = null;
  #frame = null;
  /** The duration of the whole check, once known. */
  #total = 0;

  constructor(list) {
    this.#list = list;
    list.replaceChildren();
  }

  /** A phase has begun. */
  begin({ name, started_ms: started }) {
    this.#began ??= performance.now() - started;
    if (!this.#rows.has(name)) this.#row(name, started);
    this.#frame ??= requestAnimationFrame(() => this.#grow());
  }

  /** A phase has ended, or never will. */
  end(phase) {
    const row = this.#rows.get(phase.name) ?? this.#row(phase.name, phase.started_ms);
    row.started = phase.started_ms;
    row.ended = phase.time_ms === null ? null : phase.started_ms + phase.time_ms;
    row.over = true;
    row.element.className = `phase ${phase.expected ?? phase.ok ? 'ok' : 'bad'}`;
    row.time.textContent = phase.time_ms === null ? 'no answer' : duration(phase.time_ms);
    row.reply.replaceChildren(...parts(reply(phase)));
    this.#list.append(row.element);
    this.#scale();
  }

  /** The check is over. Phases without an end were cut off, which is not an error of the mail server. */
  stop(total = this.#now()) {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    this.#total = total;
    for (const row of this.#rows.values()) {
      if (row.ended === null) row.ended = Math.max(total, row.started);
      if (row.over) continue;
      row.element.className = 'phase cut';
      row.reply.textContent = 'unfinished';
    }
    this.#scale();
  }

  /** Marks a phase that succeeded, but about which the report has a warning. */
  warn(name, text) {
    const row = this.#rows.get(name);
    if (!row) return;
    row.element.classList.replace('ok', 'warn');
    row.reply.append(text);
  }

  #row(name, started) {
    const bar = h('span', { class: 'bar' });
    const time = h('span', { class: 'time' }, '…');
    const answer = h('span', { class: 'reply' });
    const element = h('li', { class: 'phase running', 'data-phase': name },
      h('span', { class: 'name' }, nameOf(name)), h('span', { class: 'track', 'aria-hidden': 'true' }, bar), time, answer);
    const row = { element, bar, time, reply: answer, started, ended: null, over: false };
    this.#rows.set(name, row);
    this.#list.append(element);
    return row;
  }

  #now() {
    return this.#began === null ? 0 : performance.now() - this.#began;
  }

  #grow() {
    for (const row of this.#rows.values()) {
      if (!row.over) row.time.textContent = duration(Math.max(0, this.#now() - row.started));
    }
    this.#scale();
    this.#frame = requestAnimationFrame(() => this.#grow());
  }

  #scale() {
    const rows = [...this.#rows.values()];
    const now = this.#frame === null ? 0 : this.#now();
    const total = Math.max(0.001, now, this.#total, ...rows.map((row) => row.ended ?? row.started));
    byId('axis-end').textContent = duration(total);
    for (const { bar, started, ended } of rows) {
      const until = ended ?? Math.max(now, started);
      bar.style.left = `min(${(100 * started) / total}%, 100% - 2px)`;
      bar.style.width = `${(100 * (until - started)) / total}%`;
    }
  }
}

/** Characters of a reply that are shown without being expanded. */
const MAX_REPLY_LENGTH = 80;

function reply({ code, enhanced_code: enhanced, message }) {
  const [first, ...rest] = (message ?? '').split('\n');
  const lines = rest.length > 0 && h('i', {}, ` ${1 + rest.length} lines:`);
  const head = [code && h('b', {}, String(code)), enhanced && ` ${enhanced}`, lines, first && ` ${first}`].filter(Boolean);
  if (!lines && first.length <= MAX_REPLY_LENGTH) return head;
  return [h('details', {}, h('summary', {}, head), lines && h('pre', {}, rest.join('\n')))];
}
