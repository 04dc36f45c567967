// Violations of the parameters, each shown at its field.

import { h, visible } from './dom.js';
import { listed } from './form.js';
import { nameOf } from './waterfall.js';

/** Shows each violation of a 422 at its field, focuses the first field, and returns the violations that have none. */
export function showViolations(form, violations) {
  const withoutField = [];
  let first = null;
  for (const { pointer, detail } of violations) {
    const name = pointer.slice(1);
    // A parameter that is an object or a list may have one field for the whole of it.
    const path = name.split('/');
    const within = [];
    while (path.length > 1 && !fieldOf(form, path.join('/'))) within.unshift(path.pop());
    const parameter = path.join('/');
    const field = fieldOf(form, parameter);
    if (!field) {
      withoutField.push(name ? `${name} ${detail}` : detail);
      continue;
    }
    const text = withLabels(form, detail);
    mark(field, `${field.id || parameter}-error`, within.length > 0 ? `${place(field, within)} ${text}` : text);
    if (!first || field.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING) first = field;
  }
  first?.focus();
  return withoutField;
}

/** Where in the value of a field a violation is: an element of a list by what was written. */
function place(field, within) {
  const element = field.dataset.list === undefined ? undefined : listed(field)[within[0]];
  return element === undefined ? within.join('/') : `“${visible(element)}”`;
}

function mark(field, id, text) {
  // A narrow field has no room for a sentence. In the row, the sentence needs the label of its field.
  const isNarrow = field.closest('.narrow');
  const sentence = isNarrow ? `${labelOf(field)} ${text}` : text;
  const shown = document.getElementById(id);
  if (shown) return void shown.append(h('br'), sentence);
  field.closest(isNarrow ? '.row' : '.field').append(h('p', { class: 'error', id }, sentence));
  field.setAttribute('aria-invalid', 'true');
  field.dataset.described ??= field.getAttribute('aria-describedby') ?? '';
  field.setAttribute('aria-describedby', `${field.getAttribute('aria-describedby') ?? ''} ${id}`.trim());
  field.closest('details')?.setAttribute('open', '');
}

/** Removes everything that {@link showViolations} has added. */
export function clearViolations(form) {
  form.querySelectorAll('.error').forEach((error) => error.remove());
  form.querySelectorAll('[aria-invalid]').forEach((field) => {
    field.removeAttribute('aria-invalid');
    if (field.dataset.described) field.setAttribute('aria-describedby', field.dataset.described);
    else field.removeAttribute('aria-describedby');
  });
}

/** Replaces the names of parameters and phases in JSON by those on the page. */
function withLabels(form, detail) {
  return detail.replace(/`([^`:]+)(?:: ([^`]+))?`|\b(?:starttls|[a-z]+_[a-z_]+)\b/g, (written, quoted, value = 'true') => {
    const name = quoted ?? written;
    const field = fieldOf(form, name);
    if (!field) return nameOf(name);
    return value === 'true' ? `“${labelOf(field)}”` : `“${labelOf(field)}” ${value}`;
  });
}

function labelOf(field) {
  const [label] = field.labels;
  return label.textContent.replace(/\s+/g, ' ').trim();
}

function fieldOf(form, name) {
  return form.querySelector(`[data-parameter="${CSS.escape(name)}"]`) ?? form.querySelector(`[name="${CSS.escape(name)}"]`);
}
