// A check as the service tells it: events while it runs, or the problem that kept it from running.

/** Why no check was run: a problem document (RFC 9457), or no answer at all. */
export class NotRun extends Error {
  constructor(problem, retryAfter) {
    super(problem.detail ?? problem.title);
    Object.assign(this, { problem, retryAfter });
  }
}

/** Runs a check, and yields `{event, data}` for each event of its stream. */
export async function* run(parameters, signal) {
  const response = await fetch('/v1/checks/smtp', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream' },
    body: JSON.stringify(parameters),
    signal,
  });
  if (!response.ok) throw new NotRun(await problemOf(response), response.headers.get('Retry-After'));
  yield* events(response.body.pipeThrough(new TextDecoderStream()));
}

async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return { status: response.status, title: `${response.status} ${response.statusText}` };
  }
}

/** The events of a stream of text (HTML standard, 9.2.6). Comments are keep-alives, and dropped. */
async function* events(chunks) {
  let text = '';
  let event = {};
  for await (const chunk of chunks) {
    text += chunk;
    const lines = text.split(/\r\n|\n/);
    text = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (event.data !== undefined) yield { event: event.event ?? 'message', data: JSON.parse(event.data) };
        event = {};
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') event.event = value;
      if (field === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
    }
  }
}
