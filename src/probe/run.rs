//! One check, from its job to its report.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{Instant as Deadline, timeout_at};
use tracing::Instrument;

use super::{
    CheckJob, Limits, Refusal,
    job::{CheckContext, Stop},
    log,
    resolve::{Resolution, Route},
    session::{Connection, Session},
};
use crate::{
    clock,
    destination::policy::TargetPolicy,
    message::{self, Composed},
    net::{
        dial::{Dial, DialError},
        resolve::Resolver,
        tcp::{KeepStamping, TcpConnection},
    },
    permits::KeyedLimit,
    phase::Phase,
    report::{
        Attempt, Fact, Failure, FailureKind, Report, Unreached,
        journal::{Ending, Event},
    },
    thread::run_blocking,
    tls::TlsClient,
};

/// Runs checks: what all of them share.
#[derive(Debug)]
pub(super) struct CheckRunner {
    resolution: Resolution,
    /// Checks in flight to one address. The port does not count: it is the machine that is protected.
    pub(super) per_address: KeyedLimit<IpAddr>,
    tls: TlsClient,
    _stamping: KeepStamping,
}

impl CheckRunner {
    pub(super) fn new(limits: Limits, resolver: Resolver, policy: Arc<TargetPolicy>, tls: TlsClient) -> Self {
        let per_address = KeyedLimit::new(limits.checks_per_target);
        Self {
            resolution: Resolution::new(limits, resolver, policy),
            per_address,
            tls,
            _stamping: KeepStamping::start(),
        }
    }

    /// Runs one check: resolves its target, connects, holds the session and folds the journal into the report.
    ///
    /// # Errors
    /// The check was not run.
    pub(super) async fn run(&self, job: CheckJob) -> Result<Report, Refusal> {
        // Before the clock starts: no figure of the mail server has any of it.
        let message = if job.check.composes() { Some(Box::pin(composed(&job)).await?) } else { None };
        let mut check = CheckContext::start(job);
        if let Some(message) = message {
            check = check.with_message(message);
        }
        let (span, check_id) = (check.span(), check.id());
        let outcome = async {
            let routes = self.resolution.routes(&mut check).await?;
            let connection = self.connect(&mut check, routes).await?;
            Session::new(&mut check, connection).run(&self.tls).await;
            Ok(())
        };
        let outcome = log::CURRENT_CHECK.scope(check_id, outcome).instrument(span).await;
        check.end(outcome)
    }

    /// Tries one address after the other, until one is connected to. An address that has its fill of checks is skipped.
    pub(super) async fn connect(
        &self,
        check: &mut CheckContext,
        routes: Vec<Result<Route, Attempt>>,
    ) -> Result<Connection, Stop> {
        let mut left = routes.iter().filter(|route| route.is_ok()).count();
        let (mut last, mut is_busy) = (None, false);
        for route in routes {
            let Route { host, address } = match route {
                Ok(route) => route,
                Err(attempt) => {
                    check.note(Event::Attempted(attempt));
                    continue;
                }
            };
            let ip = address.socket_addr().ip();
            let Some(permit) = self.per_address.try_acquire(ip) else {
                log::busy(check.id(), &host, ip);
                let error = Refusal::TargetBusy.to_string();
                check.note(Event::Attempted(Attempt { host, address: Some(ip), error }));
                is_busy = true;
                left -= 1;
                continue;
            };
            let dial = Dial::prepare(address, check.check.source_address);
            let by = share(check.deadline, left);
            let began = Instant::now();
            check.journal.announce(began, Phase::Connect);
            let connected = connect_by(dial, by).await;
            let ended = Instant::now();
            let error = match connected {
                Ok(tcp) => {
                    let ended = tcp.established_at();
                    check.journal.note(began, Event::Began(Phase::Connect));
                    check.journal.note(ended, Event::Ended(Phase::Connect, Ending::Done));
                    check.journal.note(ended, Event::Connected { host: host.clone(), address: ip });
                    return Ok(Connection { tcp, began, host, permit });
                }
                Err(error) => error,
            };
            let answered = (!matches!(error, DialError::TimedOut)).then_some(ended);
            let failure = connect_failure(error)?;
            check.note(unreached(&host, ip, failure.kind, ended.duration_since(began)));
            check.note(Event::Attempted(Attempt { host, address: Some(ip), error: failure.message.clone() }));
            last = Some((began, answered, failure));
            left -= 1;
        }
        let (began, answered, failure) = match last {
            Some(last) => last,
            None if is_busy => return Err(Refusal::TargetBusy.into()),
            // Without an address to try, the resolution has failed or the check was refused.
            None => return Err(Refusal::Internal.into()),
        };
        // The last attempt stands for the check.
        check.journal.note(began, Event::Began(Phase::Connect));
        if let Some(answered) = answered {
            check.journal.note(answered, Event::Ended(Phase::Connect, Ending::Failed));
        }
        Err(Stop::Failed(failure))
    }
}

/// The message of the check, made in a thread of its own.
async fn composed(job: &CheckJob) -> Result<Composed, Refusal> {
    let (id, check) = (job.id, Arc::clone(&job.check));
    let composed = run_blocking("message", move || message::compose(&check, id, clock::now())).await;
    match composed {
        Some(Ok(composed)) => Ok(composed),
        Some(Err(error)) => {
            tracing::error!(%id, %error, "no message for a check");
            Err(Refusal::Internal)
        }
        None => Err(Refusal::Internal),
    }
}

fn unreached(host: &str, address: IpAddr, kind: FailureKind, waited: Duration) -> Event {
    Event::Noted(Fact::Unreached(Unreached { host: host.to_owned(), address, kind, waited }))
}

async fn connect_by(dial: Result<Dial, DialError>, by: Deadline) -> Result<TcpConnection, DialError> {
    timeout_at(by, dial?.connect()).await.unwrap_or(Err(DialError::TimedOut))
}

/// By when an address must be connected to: each one that is left gets an equal share of the time, so that a silent
/// one leaves time for the others. The last may take all of it.
pub(super) fn share(deadline: Deadline, left: usize) -> Deadline {
    let now = Deadline::now();
    let share: Duration = deadline.saturating_duration_since(now) / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
    now + share
}

fn connect_failure(error: DialError) -> Result<Failure, Refusal> {
    let kind = match error {
        DialError::Refused => FailureKind::Refused,
        DialError::Unreachable(_) => FailureKind::Unreachable,
        DialError::TimedOut => FailureKind::Timeout,
        DialError::Closed => FailureKind::Closed,
        // A lack of this machine says nothing about the mail server: the check did not run.
        DialError::OutOfSockets(error) => {
            tracing::error!(%error, "no socket for a check");
            return Err(Refusal::Overloaded);
        }
        DialError::NoSourceAddress(error) => {
            tracing::warn!(%error, "no source address for a check");
            return Err(Refusal::NoSourceAddress);
        }
    };
    Ok(Failure::new(Phase::Connect, kind, error))
}
