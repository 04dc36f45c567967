//! [`Fitness`]: whether the resolver passes the signatures of DNSSEC on. One that does not would make every domain
//! bogus.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::proto::rr::{Name, RecordType};
use serde::Serialize;
use strum::IntoStaticStr;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::transport::Transport;
use crate::net::resolve::QueryFlags;

/// How long a result counts.
const FIT_FOR: Duration = Duration::from_secs(300);
const UNFIT_FOR: Duration = Duration::from_secs(30);
/// How long the test may take.
const TEST_TIMEOUT: Duration = Duration::from_secs(3);

/// What is known of the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ResolverState {
    /// It passes signatures on, or nothing depends on them.
    Ok,
    /// It leaves signatures out.
    StripsDnssec,
    /// It gives no answer about the root, where every proof begins.
    Unreachable,
}

/// The last test of the resolver.
#[derive(Debug, Default)]
pub(super) struct Fitness(Mutex<Option<(Instant, ResolverState)>>);

impl Fitness {
    /// What the last test found; tests again where that is too old, for as long as there is time.
    pub(super) async fn state(&self, transport: &Transport, deadline: Instant) -> ResolverState {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, state)) = known {
            let counts_for = if state == ResolverState::Ok { FIT_FOR } else { UNFIT_FOR };
            if at.elapsed() < counts_for {
                return state;
            }
        }
        let by = Instant::now() + TEST_TIMEOUT;
        let tested = timeout_at(by.min(deadline), test(transport)).await;
        // What a check without time could not find out is no result for others.
        if tested.is_err() && deadline < by {
            return ResolverState::Unreachable;
        }
        let state = tested.unwrap_or(ResolverState::Unreachable);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), state));
        state
    }
}

/// Whether the answers about the root have signatures.
async fn test(transport: &Transport) -> ResolverState {
    let flags = QueryFlags { dnssec_ok: true, checking_disabled: true };
    let root = Name::root();
    let (soa, keys) = tokio::join!(
        transport.message(&root, RecordType::SOA, flags),
        transport.message(&root, RecordType::DNSKEY, flags),
    );
    let states = [soa, keys].map(|answered| match answered {
        Ok(message) if message.answers.is_empty() => ResolverState::Unreachable,
        Ok(message) if message.answers.iter().any(|record| record.record_type().is_rrsig()) => ResolverState::Ok,
        Ok(_) => ResolverState::StripsDnssec,
        Err(_) => ResolverState::Unreachable,
    });
    states.into_iter().find(|state| *state != ResolverState::Ok).unwrap_or(ResolverState::Ok)
}
