//! The manual: how to use and run smtp-check, and why it is as it is.
//!
//! Each page is a Markdown file in `src/manual` that reads the same on a Git host. `tests/it/manual` compares the pages
//! with the program.
//!
//! **Use**
//! - [`checks`]: the parameters of a check, its report, the live events, and why a check failed.
//! - [`domains`]: the check of a whole domain.
//! - [`command_line`]: `run`, `--watch`, `--nagios`, and the other subcommands.
//! - [`findings`]: what each finding of a report means.
//! - [`errors`]: problem documents, refusals and exit codes.
//! - [`metrics`]: `/probe` with its modules, and the service's own metrics.
//!
//! **Operate**
//! - [`settings`]: flags, environment and file; tokens, rate limit, proxies, HTTPS.
//! - [`operations`]: Docker, Debian, Kubernetes, Prometheus and Grafana.
//! - [`performance`]: what was measured, beside other tools.
//! - [`threat_model`]: who could misuse the service, what stops them, and what is left to the operator.
//!
//! **Reasons**
//! - [`phases`]: what each phase measures.
//! - [`answers`]: why a failed check is a 200.
//! - [`certificates`]: what is verified, by whom, and what is not supported.
//! - [`limits`]: what is bounded.
//! - [`targets`]: which addresses, names and ports a check may connect to.

/// Where the links of the pages lead in rustdoc. Each page ends with definitions of the same links as paths in the
/// repository; of two definitions the first one counts.
macro_rules! links {
    () => {
        "\
[answers]: crate::manual::answers
[certificates]: crate::manual::certificates
[checks]: crate::manual::checks
[command-line]: crate::manual::command_line
[domains]: crate::manual::domains
[errors]: crate::manual::errors
[findings]: crate::manual::findings
[limits]: crate::manual::limits
[metrics]: crate::manual::metrics
[operations]: crate::manual::operations
[performance]: crate::manual::performance
[phases]: crate::manual::phases
[settings]: crate::manual::settings
[targets]: crate::manual::targets
[threat-model]: crate::manual::threat_model
[`check`]: crate::check
[`destination`]: crate::destination
[`destination::policy`]: crate::destination::policy
[`escape`]: crate::escape
[`thread`]: crate::thread
[`http`]: crate::http
[`net::dial`]: crate::net::dial
[`probe`]: crate::probe
[`report`]: crate::report
[`secret`]: crate::secret
[`message`]: crate::message
[`smtp`]: crate::smtp
[`smtp::dialogue`]: crate::smtp::dialogue
[`smtp::reply`]: crate::smtp::reply
[`telemetry`]: crate::telemetry
[`tls`]: crate::tls
[`x509`]: crate::x509
"
    };
}

#[doc = links!()]
#[doc = include_str!("answers.md")]
pub mod answers {}

#[doc = links!()]
#[doc = include_str!("certificates.md")]
pub mod certificates {}

#[doc = links!()]
#[doc = include_str!("checks.md")]
pub mod checks {}

#[doc = links!()]
#[doc = include_str!("command-line.md")]
pub mod command_line {}

#[doc = links!()]
#[doc = include_str!("domains.md")]
pub mod domains {}

#[doc = links!()]
#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = links!()]
#[doc = include_str!("findings.md")]
pub mod findings {}

#[doc = links!()]
#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = links!()]
#[doc = include_str!("metrics.md")]
pub mod metrics {}

#[doc = links!()]
#[doc = include_str!("operations.md")]
pub mod operations {}

#[doc = links!()]
#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = links!()]
#[doc = include_str!("phases.md")]
pub mod phases {}

#[doc = links!()]
#[doc = include_str!("settings.md")]
pub mod settings {}

#[doc = links!()]
#[doc = include_str!("targets.md")]
pub mod targets {}

#[doc = links!()]
#[doc = include_str!("threat-model.md")]
pub mod threat_model {}
