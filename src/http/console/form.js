// The form and the parameters of a check: one to the other.

/** Never in a link, nor in a curl line. */
export const SECRET = 'sasl_password';
const DEFAULT_PAYLOAD = 'Subject: Testing';
/** Blanks around any other value came along when it was copied; in these they may be meant. */
const VERBATIM = new Set([SECRET, 'sasl_user', 'sasl_auth_id', 'payload']);

/** The parameters that were given. What was left as it is, the service decides. */
export function read(form) {
  const parameters = {};
  for (const [name, text] of new FormData(form)) {
    const value = VERBATIM.has(name) ? text.replaceAll('\r\n', '\n') : text.trim();
    if (name === 'encryption') {
      if (value) parameters[value] = true;
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

/** Fills the form in. Parameters and choices that it does not know are left out. */
export function write(form, parameters) {
  form.reset();
  for (const name of ['starttls', 'implicit_tls']) {
    if (parameters.get(name) === 'true') form.elements.encryption.value = name;
  }
  for (const [name, value] of parameters) {
    const field = named(form, name);
    if (!field || name === SECRET || field.type === 'radio') continue;
    if (field.type === 'checkbox') field.checked = value === 'true';
    else if (field.tagName !== 'SELECT' || [...field.options].some((option) => option.value === value)) field.value = value;
  }
}

/** A form has members of its own, such as `length`, so that `elements` is not asked for names from outside. */
function named(form, name) {
  return form.querySelector(`[name="${CSS.escape(name)}"]`);
}

/** The page's address with the form filled in, without the password. Behind the `#`, so that no server sees it. */
export function link(form) {
  const parameters = Object.entries(read(form)).filter(([name]) => name !== SECRET);
  const given = new URLSearchParams(parameters.map(([name, value]) => [name, String(value)]));
  if (!form.elements.transcript.checked) given.set('transcript', 'false');
  return `${location.origin}${location.pathname}#${given}`;
}

/** A folded group says what was chosen in it, where that is not the default. */
export function summarize(form) {
  for (const place of form.querySelectorAll('[data-summary]')) {
    const field = form.elements[place.dataset.summary];
    const chosen = field.type === 'checkbox' ? field.checked && 'on' : field.value && field.selectedOptions[0].textContent;
    place.textContent = chosen || '';
  }
}
