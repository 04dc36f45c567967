// The console: one tab for the check of a server, one for the check of a domain.

import { byId } from './dom.js';
import { DomainResult } from './domain.js';
import { Place } from './place.js';
import { Result } from './result.js';
import { Tab } from './tab.js';

/** The names of the tabs, in the order of the page. */
const NAMES = ['server', 'domain'];

const tabs = {
  server: new Tab(byId('check'), new Place('', ['outcome', 'phases', 'report']), Result),
};
let current = 'server';

/** The tab of a name. The one of the domain is put into the page when it is first needed. */
function tab(name) {
  if (!tabs[name]) {
    byId('panel-domain').append(byId('domain-tab').content.cloneNode(true));
    tabs[name] = new Tab(byId('domain-check'), new Place('domain-', ['outcome', 'report']), DomainResult);
  }
  return tabs[name];
}

function choose(name) {
  current = name;
  tab(name);
  for (const each of NAMES) {
    byId(`tab-${each}`).setAttribute('aria-selected', String(each === name));
    byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    byId(`panel-${each}`).hidden = each !== name;
  }
  document.querySelector('.skip').href = name === 'domain' ? '#domain-result' : '#result';
}

for (const name of NAMES) {
  byId(`tab-${name}`).addEventListener('click', () => {
    choose(name);
    // Reloading the page leads to the same tab.
    history.replaceState(null, '', name === 'domain' ? '#domain=' : location.pathname);
  });
}
document.querySelector('[role=tablist]').addEventListener('keydown', ({ key }) => {
  const to = { ArrowLeft: NAMES.indexOf(current) + 1, ArrowRight: NAMES.indexOf(current) + 1, Home: 0, End: 1 }[key];
  if (to === undefined) return;
  const chosen = byId(`tab-${NAMES[to % NAMES.length]}`);
  chosen.click();
  chosen.focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) tab(current).run();
  if (event.key === 'Escape') tab(current).stop();
});

function fillIn() {
  // The hash may also be a link to a part of the page.
  const parameters = location.hash.includes('=') ? new URLSearchParams(location.hash.slice(1)) : null;
  if (parameters) choose(parameters.has('domain') ? 'domain' : 'server');
  tab(current).fillIn(parameters);
}

addEventListener('hashchange', fillIn);
fillIn();
fetch(new URL('/version', location.origin)).then((response) => response.json()).then(({ version }) => { byId('version').textContent = version; }).catch(() => {});
