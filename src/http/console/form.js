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
      parameters[name] = typed(form.elements[name], value);
    }
  }
  return parameters;
}

function typed(field, text) {
  if (field.type === 'checkbox') return true;
  if (field.inputMode === 'numeric' && /^\d{1,9}$/.test(text)) return Number(text);
  return text;
}

/** Fills in the form. Unknown parameters and options are ignored. */
export function write(form, parameters) {
  form.reset();
  for (const name of ['starttls', 'implicit_tls']) {
    if (parameters.get(name) === 'true') form.elements.encryption.value = name;
  }
  if (parameters.get('starttls') === OPPORTUNISTIC) form.elements.encryption.value = OPPORTUNISTIC;
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
  const parameters = Object.entries(read(form)).filter(([name]) => name !== SECRET);
  const given = new URLSearchParams(parameters.map(([name, value]) => [name, String(value)]));
  if (!form.elements.transcript.checked) given.set('transcript', 'false');
  return `${location.origin}${location.pathname}#${given}`;
}

/** Shows in the summary of each group what was chosen in it, unless it is the default. */
export function summarize(form) {
  for (const place of form.querySelectorAll('[data-summary]')) {
    const field = form.elements[place.dataset.summary];
    const chosen = field.type === 'checkbox' ? field.checked && 'on' : field.value && field.selectedOptions[0].textContent;
    place.textContent = chosen || '';
  }
}
