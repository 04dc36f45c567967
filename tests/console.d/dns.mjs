// A scripted DNS server on loopback (RFC 1035): MX, A and TXT records; each other name has no records, or SERVFAIL.

import dgram from 'node:dgram';

const TYPES = { A: 1, MX: 15, TXT: 16 };
const SERVFAIL = 2;

const named = (name) => Buffer.concat([...name.split('.').filter(Boolean).map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.from([0])]);
const number = (value) => Buffer.from([value >> 8, value & 0xff]);

const DATA = {
  A: (address) => Buffer.from(address.split('.').map(Number)),
  MX: (record) => Buffer.concat([number(Number(record.split(' ')[0])), named(record.split(' ')[1])]),
  TXT: (text) => Buffer.from([text.length, ...Buffer.from(text)]),
};

/** Starts a server. `zone` has the records of each name and type, such as `{'example.test MX': ['10 mx.example.test']}`, or `null` for SERVFAIL. */
export async function dns(zone) {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (query, { port, address }) => {
    const labels = [];
    let at = 12;
    for (; query[at] > 0; at += 1 + query[at]) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
    const end = at + 5;
    const kind = Object.keys(TYPES).find((type) => TYPES[type] === query.readUInt16BE(at + 1));
    const found = zone[`${labels.join('.').toLowerCase()} ${kind}`];
    const records = (found ?? []).map((record) => DATA[kind](record));
    const answers = records.map((data) => Buffer.concat([Buffer.from([0xc0, 12]), number(TYPES[kind]), number(1), Buffer.from([0, 0, 0, 60]), number(data.length), data]));
    const flags = Buffer.from([0x84 | (query[2] & 1), 0x80 | (found === null ? SERVFAIL : 0)]);
    const counts = [1, answers.length, 0, 0].map(number);
    socket.send(Buffer.concat([query.subarray(0, 2), flags, ...counts, query.subarray(12, end), ...answers]), port, address);
  });
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { server: `127.0.0.1:${socket.address().port}`, stop: () => socket.close() };
}
