// The console: runs a check from the form and shows it while it runs.

import { curl } from './curl.js';
import { byId, copy } from './dom.js';
import { link, read, summarize, write } from './form.js';
import { NoReport, run } from './live.js';
import { Result, clear } from './result.js';
import { clearViolations, showViolations } from './violations.js';

const form = byId('check');
/** Aborts the check that is running, if there is one. */
let running = null;

async function check() {
  const controller = (running = new AbortController());
  clearViolations(form);
  const parameters = read(form);
  const result = new Result(parameters.timeout_ms, () => controller.abort());
  busy(true);
  try {
    for await (const { event, data } of run(parameters, controller.signal)) {
      if (event === 'open') result.reveal();
      else if (event === 'begin') result.begin(data);
      else if (event === 'phase') result.end(data);
      else if (event === 'report') result.report(data);
    }
  } catch (error) {
    if (controller.signal.aborted) result.stopped();
    else if (error instanceof NoReport) explain(error, result);
    else throw error;
  } finally {
    running = null;
    busy(false);
  }
}

/** Shows why there is no report. */
function explain({ problem: { title, detail, errors }, retryAfter }, result) {
  if (!errors) {
    result.missing(title, detail && `${detail}.`, retryAfter && `Try again in ${retryAfter} s.`);
    result.reveal();
    return;
  }
  const withoutField = showViolations(form, errors);
  result.missing(`${errors.length} ${errors.length === 1 ? 'parameter is' : 'parameters are'} invalid`, withoutField.join('; ') || 'The form shows the errors.');
  if (withoutField.length === errors.length) result.reveal();
}

function busy(is) {
  byId('run').textContent = is ? 'Running…' : 'Run the check';
  byId('run').setAttribute('aria-disabled', String(is));
  byId('result').setAttribute('aria-busy', String(is));
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (!running) check();
});
form.addEventListener('reset', () => setTimeout(() => {
  clearViolations(form);
  summarize(form);
  if (!running) clear();
}));
form.addEventListener('change', () => summarize(form));
byId('copy-curl').addEventListener('click', ({ target }) => copy(curl(form), target));
byId('copy-link').addEventListener('click', ({ target }) => copy(link(form), target));
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  if (event.key === 'Escape') running?.abort();
});

function fillIn() {
  // The hash may also be a link to a part of the page.
  if (location.hash.includes('=')) write(form, new URLSearchParams(location.hash.slice(1)));
  for (const group of form.querySelectorAll('details')) {
    group.open = [...group.querySelectorAll('input, select, textarea')].some((field) => changed(field));
  }
  summarize(form);
}

function changed(field) {
  if (field.type === 'checkbox') return field.checked !== field.defaultChecked;
  return field.tagName === 'SELECT' ? field.selectedIndex > 0 : field.value !== field.defaultValue;
}

addEventListener('hashchange', fillIn);
fillIn();
fetch(new URL('/version', location.origin)).then((response) => response.json()).then(({ version }) => { byId('version').textContent = version; }).catch(() => {});
