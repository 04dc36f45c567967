//! Default subcommand, and settings in front of the subcommand's name. clap supports neither, so the arguments are
//! rearranged before they are parsed.

use std::ffi::OsString;

use clap::Command;

/// The subcommand of a command line without one.
const DEFAULT: &str = "serve";

/// The arguments with the subcommand's name in front of all flags.
pub(super) fn moved_to_front(command: &Command, mut arguments: Vec<OsString>) -> Vec<OsString> {
    let first = arguments.get(1).map(|first| first.to_string_lossy());
    let is_in_front = first.is_some_and(|first| !first.starts_with('-') || ["-h", "--help"].contains(&first.as_ref()));
    if !is_in_front {
        // Without a name, `--version` is about the program, wherever it stands.
        let found = position(command, &arguments).or_else(|| arguments.iter().position(is_version));
        let name = found.map_or_else(|| DEFAULT.into(), |at| arguments.remove(at));
        arguments.insert(arguments.len().min(1), name);
    }
    arguments
}

fn is_version(argument: &OsString) -> bool {
    argument == "--version" || argument == "-V"
}

/// Index of the subcommand's name, if only flags stand before it. The value of a flag is not a name, as in
/// `--config demo`.
fn position(command: &Command, arguments: &[OsString]) -> Option<usize> {
    let mut rest = arguments.iter().enumerate().skip(1);
    while let Some((at, word)) = rest.next() {
        match word.to_str()?.strip_prefix("--") {
            Some(flag) if takes_value(command, flag) => drop(rest.next()),
            Some(_) => {}
            None => return command.find_subcommand(word).map(|_| at),
        }
    }
    None
}

fn takes_value(command: &Command, flag: &str) -> bool {
    let mut options = command.get_subcommands().flat_map(Command::get_arguments);
    options.any(|option| {
        let takes_next = option.get_action().takes_values() && !option.is_require_equals_set();
        option.get_long() == Some(flag) && takes_next
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::CommandLine;

    #[test]
    fn the_name_is_found_behind_flags_and_their_values() {
        for (given, moved) in [
            ("", "serve"),
            ("run --json", "run --json"),
            ("help run", "help run"),
            ("sevre --json", "sevre --json"),
            ("--help demo", "--help demo"),
            ("--listen 127.0.0.1:0", "serve --listen 127.0.0.1:0"),
            ("--max-checks=7 demo", "demo --max-checks=7"),
            ("--max-checks 7 --allow-unauthenticated demo", "demo --max-checks 7 --allow-unauthenticated"),
            ("--config demo", "serve --config demo"),
            ("--config demo run --json", "run --config demo --json"),
            ("--starttls run --to a@b.test", "run --starttls --to a@b.test"),
            ("--source-address 127.0.0.1 demo", "demo --source-address 127.0.0.1"),
            ("--max-chekcs 7 demo", "serve --max-chekcs 7 demo"),
            ("--version", "--version"),
            ("--listen 127.0.0.1:0 -V", "-V --listen 127.0.0.1:0"),
            ("--listen 127.0.0.1:0 run --version", "run --listen 127.0.0.1:0 --version"),
        ] {
            let arguments = ["smtp-check"].into_iter().chain(given.split_whitespace()).map(OsString::from).collect();
            let arguments = moved_to_front(&CommandLine::command(), arguments);
            assert_eq!(arguments[1..].join(" ".as_ref()).to_str(), Some(moved), "{given}");
        }
        assert_eq!(moved_to_front(&CommandLine::command(), Vec::new()), ["serve"]);
    }
}
