//! What the service promises, tried from outside: one binary, a file per behaviour.

mod architecture;
mod auth;
mod certificates;
mod checks;
mod command_line;
mod deadlines;
mod document;
mod doors;
mod draining;
mod hang_up;
mod hostile;
mod limits;
mod metrics;
mod mx;
mod parameters;
mod policy;
mod proxy;
mod real;
mod rejections;
mod settings;
mod shell;
mod starttls;
mod support;
mod support_selfcheck;
mod targets;
mod transcript;
