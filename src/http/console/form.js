// The form and the parameters of a check: one to the other, and the problems of a parameter to its field.

import { byId, h } from './dom.js';

/** Never in a link, nor in a curl line. */
const SECRET = 'sasl_password';
const DEFAULT_PAYLOAD = 'Subject: Testing';

/** The parameters that were given. What was left as it is, the service decides. */
export function read(form) {
  const parameters = {};
  for (const [name, text] of new FormData(form)) {
    const value = text.replaceAll('\r\n', '\n');
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

/** Fills the form in. Parameters that it does not know are left out. */
export function write(form, parameters) {
  form.reset();
  for (const name of ['starttls', 'implicit_tls']) {
    if (parameters.get(name) === 'true') form.elements.encryption.value = name;
  }
  for (const [name, value] of parameters) {
    const field = form.elements[name];
    if (!field || name === SECRET || name === 'encryption') continue;
    if (field.type === 'checkbox') field.checked = value === 'true';
    else field.value = value;
  }
}

/** The page's address with the form filled in, without the password. Behind the `#`, so that no server sees it. */
export function link(form) {
  const parameters = Object.entries(read(form)).filter(([name]) => name !== SECRET);
  const given = new URLSearchParams(parameters.map(([name, value]) => [name, String(value)]));
  if (!form.elements.transcript.checked) given.set('transcript', 'false');
  return `${location.origin}${location.pathname}#${given}`;
}

/** A line for the shell that runs the same check. The password comes from a variable. */
export function curl(form) {
  const { [SECRET]: password, ...parameters } = read(form);
  let body = JSON.stringify(parameters);
  body = quoted(body);
  if (password !== undefined) {
    const comma = Object.keys(parameters).length > 0 ? ', ' : '';
    body = `${body.slice(0, -2)}${comma}"${SECRET}": "'"$SASL_PASSWORD"'"}'`;
  }
  const token = document.documentElement.dataset.guarded ? ` \\\n  -H "Authorization: Bearer $SMTP_CHECK_TOKEN"` : '';
  return `curl -sS ${location.origin}/v1/checks/smtp${token} \\\n  -H 'Content-Type: application/json' \\\n  -d ${body}`;
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Shows each violation of a 422 at its field, and the rest above the form. Puts the cursor into the first. */
export function complain(form, title, violations = []) {
  const elsewhere = [];
  let first = null;
  for (const { pointer, detail } of violations) {
    const name = pointer.slice(1);
    const field = fieldOf(form, name);
    if (!field) {
      elsewhere.push(name ? `${name} ${detail}` : detail);
      continue;
    }
    const id = `${name}-error`;
    field.closest('.field').append(h('p', { class: 'error', id }, detail));
    field.setAttribute('aria-invalid', 'true');
    field.dataset.described ??= field.getAttribute('aria-describedby') ?? '';
    field.setAttribute('aria-describedby', `${field.getAttribute('aria-describedby') ?? ''} ${id}`.trim());
    field.closest('details')?.setAttribute('open', '');
    if (!first || field.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING) first = field;
  }
  const problem = byId('form-problem');
  problem.textContent = [title, ...elsewhere].filter(Boolean).join(' ');
  problem.hidden = problem.textContent === '';
  (first ?? problem).focus?.();
}

/** Takes back all that {@link complain} has said. */
export function forgive(form) {
  form.querySelectorAll('.error').forEach((error) => error.remove());
  form.querySelectorAll('[aria-invalid]').forEach((field) => {
    field.removeAttribute('aria-invalid');
    if (field.dataset.described) field.setAttribute('aria-describedby', field.dataset.described);
    else field.removeAttribute('aria-describedby');
  });
  byId('form-problem').hidden = true;
}

function fieldOf(form, name) {
  return form.querySelector(`[data-parameter="${CSS.escape(name)}"]`) ?? form.querySelector(`[name="${CSS.escape(name)}"]`);
}

/** A folded group says what was chosen in it, where that is not the default. */
export function summarize(form) {
  for (const place of form.querySelectorAll('[data-summary]')) {
    const field = form.elements[place.dataset.summary];
    const chosen = field.type === 'checkbox' ? field.checked && 'on' : field.value && field.selectedOptions[0].textContent;
    place.textContent = chosen || '';
  }
}
