// Runs a check on the service and reads its events.

/** Why there is no report: the problem document of the service (RFC 9457), or a network error in the same form. */
export class NoReport extends Error {
  constructor(problem, retryAfter = null) {
    super(problem.detail ?? problem.title);
    Object.assign(this, { problem, retryAfter });
  }
}

/** Runs a check at this path and yields `{event, data}`: `open` when the response begins, then each event of its stream, the last one a `report`. */
export async function* run(path, parameters, signal) {
  const response = await ask(path, parameters, signal);
  if (!response.ok) throw new NoReport(await problemOf(response), response.headers.get('Retry-After'));
  yield { event: 'open' };
  try {
    for await (const received of events(response.body.pipeThrough(new TextDecoderStream()))) {
      if (received.event === 'problem') throw new NoReport(received.data);
      yield received;
      if (received.event === 'report') return;
    }
  } catch (error) {
    throw error instanceof NoReport ? error : cutOff(`${error.message}.`);
  }
  throw cutOff('It ended before the report.');
}

async function ask(path, parameters, signal) {
  // `fetch` refuses a relative URL if the address of the page has a user name and a password.
  const url = new URL(path, location.origin);
  const headers = { 'Content-Type': 'application/json', Accept: 'text/event-stream' };
  try {
    return await fetch(url, { method: 'POST', headers, body: JSON.stringify(parameters), signal });
  } catch (error) {
    throw new NoReport({ title: 'The service did not respond', detail: error.message });
  }
}

function cutOff(why) {
  return new NoReport({ title: 'The response was cut off', detail: `${why} A proxy on the way may have closed the connection` });
}

/** The response may come from a proxy, and then has no problem document. */
async function problemOf(response) {
  const problem = await response.json().catch(() => null);
  return { title: `${response.status} ${response.statusText}`.trim(), ...problem };
}

/** Parses an event stream (HTML Living Standard, section 9.2.6). Comments are keep-alives and ignored. */
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
