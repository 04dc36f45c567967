// The console: runs a check from the form and shows it while it happens.

import { complain, forgive } from './complaints.js';
import { curl } from './curl.js';
import { byId, copy } from './dom.js';
import { link, read, summarize, write } from './form.js';
import { NotRun, run } from './live.js';
import { details } from './report.js';
import { verdict } from './verdict.js';
import { Waterfall, nameOf } from './waterfall.js';

const form = byId('check');
/** Ends the check that is running. */
let running = null;

async function check() {
  running?.abort();
  const mine = (running = new AbortController());
  forgive(form);
  const parameters = read(form);
  let waterfall = null;
  busy(true);
  try {
    for await (const { event, data } of run(parameters, mine.signal)) {
      waterfall ??= open();
      if (event === 'begin') waterfall.begin(data);
      else if (event === 'phase') {
        waterfall.end(data);
        say(`${nameOf(data.name)}: ${data.ok ? 'done' : 'failed'}`);
      } else if (event === 'report') show(waterfall, data);
      else if (event === 'problem') throw new NotRun(data);
    }
  } catch (error) {
    waterfall?.stop();
    if (mine.signal.aborted) say('The check was stopped.');
    else tell(error);
  } finally {
    if (running === mine) {
      running = null;
      busy(false);
    }
  }
}

/** Makes room for a check whose first event has come. */
function open() {
  byId('idle').hidden = true;
  for (const id of ['verdict', 'report']) {
    byId(id).hidden = true;
    byId(id).replaceChildren();
  }
  byId('phases').hidden = false;
  return new Waterfall(byId('waterfall'));
}

function show(waterfall, report) {
  waterfall.stop(report.metrics.duration);
  byId('verdict').replaceChildren(verdict(report));
  byId('report').replaceChildren(...details(report));
  byId('verdict').hidden = byId('report').hidden = false;
  say(byId('verdict').querySelector('h2').textContent);
  // On a phone the result lies below the form.
  if (byId('result').getBoundingClientRect().top > innerHeight / 2) byId('result').scrollIntoView();
}

/** Says why no check was run. */
function tell(error) {
  if (!(error instanceof NotRun)) {
    complain(form, `The service gave no answer: ${error.message}`);
    return;
  }
  const { title, detail, errors } = error.problem;
  if (errors) {
    complain(form, '', errors);
    say(`${errors.length} ${errors.length === 1 ? 'parameter is' : 'parameters are'} not right.`);
  } else {
    const later = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : '';
    complain(form, `${title}: ${detail ?? ''}.${later}`);
  }
}

function say(text) {
  byId('status').textContent = text;
}

function busy(is) {
  byId('run').textContent = is ? 'Running…' : 'Run the check';
  byId('run').setAttribute('aria-disabled', String(is));
  byId('stop').hidden = !is;
  byId('result').setAttribute('aria-busy', String(is));
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (!running) check();
});
form.addEventListener('reset', () => setTimeout(() => { forgive(form); summarize(form); }));
form.addEventListener('change', () => summarize(form));
byId('stop').addEventListener('click', () => running?.abort());
byId('copy-curl').addEventListener('click', ({ target }) => copy(curl(form), target));
byId('copy-link').addEventListener('click', ({ target }) => copy(link(form), target));
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  if (event.key === 'Escape') running?.abort();
});

function fillIn() {
  if (location.hash.length > 1) write(form, new URLSearchParams(location.hash.slice(1)));
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
fetch('/version').then((answer) => answer.json()).then(({ version }) => { byId('version').textContent = version; }).catch(() => {});
