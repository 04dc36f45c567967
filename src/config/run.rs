//! Settings of `run`.

use std::{path::Path, str::FromStr, time::Duration};

use clap::{Args, Error};

use super::{
    invalid,
    named::NamedTables,
    parameters::Parameters,
    settings::{ConfigFile, TargetSettings, TelemetrySettings},
    values::{Element, MAX_TIMEOUT, timeout, whole},
};
use crate::{
    check::{CheckSettings, SourceAddresses},
    phase::Phase,
};

/// Settings of `run`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Run {
    /// Print the report as JSON, on a terminal too; with --watch, one line each
    #[arg(long)]
    pub json: bool,
    /// Repeat the check at this interval until Ctrl-C, then print a summary: exit code 0 if all completed checks
    /// succeeded, else 1, also if there were none
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    pub watch: Option<Duration>,
    /// Answer as a Nagios plugin: one line, and exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (bad usage and --help,
    /// too). Give --stop-after as well, or each run delivers a real message
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    pub nagios: bool,
    /// Limits for `--nagios`.
    #[command(flatten)]
    pub thresholds: Thresholds,
    /// The parameters of the check.
    #[command(flatten)]
    pub parameters: Parameters,
    /// The settings file.
    #[command(flatten)]
    pub file: ConfigFile,
    /// What the check may connect to.
    #[command(flatten)]
    pub target: TargetSettings,
    /// The log and the traces.
    #[command(flatten)]
    pub telemetry: TelemetrySettings,
    /// What the check may use.
    #[arg(skip = CheckSettings::new(MAX_TIMEOUT))]
    pub check: CheckSettings,
}

impl Run {
    /// Takes what the parameters name in the settings file, and refuses thresholds that do not go together. Of what
    /// they do not name no file is read: it may be another user's.
    pub(super) fn complete(&mut self, named: NamedTables) -> Result<(), Error> {
        self.thresholds.agree()?;
        self.check.max_timeout = self.target.max_timeout;
        // The user of a shell may use every address of the machine.
        self.check.source_addresses = SourceAddresses::Any;
        let file = self.file.config.as_deref().unwrap_or(Path::new(""));
        named.only(|name| self.parameters.0.values().any(|value| value == name)).complete(&mut self.check, file)
    }
}

/// The limits of `--nagios`: on times, and on the days that a certificate is still valid.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// With --nagios: WARNING if a phase, or `duration`, takes more milliseconds (list, each once)
    #[arg(long, value_name = "PHASE=MS", value_delimiter = ',', requires = "nagios", value_parser = Element(Limit::from_str))]
    pub warning: Vec<Limit>,
    /// With --nagios: CRITICAL if a phase, or `duration`, takes more milliseconds (list, each once)
    #[arg(long, value_name = "PHASE=MS", value_delimiter = ',', requires = "nagios", value_parser = Element(Limit::from_str))]
    pub critical: Vec<Limit>,
    /// With --nagios: WARNING if the certificate is valid for fewer days
    #[arg(long, value_name = "DAYS", requires = "nagios", value_parser = whole(0..=u32::MAX))]
    pub cert_warning: Option<u32>,
    /// With --nagios: CRITICAL if the certificate is valid for fewer days
    #[arg(long, value_name = "DAYS", requires = "nagios", value_parser = whole(0..=u32::MAX))]
    pub cert_critical: Option<u32>,
}

impl Thresholds {
    /// Refuses thresholds that do not go together.
    pub(super) fn agree(&self) -> Result<(), Error> {
        for (flag, limits) in [("--warning", &self.warning), ("--critical", &self.critical)] {
            for (index, Limit { of, .. }) in limits.iter().enumerate() {
                if limits[..index].iter().any(|limit| limit.of == *of) {
                    return Err(invalid(&format!("{flag} is given twice for {}", measure(*of))));
                }
            }
        }
        for critical in &self.critical {
            let warning = self.warning.iter().find(|warning| warning.of == critical.of);
            if warning.is_some_and(|warning| warning.ms > critical.ms) {
                let of = measure(critical.of);
                return Err(invalid(&format!("--critical is less than --warning for {of}, which would never warn")));
            }
        }
        match (self.cert_warning, self.cert_critical) {
            (Some(warning), Some(critical)) if critical > warning => {
                Err(invalid("--cert-critical is more than --cert-warning, which would never warn"))
            }
            _ => Ok(()),
        }
    }
}

/// The name of what a limit is of.
fn measure(of: Option<Phase>) -> &'static str {
    of.map_or("duration", Phase::name)
}

/// The longest time that a phase, or the whole check, may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// A phase, or `None` for the whole check.
    pub of: Option<Phase>,
    /// In milliseconds.
    pub ms: f64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, ms) = text.split_once('=').ok_or("write it like banner=500 or duration=2000")?;
        // A PROXY header has no answer, and so no time.
        let timed = || Phase::ALL.iter().copied().filter(|phase| *phase != Phase::Proxy);
        let of = match name {
            "duration" => None,
            name => Some(timed().find(|phase| phase.name() == name).ok_or_else(|| {
                let names: Vec<_> = timed().map(Phase::name).collect();
                format!("`{name}` is none of duration {}", names.join(" "))
            })?),
        };
        match ms.parse::<f64>() {
            Ok(ms) if ms.is_finite() && ms >= 0.0 => Ok(Self { of, ms }),
            _ => Err(format!("`{ms}` is no number of milliseconds")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_of_a_phase_or_of_the_whole() {
        let limit = |text: &str| text.parse::<Limit>();
        assert_eq!(limit("banner=500"), Ok(Limit { of: Some(Phase::Banner), ms: 500.0 }));
        assert_eq!(limit("ehlo_tls=0.5"), Ok(Limit { of: Some(Phase::EhloTls), ms: 0.5 }));
        assert_eq!(limit("duration=2e3"), Ok(Limit { of: None, ms: 2000.0 }));
        for (text, named) in [
            ("500", "banner=500"),
            ("greeting=1", "`greeting`"),
            ("proxy=1", "`proxy`"),
            ("banner=", "``"),
            ("banner=fast", "`fast`"),
            ("banner=-1", "`-1`"),
            ("banner=NaN", "`NaN`"),
            ("banner=inf", "`inf`"),
        ] {
            assert!(limit(text).is_err_and(|error| error.contains(named)), "{text}");
        }
    }
}
