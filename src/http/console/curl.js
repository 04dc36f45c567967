// A check as a line for the shell.

import { SECRET, read } from './form.js';

/**
 * A line for the shell that runs the same check. The password comes from a variable, and goes to curl by a pipe: a command line can be
 * read by everybody on the machine, and `printf` is the shell's own.
 */
export function curl(form) {
  const { [SECRET]: password, ...parameters } = read(form);
  const body = JSON.stringify(parameters);
  const token = document.documentElement.dataset.guarded ? ` \\\n  -H "Authorization: Bearer $SMTP_CHECK_TOKEN"` : '';
  const line = `curl -sS ${location.origin}/v1/checks/smtp${token} \\\n  -H 'Content-Type: application/json' \\\n  -d`;
  if (password === undefined) return `${line} ${quoted(body)}`;
  const comma = Object.keys(parameters).length > 0 ? ',' : '';
  return `printf %s ${quoted(`${body.slice(0, -1)}${comma}"${SECRET}":"`)} "$(printf %s "$SASL_PASSWORD" | ${ESCAPE})" '"}' |\n  ${line} @-`;
}

/** What JSON wants escaped of all that a password may hold. */
const ESCAPE = String.raw`sed 's/["\\]/\\&/g'`;

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
