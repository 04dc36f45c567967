// What is wrong with the parameters, each at its field, in the words of the form.

import { h } from './dom.js';
import { nameOf } from './waterfall.js';

/** Shows each violation of a 422 at its field, puts the cursor into the first, and returns those that have no field. */
export function complain(form, violations) {
  const elsewhere = [];
  let first = null;
  for (const { pointer, detail } of violations) {
    const name = pointer.slice(1);
    const field = fieldOf(form, name);
    if (!field) {
      elsewhere.push(name ? `${name} ${detail}` : detail);
      continue;
    }
    mark(field, `${name}-error`, inWords(form, detail));
    if (!first || field.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING) first = field;
  }
  first?.focus();
  return elsewhere;
}

function mark(field, id, text) {
  // A narrow field has no room for a sentence. The row has, where it must be told of whom it speaks.
  const isNarrow = field.closest('.narrow');
  field.closest(isNarrow ? '.row' : '.field').append(h('p', { class: 'error', id }, isNarrow ? `${labelOf(field)} ${text}` : text));
  field.setAttribute('aria-invalid', 'true');
  field.dataset.described ??= field.getAttribute('aria-describedby') ?? '';
  field.setAttribute('aria-describedby', `${field.getAttribute('aria-describedby') ?? ''} ${id}`.trim());
  field.closest('details')?.setAttribute('open', '');
}

/** Takes back all that {@link complain} has said. */
export function forgive(form) {
  form.querySelectorAll('.error').forEach((error) => error.remove());
  form.querySelectorAll('[aria-invalid]').forEach((field) => {
    field.removeAttribute('aria-invalid');
    if (field.dataset.described) field.setAttribute('aria-describedby', field.dataset.described);
    else field.removeAttribute('aria-describedby');
  });
}

/** The service names parameters as its callers in JSON know them; here they are known by their labels, and phases by their names. */
function inWords(form, detail) {
  return detail.replace(/`([^`:]+)(?:: true)?`|\b(?:starttls|[a-z]+_[a-z_]+)\b/g, (written, quoted) => {
    const name = quoted ?? written;
    const field = fieldOf(form, name);
    return field ? `“${labelOf(field)}”` : nameOf(name);
  });
}

function labelOf(field) {
  const [label] = field.labels;
  return label.textContent.replace(/\s+/g, ' ').trim();
}

function fieldOf(form, name) {
  return form.querySelector(`[data-parameter="${CSS.escape(name)}"]`) ?? form.querySelector(`[name="${CSS.escape(name)}"]`);
}
