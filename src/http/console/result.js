// The result of the check of a server: the progress, then the verdict and the report.

import { certificateErrors } from './certificate.js';
import { details } from './report.js';
import { verdict } from './verdict.js';
import { Waterfall, nameOf } from './waterfall.js';

/** The result of one check. It replaces the previous one as soon as the check begins. */
export class Result {
  #place;
  #timeout;
  #waterfall;

  constructor(place, { timeout_ms: timeout }, stop) {
    this.#place = place;
    this.#timeout = timeout;
    this.#waterfall = new Waterfall(place.get('waterfall'));
    place.running(stop);
  }

  show(event, data) {
    if (event === 'begin') this.#begin(data);
    else if (event === 'phase') this.#end(data);
    else if (event === 'report') this.#report(data);
  }

  stopped() {
    this.#waterfall.stop();
    this.#place.stopped('The connection to the mail server was closed.');
  }

  missing(title, detail, note) {
    this.#waterfall.stop();
    this.#place.missing(title, detail, note);
  }

  #begin(phase) {
    this.#place.get('phases').hidden = false;
    this.#waterfall.begin(phase);
  }

  #end(phase) {
    this.#place.get('phases').hidden = false;
    this.#waterfall.end(phase);
    this.#place.announce(`${nameOf(phase.name)}: ${phase.ok ? 'done' : 'failed'}`);
  }

  #report(report) {
    this.#waterfall.stop(report.metrics.duration);
    const errors = certificateErrors(report.tls);
    if (errors.length > 0) this.#waterfall.warn('tls', `certificate: ${errors.join(', ').toLowerCase()}`);
    this.#place.outcome(verdict(report, this.#timeout));
    this.#place.report(details(report));
  }
}
