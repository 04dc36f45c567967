// Converts between the form and the parameters of a check.

/** Never in a link or a curl command. */
export const SECRET = 'sasl_password';
/** A value of `starttls` beside true and false. */
const OPPORTUNISTIC = 'opportunistic';
const DEFAULT_PAYLOAD = 'Subject: Testing';
/** Fields whose value is not trimmed: spaces may belong to it. */
const VERBATIM = new Set([SECRET, 'sasl_user', 'sasl_auth_id', 'payload']);

/** The parameters that were filled in. For the others the service has defaults. */
export function read(form) {
  const parameters = {};
  for (const [name, text] of new FormData(form)) {
    const value = VERBATIM.has(name) ? text.replaceAll('\r\n', '\n') : text.trim();
    if (name === 'encryption') {
      if (value === OPPORTUNISTIC) parameters.starttls = value;
      else if (value) parameters[value] = true;
    } else if (name === 'payload') {
      if (value !== DEFAULT_PAYLOAD) parameters.payload = value;
    } else if (value !== '') {
      // The members of an object have fields of their own, such as `expect/mx`.
      const path = name.split('/');
      const last = path.pop();
      const owner = path.reduce((object, member) => (object[member] ??= {}), parameters);
      owner[last] = typed(form.elements[name], value);
    }
  }
  return parameters;
}

function typed(field, text) {
  if (field.type === 'checkbox') return true;
  if (field.dataset.list !== undefined) return listed(field);
  if (field.tagName === 'SELECT' && /^(true|false)$/.test(text)) return text === 'true';
  if (field.inputMode === 'numeric' && /^\d{1,9}$/.test(text)) return Number(text);
  return text;
}

/** The elements of a list that is written into a field. */
export const listed = (field) => field.value.split(/[\s,;]+/).filter(Boolean);

/** Fills in the form. Unknown parameters and options are ignored. */
export function write(form, parameters) {
  form.reset();
  for (const name of ['starttls', 'implicit_tls']) {
    if (form.elements.encryption && parameters.get(name) === 'true') form.elements.encryption.value = name;
  }
  if (form.elements.encryption && parameters.get('starttls') === OPPORTUNISTIC) form.elements.encryption.value = OPPORTUNISTIC;
  for (const [name, value] of parameters) {
    const field = named(form, name);
    if (!field || name === SECRET || field.type === 'radio') continue;
    if (field.type === 'checkbox') field.checked = value === 'true';
    else if (field.tagName !== 'SELECT' || [...field.options].some((option) => option.value === value)) field.value = value;
  }
}

/** Not `form.elements[name]`: that has properties of its own, such as `length`, and the name comes from a link. */
function named(form, name) {
  return form.querySelector(`[name="${CSS.escape(name)}"]`);
}

/** The address of the page with this form, without the password. The parameters are in the fragment, which is not sent to a server. */
export function link(form) {
  const parameters = flat(read(form)).filter(([name]) => name !== SECRET);
  const given = new URLSearchParams(parameters.map(([name, value]) => [name, String(value)]));
  const { checked, defaultChecked } = form.elements.transcript;
  if (defaultChecked && !checked) given.set('transcript', 'false');
  // The parameter by which the page knows the tab.
  if (form.elements.domain && !given.has('domain')) given.set('domain', '');
  return `${location.origin}${location.pathname}#${given}`;
}

/** The parameters by the names of their fields. */
function flat(parameters, within = '') {
  return Object.entries(parameters).flatMap(([name, value]) => (value?.constructor === Object ? flat(value, `${within}${name}/`) : [[within + name, value]]));
}

/** Shows in the summary of each group what was chosen in it, unless it is the default. */
export function summarize(form) {
  for (const place of form.querySelectorAll('[data-summary]')) {
    const field = form.elements[place.dataset.summary];
    const chosen = field.type === 'checkbox' ? field.checked && 'on' : field.value && field.selectedOptions[0].textContent;
    place.textContent = chosen || '';
  }
}
