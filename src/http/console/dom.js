// Makes elements. Text is always set as text: the text of a mail server is never parsed as HTML.

/** Characters that could disguise text: the list of `src/escape.rs`, without the line end. */
const HARMFUL = /[\u{0}-\u{9}\u{b}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{34f}\u{600}-\u{605}\u{61c}\u{6dd}\u{70f}\u{890}-\u{891}\u{8e2}\u{115f}-\u{1160}\u{17b4}-\u{17b5}\u{180b}-\u{180f}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{3164}\u{e000}-\u{f8ff}\u{fe00}-\u{fe0f}\u{feff}\u{ffa0}\u{fff0}-\u{fffb}\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{10ffff}]/gu;

/** A text with its harmful characters as the escapes of JSON. */
export function visible(text) {
  return text.replace(HARMFUL, (character) => [...Array(character.length).keys()]
    .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`).join(''));
}

/** An element with attributes and children. A child that is null, undefined or false is left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...parts(children));
  return element;
}

/** The children as nodes and visible texts. One that is null, undefined or false is left out. */
export function parts(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : visible(String(child))));
}

export const byId = (id) => document.getElementById(id);

/** A term and its description, for a `<dl>`. */
export function fact(term, ...what) {
  return h('div', {}, h('dt', {}, term), h('dd', {}, what));
}

/** A section of the report. */
export function card(id, title, ...children) {
  return h('section', { class: 'card', id: `of-${id}`, 'aria-labelledby': `of-${id}-title` }, h('h2', { id: `of-${id}-title` }, title), children);
}

/** A duration in milliseconds, formatted for people. */
export function duration(ms) {
  if (ms === null || ms === undefined) return '—';
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms.toFixed(ms < 100 ? 1 : 0)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

/** Copies text to the clipboard and shows that on the button for a moment. */
export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    // Without HTTPS a browser may deny access to the clipboard.
    window.prompt('Copy this:', text);
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

/** The parts of a text of ours, with what is in backquotes as code. */
export function withCode(text) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? h('code', {}, part) : part));
}
