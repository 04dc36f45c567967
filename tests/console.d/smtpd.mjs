// A scripted SMTP server on loopback that sends each reply only when the test allows it.

import net from 'node:net';

const POLITE = {
  banner: '220 mx.example.test ESMTP', ehlo: '250-mx.example.test greets you\r\n250-SIZE 1000000\r\n250 8BITMIME',
  mailfrom: '250 2.1.0 Ok', rcptto: '250 2.1.5 Ok', data: '354 Go ahead', body: '250 2.0.0 Ok: queued as ABC123', quit: '221 2.0.0 Bye',
  auth: '334 ', login: '235 2.7.0 Ok',
};

const servers = [];

/** Stops every server. */
export const stopAll = () => servers.forEach((server) => server.close());

const PHASES = { EHLO: 'ehlo', MAIL: 'mailfrom', RCPT: 'rcptto', DATA: 'data', QUIT: 'quit', AUTH: 'auth' };

/**
 * Starts a server. `replies` replace the default ones; before each, `gate(phase)` is awaited. `ended` is a promise for the end of the
 * first connection, `logins` has the responses to AUTH PLAIN.
 */
export async function smtpd({ replies = {}, gate = async () => {} } = {}) {
  const words = { ...POLITE, ...replies };
  const logins = [];
  const server = net.createServer((socket) => {
    let text = '';
    let inBody = false;
    let inAuth = false;
    let turn = say('banner');
    function say(phase) {
      return Promise.resolve(gate(phase)).then(() => socket.writable && socket.write(`${words[phase]}\r\n`));
    }
    socket.on('data', (bytes) => {
      text += bytes;
      while (text.includes(inBody ? '\r\n.\r\n' : '\r\n')) {
        const end = text.indexOf(inBody ? '\r\n.\r\n' : '\r\n');
        const phase = inBody ? 'body' : inAuth ? 'login' : PHASES[text.slice(0, 4).toUpperCase()];
        if (inAuth) logins.push(Buffer.from(text.slice(0, end), 'base64').toString());
        inAuth = phase === 'auth';
        text = text.slice(end + (inBody ? 5 : 2));
        inBody = phase === 'data' && words.data.startsWith('354');
        turn = turn.then(() => say(phase));
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => server.emit('over'));
  });
  const ended = new Promise((resolve) => server.once('over', resolve));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return { port: server.address().port, ended, logins, close: () => server.close() };
}

/** Gates that open one at a time. */
export class Gates {
  #waiting = new Map();

  /** For the server: waits until the gate of a phase is opened. */
  pass = (phase) => this.#gate(phase).promise;

  open(phase) {
    this.#gate(phase).resolve();
  }

  #gate(phase) {
    if (!this.#waiting.has(phase)) {
      let resolve;
      const promise = new Promise((done) => { resolve = done; });
      this.#waiting.set(phase, { promise, resolve });
    }
    return this.#waiting.get(phase);
  }
}
