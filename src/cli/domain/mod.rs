//! `domain`: the check of a domain from the shell, for people and for programs. [`readable`] is the report as text.

mod readable;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Error;
use tower::ServiceExt;

use super::{
    build,
    output::{complain, json, print, print_result},
    run::{BAD_USAGE, refusal_text},
    style::TextStyle,
};
use crate::{
    check::DomainCheck,
    config::{Domain, in_flags},
    domain::{DomainJob, domain_probe},
    probe::Limits,
    report::{Severity, domain::DomainReport},
};
use readable::Readable;

/// Exit code for a domain of which too little could be told.
const INCONCLUSIVE: u8 = 3;
/// Sessions at a time.
const MAX_CHECKS: usize = 64;

/// Runs the check. `source_of` names what gave a parameter.
pub(super) async fn domain(settings: &Domain, source_of: &dyn Fn(&str) -> String) -> Result<ExitCode, Error> {
    let check = match DomainCheck::parse(settings.parameters.0.clone().into_iter().collect(), &settings.check) {
        Ok(check) => check,
        Err(invalid) => {
            for violation in invalid.violations() {
                let place = source_of(&violation.parameter()) + violation.within();
                complain(format!("{place}: {}", in_flags(&violation.detail)));
            }
            return Ok(ExitCode::from(BAD_USAGE));
        }
    };
    let traces = build::traces(&settings.telemetry)?;
    let max_timeout = settings.target.max_timeout;
    let limits = Limits { checks: MAX_CHECKS, checks_per_target: MAX_CHECKS, max_timeout };
    let anchors = build::trust_anchors(&settings.target)?;
    let resolver = build::resolver(&settings.target);
    let (_, surveyor) = build::probe(&settings.target, resolver, limits, anchors, traces.as_ref())?;
    let report = domain_probe(1, max_timeout, surveyor).oneshot(DomainJob::new(check)).await;
    let code = match report {
        Ok(report) if settings.json || !io::stdout().is_terminal() => {
            let printed = print_result(json(&report));
            if printed == ExitCode::SUCCESS { exit_code(&report) } else { printed }
        }
        Ok(report) => {
            print(Readable { report: &report, style: TextStyle::of_stdout() });
            exit_code(&report)
        }
        Err(refusal) => {
            complain(refusal_text(&refusal));
            ExitCode::from(BAD_USAGE)
        }
    };
    if let Some(traces) = traces {
        traces.flush().await;
    }
    Ok(code)
}

fn exit_code(report: &DomainReport) -> ExitCode {
    let has = |severity: Severity| report.findings.iter().any(|finding| finding.severity == severity);
    if has(Severity::Error) {
        ExitCode::FAILURE
    } else if has(Severity::Inconclusive) {
        ExitCode::from(INCONCLUSIVE)
    } else {
        ExitCode::SUCCESS
    }
}
