// Elements are made here, and their text is always text: what a mail server says is never read as HTML.

/** An element with attributes and children. A child that is null, undefined or false is left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A term and what it is, of a list of facts. */
export function fact(term, ...what) {
  return h('div', {}, h('dt', {}, term), h('dd', {}, what));
}

/** A part of the report. */
export function card(id, title, ...children) {
  return h('section', { class: 'card', id: `of-${id}`, 'aria-labelledby': `of-${id}-title` }, h('h2', { id: `of-${id}-title` }, title), children);
}

/** Milliseconds as people read them. */
export function duration(ms) {
  if (ms === null || ms === undefined) return '—';
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms.toFixed(ms < 100 ? 1 : 0)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

/** Puts text on the clipboard and says so in the button, for a moment. */
export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    // Without HTTPS a browser may have no clipboard for us.
    window.prompt('Copy this:', text);
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}
