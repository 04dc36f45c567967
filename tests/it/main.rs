//! Integration tests: the promises of the service, tested from outside. One binary, one file for each behaviour.

// A check and its report.
mod auth;
mod certificates;
mod client_certificates;
mod deadlines;
mod delivery;
mod domain;
mod domain_findings;
mod expectations;
mod findings;
mod lmtp;
mod messages;
mod mx;
mod opportunistic_starttls;
mod phase_clocks;
mod phase_times;
mod proxy_protocol;
mod rejections;
mod sasl;
mod source_address;
mod starttls;
mod target_failover;
mod target_resolution;
mod tls_version;
mod transcript;

// Servers that break the protocol, stop answering or close the connection.
mod misbehaving_servers;

// HTTP: requests, access, limits, and the life of the service.
mod body_framing;
mod client_disconnect;
mod https;
mod limits;
mod live_events;
mod memory;
mod policy;
mod routes;
mod scrape;
mod shutdown;
mod signals;
mod tokens;
mod validation;

// The OpenAPI document.
mod openapi;

// What operators see: log, metrics, traces, dashboards.
mod clock;
mod dashboards;
mod log;
mod packaging_files;
mod service_metrics;
mod traces;

// The program: subcommands, settings, terminal.
mod cli;
mod cli_run;
mod nagios;
mod settings;
mod terminal;

// Postfix, Exim, Prometheus and Chromium instead of our own fixtures.
mod real;

// The repository: layers and sizes of the code, dependencies, names of enums, the manual.
mod architecture;
mod dependencies;
mod enum_names;
mod manual;

// Fixtures, and the tests of the fixtures.
mod support;
mod support_selfcheck;
