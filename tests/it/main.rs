//! What the service promises, tried from outside: one binary, a file per behaviour.

mod architecture;
mod checks;
mod command_line;
mod deadlines;
mod hang_up;
mod hostile;
mod limits;
mod mx;
mod policy;
mod support;
mod support_selfcheck;
mod targets;
