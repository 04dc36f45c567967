// The result of the check of a domain: what is known while it runs, then the whole report.

import { h } from './dom.js';
import { findings } from './domain_findings.js';
import { matrix } from './domain_matrix.js';
import { differences, dialogues, records, senders } from './domain_parts.js';
import { domainVerdict } from './domain_verdict.js';
import { mark } from './mark.js';
import { raw } from './report.js';

/** The result of one check. It replaces the previous one as soon as the check begins. */
export class DomainResult {
  #place;
  /** Members of the report's `dns`, as far as they are known. */
  #dns = {};
  /** Mail servers by their name. */
  #hosts = new Map();

  constructor(place, parameters, stop) {
    this.#place = place;
    place.running(stop);
  }

  show(event, data) {
    if (event === 'record') this.#record(data);
    else if (event === 'server') this.#server(data);
    else if (event === 'report') this.#report(data);
  }

  stopped() {
    this.#end();
    this.#place.stopped('The connections to the mail servers were closed. What was known by then is below.');
  }

  missing(title, detail, note) {
    this.#end();
    this.#place.missing(title, detail, note);
  }

  /** Nothing more will be known. */
  #end() {
    this.#place.get('report').querySelectorAll('.pending').forEach((pending) => pending.replaceWith(mark('none', 'not known')));
  }

  #record({ name, value }) {
    this.#dns[name] = value;
    if (name === 'mx') value.records.forEach((record) => this.#announced(record));
    this.#progress();
    this.#place.announce(`${name.replaceAll('_', '-').toUpperCase()} looked up`);
  }

  /** A mail server that an MX record names, such as `10 mx1.example.com.`. */
  #announced(record) {
    const [preference, name] = record.split(' ');
    if (name && name !== '.') this.#host(name.replace(/\.$/, '')).preference = Number(preference);
  }

  #server({ host, ...address }) {
    this.#host(host).addresses.push(address);
    this.#progress();
    this.#place.announce(`${host}, ${address.address}: done`);
  }

  #host(name) {
    const key = name.toLowerCase();
    if (!this.#hosts.has(key)) this.#hosts.set(key, { name, preference: null, addresses: [] });
    return this.#hosts.get(key);
  }

  #progress() {
    const hosts = [...this.#hosts.values()].sort((one, other) => (one.preference ?? 0) - (other.preference ?? 0));
    this.#place.report(hosts.length > 0 && matrix(hosts, true), records(this.#dns, []));
  }

  #report(report) {
    this.#place.outcome(domainVerdict(report));
    this.#place.report(
      report.hosts.length > 0 && matrix(report.hosts, false),
      report.findings.length > 0 ? findings(report.findings) : h('p', { class: 'card note' }, 'Nothing was found that an operator should know.'),
      report.differences.length > 0 && differences(report.differences),
      records(report.dns, report.hosts),
      report.senders?.length > 0 && senders(report.senders),
      dialogues(report.hosts),
      raw(report));
  }
}
