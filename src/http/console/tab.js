// A tab: runs the check of its form and shows it while it runs.

import { curl } from './curl.js';
import { copy } from './dom.js';
import { link, read, summarize, write } from './form.js';
import { NoReport, run } from './live.js';
import { clearViolations, showViolations } from './violations.js';

export class Tab {
  #form;
  #place;
  #Result;
  /** Aborts the check that is running, if there is one. */
  #running = null;

  /** `place` is where the result is shown, by a `Result` for each check. */
  constructor(form, place, Result) {
    this.#form = form;
    this.#place = place;
    this.#Result = Result;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!this.#running) this.#check();
    });
    form.addEventListener('reset', () => setTimeout(() => {
      clearViolations(form);
      summarize(form);
      if (!this.#running) place.clear();
    }));
    form.addEventListener('change', () => summarize(form));
    place.get('copy-curl').addEventListener('click', ({ target }) => copy(curl(form), target));
    place.get('copy-link').addEventListener('click', ({ target }) => copy(link(form), target));
  }

  run() {
    this.#form.requestSubmit();
  }

  stop() {
    this.#running?.abort();
  }

  /** Fills in the form, if there is something to fill in, and opens the groups with a value. */
  fillIn(parameters) {
    if (parameters) write(this.#form, parameters);
    for (const group of this.#form.querySelectorAll('details')) {
      group.open = [...group.querySelectorAll('input, select, textarea')].some((field) => changed(field));
    }
    summarize(this.#form);
  }

  async #check() {
    const controller = (this.#running = new AbortController());
    clearViolations(this.#form);
    const parameters = read(this.#form);
    const result = new this.#Result(this.#place, parameters, () => controller.abort());
    this.#busy(true);
    try {
      for await (const { event, data } of run(this.#form.dataset.path, parameters, controller.signal)) {
        if (event === 'open') this.#place.reveal();
        else result.show(event, data);
      }
    } catch (error) {
      if (controller.signal.aborted) result.stopped();
      else if (error instanceof NoReport) this.#explain(error, result);
      else throw error;
    } finally {
      this.#running = null;
      this.#busy(false);
    }
  }

  /** Shows why there is no report. */
  #explain({ problem: { title, detail, errors }, retryAfter }, result) {
    if (!errors) {
      result.missing(title, detail && `${detail}.`, retryAfter && `Try again in ${retryAfter} s.`);
      this.#place.reveal();
      return;
    }
    const withoutField = showViolations(this.#form, errors);
    result.missing(`${errors.length} ${errors.length === 1 ? 'parameter is' : 'parameters are'} invalid`, withoutField.join('; ') || 'The form shows the errors.');
    if (withoutField.length === errors.length) this.#place.reveal();
  }

  #busy(is) {
    this.#place.get('run').textContent = is ? 'Running…' : 'Run the check';
    this.#place.get('run').setAttribute('aria-disabled', String(is));
    this.#place.get('result').setAttribute('aria-busy', String(is));
  }
}

function changed(field) {
  if (field.type === 'checkbox') return field.checked !== field.defaultChecked;
  return field.tagName === 'SELECT' ? field.selectedIndex > 0 : field.value !== field.defaultValue;
}
