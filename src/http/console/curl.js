// A check as a line for the shell.

import { SECRET, read } from './form.js';

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
