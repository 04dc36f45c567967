//! Settings of `domain`.

use clap::Args;

use super::{
    parameters::DomainParameters,
    settings::{ConfigFile, TargetSettings, TelemetrySettings},
    values::MAX_TIMEOUT,
};
use crate::check::{CheckSettings, SourceAddresses};

/// Settings of `domain`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Domain {
    /// Print the report as JSON, on a terminal too
    #[arg(long)]
    pub json: bool,
    /// The parameters of the check.
    #[command(flatten)]
    pub parameters: DomainParameters,
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

impl Domain {
    /// Takes what follows from the other settings.
    pub(super) fn complete(&mut self) {
        self.check.max_timeout = self.target.max_timeout;
        // The user of a shell may use every address of the machine.
        self.check.source_addresses = SourceAddresses::Any;
    }
}
