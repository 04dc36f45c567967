//! What the service promises, tried from outside: one binary, a file per behaviour.

mod architecture;
mod checks;
mod command_line;
mod document;
mod doors;
mod draining;
mod mx;
mod parameters;
mod policy;
mod real;
mod settings;
mod shell;
mod support;
mod support_selfcheck;
mod targets;
