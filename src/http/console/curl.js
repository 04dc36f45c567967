// A check as a curl command.

import { visible } from './dom.js';
import { SECRET, read } from './form.js';

/**
 * A shell command that runs the same check. The password comes from a variable and goes to curl through a pipe: every user of the
 * machine can read a command line. `printf` is a builtin, so it has none.
 */
export function curl(form) {
  const { [SECRET]: password, ...parameters } = read(form);
  // The command is for a terminal.
  const body = visible(JSON.stringify(parameters));
  const token = document.documentElement.dataset.guarded ? ` \\\n  -H "Authorization: Bearer $SMTP_CHECK_TOKEN"` : '';
  const line = `curl -sS ${location.origin}${form.dataset.path}${token} \\\n  -H 'Content-Type: application/json' \\\n  -d`;
  if (password === undefined) return `${line} ${quoted(body)}`;
  const comma = Object.keys(parameters).length > 0 ? ',' : '';
  return `printf %s ${quoted(`${body.slice(0, -1)}${comma}"${SECRET}":"`)} "$(printf %s "$SASL_PASSWORD" | ${ESCAPE})" '"}' |\n  ${line} @-`;
}

/** Escapes the characters of a password that JSON needs escaped. */
const ESCAPE = String.raw`sed 's/["\\]/\\&/g'`;

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
