// A check as the service tells it: events while it runs, or why no report came.

/** Why there is no report: the service's problem document (RFC 9457), or what kept its answer away, in the same form. */
export class NoReport extends Error {
  constructor(problem, retryAfter = null) {
    super(problem.detail ?? problem.title);
    Object.assign(this, { problem, retryAfter });
  }
}

/** Runs a check, and yields `{event, data}`: `open` once the service has begun to answer, and then each event of its stream, the last a `report`. */
export async function* run(parameters, signal) {
  const response = await ask(parameters, signal);
  if (!response.ok) throw new NoReport(await problemOf(response), response.headers.get('Retry-After'));
  yield { event: 'open' };
  try {
    for await (const told of events(response.body.pipeThrough(new TextDecoderStream()))) {
      if (told.event === 'problem') throw new NoReport(told.data);
      yield told;
      if (told.event === 'report') return;
    }
  } catch (error) {
    throw error instanceof NoReport ? error : brokenOff(`${error.message}.`);
  }
  throw brokenOff('It ended before the report.');
}

async function ask(parameters, signal) {
  // The page's own address may hold a user name and a token, with which `fetch` takes no path.
  const url = new URL('/v1/checks/smtp', location.origin);
  const headers = { 'Content-Type': 'application/json', Accept: 'text/event-stream' };
  try {
    return await fetch(url, { method: 'POST', headers, body: JSON.stringify(parameters), signal });
  } catch (error) {
    throw new NoReport({ title: 'The service gave no answer', detail: error.message });
  }
}

function brokenOff(why) {
  return new NoReport({ title: 'The answer broke off', detail: `${why} Something in between, such as a proxy, may have cut it` });
}

/** What is in between may answer, too, and without a document. */
async function problemOf(response) {
  const problem = await response.json().catch(() => null);
  return { title: `${response.status} ${response.statusText}`.trim(), ...problem };
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
