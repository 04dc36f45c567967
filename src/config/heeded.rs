//! Which settings `run` heeds: those about targets and the network, the file and the log. It serves nobody, and so the others are not
//! among its flags. The environment and the file may have them all the same, for a service beside it.

use clap::{Arg, ArgMatches, Command, Error, parser::ValueSource};

use super::{invalid, parameters::flag_of};

const BY_RUN: [&str; 11] = [
    "config",
    "max_timeout",
    "target_deny",
    "target_allow",
    "target_deny_host",
    "target_allow_host",
    "target_ports",
    "dns_server",
    "ca_file",
    "log_format",
    "otlp_endpoint",
];

/// The command, with the settings that mean nothing to `run` left out of its help.
pub(super) fn hidden_from_run(command: Command) -> Command {
    // An argument that a subcommand has of its own takes the place of the global one of that name.
    let unheeded: Vec<_> = unheeded(&command).map(|setting| setting.hide(true)).collect();
    command.mut_subcommand("run", |run| run.args(unheeded))
}

/// Refuses a flag of the service that was given to `run`.
pub(super) fn refuse_for_run(command: &Command, of_run: &ArgMatches) -> Result<(), Error> {
    let is_given = |setting: &Arg| of_run.value_source(setting.get_id().as_str()) == Some(ValueSource::CommandLine);
    match unheeded(command).find(is_given) {
        Some(setting) => {
            let flag = flag_of(setting.get_id().as_str());
            Err(invalid(&format!("{flag} is a setting of the service, and means nothing to `run`")))
        }
        None => Ok(()),
    }
}

fn unheeded(command: &Command) -> impl Iterator<Item = Arg> {
    let settings = command.get_arguments().filter(|argument| argument.is_global_set());
    settings.filter(|setting| !BY_RUN.contains(&setting.get_id().as_str())).cloned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::CommandLine;

    #[test]
    fn what_run_heeds_are_settings() {
        let command = CommandLine::command();
        for name in BY_RUN {
            assert!(command.get_arguments().any(|argument| argument.get_id() == name), "{name}");
        }
        assert!(unheeded(&command).any(|setting| setting.get_id() == "listen"));
    }
}
