//! Environment variables: empty ones are ignored, and misspelt ones are found.

use std::env;

use clap::{Arg, Command, builder::Resettable};

use crate::suggest::nearest;

/// Prefix of every setting's variable.
const PREFIX: &str = "SMTP_CHECK_";

/// A variable that looks like a setting, but is none. Its value is not kept: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The variable that was probably meant.
    pub nearest: Option<String>,
}

/// Treats an empty variable as unset: a Compose file's `${X:-}` cannot leave it unset.
pub(super) fn without_empty(setting: Arg) -> Arg {
    let is_empty = |name| env::var_os(name).is_some_and(|value| value.is_empty());
    if setting.get_env().is_some_and(is_empty) { setting.env(Resettable::Reset) } else { setting }
}

/// The variables with our prefix that belong to no setting. They are no error, since other programs set some:
/// Kubernetes does.
pub(super) fn unknown(command: &Command) -> Vec<UnknownVariable> {
    let set = env::vars_os().filter(|(_, value)| !value.is_empty());
    let mut names: Vec<_> = set.map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    unknown_among(names, &known(command))
}

fn known(command: &Command) -> Vec<String> {
    let arguments = command.get_subcommands().flat_map(Command::get_arguments);
    arguments.filter_map(|setting| Some(setting.get_env()?.to_str()?.to_owned())).collect()
}

fn unknown_among(names: Vec<String>, known: &[String]) -> Vec<UnknownVariable> {
    let is_unknown = |name: &String| {
        !known.contains(name) && name.strip_prefix(PREFIX).is_some_and(|rest| !is_set_by_kubernetes(rest))
    };
    let unknown = names.into_iter().filter(is_unknown);
    unknown
        .map(|name| {
            let nearest = nearest(&name[PREFIX.len()..], known.iter().filter_map(|known| known.strip_prefix(PREFIX)));
            UnknownVariable { nearest: nearest.map(|nearest| format!("{PREFIX}{nearest}")), name }
        })
        .collect()
}

/// Whether Kubernetes sets it for a Service called `smtp-check`: `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_HTTP`,
/// `PORT`, `PORT_80_TCP`, `PORT_80_TCP_ADDR` and the like.
fn is_set_by_kubernetes(rest: &str) -> bool {
    let port = rest.strip_prefix("PORT_").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    port || ["PORT", "SERVICE_HOST", "SERVICE_PORT"].contains(&rest) || rest.starts_with("SERVICE_PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variables_are_unknown_and_those_of_kubernetes_are_not() {
        let known = ["TOKENS_FILE", "MAX_CHECKS", "LISTEN"].map(|name| format!("{PREFIX}{name}"));
        let nearest = |rest: &str| {
            let unknown = unknown_among(vec![format!("{PREFIX}{rest}")], &known);
            unknown.first().map(|unknown| unknown.nearest.clone().unwrap_or_default())
        };
        for rest in [
            "MAX_CHECKS",
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_80_TCP",
            "PORT_80_TCP_PROTO",
            "PORT_80_TCP_PORT",
            "PORT_80_TCP_ADDR",
        ] {
            assert_eq!(nearest(rest), None, "{rest}");
        }
        assert_eq!(nearest("TOKEN_FILE").as_deref(), Some("SMTP_CHECK_TOKENS_FILE"));
        assert_eq!(nearest("MAX_CHECK").as_deref(), Some("SMTP_CHECK_MAX_CHECKS"));
        assert_eq!(nearest("XYZ").as_deref(), Some(""));
        assert_eq!(nearest("PORTS").as_deref(), Some(""));
        assert_eq!(unknown_among(vec!["PATH".to_owned(), "SMTP_CHECKS".to_owned()], &known), []);
    }
}
