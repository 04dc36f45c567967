// The service with its sandbox mail server, as `smtp-check demo` starts it, on free ports.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../target/debug/smtp-check', import.meta.url));
const FACTS = { sandbox: /mail server listens on 127\.0\.0\.1:(\d+)/, origin: /(http:\/\/127\.0\.0\.1:\d+)\/v1\/checks/ };

/** `more` are further flags. */
export async function service(more = []) {
  const program = spawn(PROGRAM, ['demo', '--listen', '127.0.0.1:0', '--max-checks-per-target', '64', ...more], {
    stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH, RUST_LOG: 'warn' },
  });
  let said = '';
  for await (const chunk of program.stdout) {
    said += chunk;
    if (said.includes('Ctrl-C')) break;
  }
  const found = Object.fromEntries(Object.entries(FACTS).map(([name, form]) => [name, form.exec(said)?.[1]]));
  if (!found.sandbox || !found.origin) throw new Error(`the demo said: ${said}`);
  return { ...found, stop: () => program.kill() };
}
