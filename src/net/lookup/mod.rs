//! [`DnsClient`]: DNS records of any type, and whether DNSSEC vouches for them.
//!
//! - [`transport`]: hickory's validator asks the servers of [`Resolver`] through it.
//! - [`reading`]: from a message to an [`Answer`].
//! - [`fitness`]: whether the resolver passes signatures on at all.

mod fitness;
mod reading;
mod transport;

use std::{fmt, fs, path::Path, sync::Arc};

use futures_util::StreamExt;
use hickory_resolver::{
    net::{DnsError, NetError, dnssec::DnssecDnsHandle, xfer::DnsHandle},
    proto::{
        dnssec::{Proof as Validity, TrustAnchors},
        op::{DnsRequestOptions, Message, Query, ResponseCode},
        rr::{Name, RecordType},
    },
};
use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};
use tokio::time::Instant;
use utoipa::ToSchema;

use self::{
    fitness::Fitness,
    reading::{Reading, lookup_failure, name_of, read, record_type},
    transport::Transport,
};
use super::resolve::{QueryFlags, ResolveError, Resolver, to_text};
use crate::mail_dns::{Answer, LookupFailure, Outcome, Proof, Question};

pub use fitness::ResolverState;

/// Aliases that are followed to the records of one name.
const MAX_ALIASES: usize = 16;

/// How proofs of DNSSEC are come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DnssecMode {
    /// Signatures are validated here, from the trust anchors down.
    #[default]
    Validate,
    /// The resolver's word (the AD bit) is taken: for a resolver on this machine, or on a path that is trusted.
    TrustAd,
    /// Nothing is proven.
    Off,
}

/// Why there are no trust anchors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    /// A line is no DNSKEY record.
    #[error("it must have DNSKEY records in zone format, such as `. IN DNSKEY 257 3 13 …`, and nothing else")]
    NotDnskey,
    /// There is no record.
    #[error("it has no DNSKEY record")]
    Empty,
}

/// Looks up records for the checks of domains. Clones share the servers and what is known of them.
#[derive(Clone)]
pub struct DnsClient {
    resolver: Resolver,
    mode: DnssecMode,
    anchors: Arc<TrustAnchors>,
    fitness: Arc<Fitness>,
}

impl DnsClient {
    /// A client that validates from the trust anchors of the root that hickory has (KSK-2017 and KSK-2024).
    pub fn new(resolver: Resolver, mode: DnssecMode) -> Self {
        Self::with_anchors(resolver, mode, TrustAnchors::default())
    }

    /// A client that validates from these trust anchors.
    pub fn with_anchors(resolver: Resolver, mode: DnssecMode, anchors: TrustAnchors) -> Self {
        Self { resolver, mode, anchors: Arc::new(anchors), fitness: Arc::default() }
    }

    /// Reads trust anchors: DNSKEY records in zone format.
    ///
    /// # Errors
    /// The file cannot be read, or has no such record.
    pub fn read_anchors(file: &Path) -> Result<TrustAnchors, AnchorError> {
        let text = fs::read_to_string(file).map_err(|error| AnchorError::Unreadable(error.kind()))?;
        let keys = text.lines().filter(|line| !line.trim_start().starts_with(';') && !line.trim().is_empty()).count();
        let anchors = TrustAnchors::from_file(file).map_err(|_| AnchorError::NotDnskey)?;
        if keys == 0 || anchors.is_empty() { Err(AnchorError::Empty) } else { Ok(anchors) }
    }

    /// How proofs are come by.
    pub fn mode(&self) -> DnssecMode {
        self.mode
    }

    /// Begins the lookups of one check, which share what they learn. At most so many questions are asked at a time.
    /// What has to be asked first is asked until `deadline`.
    pub async fn session(&self, sockets: usize, deadline: Instant) -> DnsSession {
        let transport = Transport::new(self.resolver.clone(), sockets);
        let state = match self.mode {
            DnssecMode::Validate => self.fitness.state(&transport, deadline).await,
            DnssecMode::TrustAd | DnssecMode::Off => ResolverState::Ok,
        };
        let validator = (self.mode == DnssecMode::Validate && state == ResolverState::Ok)
            .then(|| DnssecDnsHandle::with_trust_anchor(transport.clone(), Arc::clone(&self.anchors)));
        DnsSession { transport, mode: self.mode, validator, state }
    }
}

/// The lookups of one check. Each question is asked once.
#[derive(Clone)]
pub struct DnsSession {
    transport: Transport,
    mode: DnssecMode,
    /// None where nothing is validated.
    validator: Option<DnssecDnsHandle<Transport>>,
    state: ResolverState,
}

impl DnsSession {
    /// Whether the resolver passes signatures on.
    pub fn state(&self) -> ResolverState {
        self.state
    }

    /// The answer to a question, aliases followed. It takes as long as the servers do: bound it.
    pub async fn lookup(&self, question: &Question) -> Answer {
        let record_type = record_type(question.kind);
        let mut aliases = Vec::new();
        let mut proof = Proof::Secure;
        let Some(mut name) = name_of(&question.name) else {
            // Labels that are too long, or empty: no server has such a name.
            return Answer { proof: Proof::Indeterminate, aliases, outcome: Outcome::NoName };
        };
        for _ in 0..MAX_ALIASES {
            let (of_name, outcome) = self.of_name(&name, record_type, &mut aliases).await;
            proof = weaker(proof, of_name);
            match outcome {
                Step::Over(outcome) => return Answer { proof, aliases, outcome },
                Step::Alias(next) => name = next,
            }
        }
        Answer { proof, aliases, outcome: Outcome::Failed(LookupFailure::Limit) }
    }

    /// What one response has about a name.
    async fn of_name(&self, name: &Name, record_type: RecordType, aliases: &mut Vec<String>) -> (Proof, Step) {
        let failed = |proof, failure| (proof, Step::Over(Outcome::Failed(failure)));
        let message = match self.transport.message(name, record_type, self.flags()).await {
            Ok(message) => message,
            Err(error) => return self.of_failure(name, record_type, &error).await,
        };
        let proven = match &self.validator {
            Some(validator) => self.validated(validator, name, record_type).await,
            None => Ok((self.unvalidated_proof(&message), message)),
        };
        let (overall, message) = match proven {
            Ok(proven) => proven,
            Err(failure) => return failed(Proof::Indeterminate, failure),
        };
        let Reading { names, proof, records } = read(&message, name, record_type);
        let proof = if self.validator.is_some() { weaker(proof, bogus_only(overall)) } else { overall };
        aliases.extend(names.iter().map(to_text));
        match names.into_iter().next_back() {
            _ if !records.is_empty() => (proof, Step::Over(Outcome::Records(records))),
            Some(alias) => (proof, Step::Alias(alias)),
            None if message.metadata.response_code == ResponseCode::NXDomain => (overall, Step::Over(Outcome::NoName)),
            None => (overall, Step::Over(Outcome::NoData)),
        }
    }

    fn flags(&self) -> QueryFlags {
        match (self.mode, &self.validator) {
            // With CD, a validating resolver passes on what it thinks is bogus (RFC 4035, section 3.2.2).
            (DnssecMode::Validate, Some(_)) => QueryFlags { dnssec_ok: true, checking_disabled: true },
            (DnssecMode::TrustAd, _) => QueryFlags { dnssec_ok: true, checking_disabled: false },
            _ => QueryFlags::default(),
        }
    }

    fn unvalidated_proof(&self, message: &Message) -> Proof {
        match self.mode {
            DnssecMode::TrustAd if message.metadata.authentic_data => Proof::Secure,
            DnssecMode::TrustAd => Proof::Insecure,
            DnssecMode::Validate | DnssecMode::Off => Proof::Indeterminate,
        }
    }

    /// A resolver that validates answers SERVFAIL for what is bogus. With CD it shows whether there are data.
    async fn of_failure(&self, name: &Name, record_type: RecordType, error: &ResolveError) -> (Proof, Step) {
        let failed = |proof, failure| (proof, Step::Over(Outcome::Failed(failure)));
        let failure = lookup_failure(error);
        if self.mode == DnssecMode::TrustAd && failure == LookupFailure::ServFail {
            let unchecked = QueryFlags { dnssec_ok: true, checking_disabled: true };
            if self.transport.message(name, record_type, unchecked).await.is_ok() {
                return failed(Proof::Bogus, LookupFailure::Bogus);
            }
        }
        failed(Proof::Indeterminate, failure)
    }

    /// The message with the validity of its records, and the proof of what it has none of.
    async fn validated(
        &self,
        validator: &DnssecDnsHandle<Transport>,
        name: &Name,
        record_type: RecordType,
    ) -> Result<(Proof, Message), LookupFailure> {
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        options.edns_set_dnssec_ok = true;
        let answered = validator.lookup(Query::query(name.clone(), record_type), options).next().await;
        let (proof, message) = match answered {
            Some(Ok(response)) => {
                let message = response.into_message();
                let has_bogus = message.answers.iter().any(|record| record.proof == Validity::Bogus);
                (if has_bogus { Proof::Bogus } else { negative_proof(&message) }, message)
            }
            Some(Err(NetError::Dns(DnsError::Nsec { response, proof, .. }))) => {
                (if proof == Validity::Insecure { Proof::Insecure } else { Proof::Bogus }, response.into_message())
            }
            Some(Err(_)) | None => return Err(LookupFailure::BogusOrLame),
        };
        // A link of the chain that could not be had proves nothing against the domain.
        if proof == Proof::Bogus && self.transport.has_failures() {
            return Err(LookupFailure::BogusOrLame);
        }
        Ok((proof, message))
    }
}

/// What one response leads to.
enum Step {
    Over(Outcome),
    Alias(Name),
}

/// The proof of an answer without records, which the validator has accepted: that of its authority section.
fn negative_proof(message: &Message) -> Proof {
    let mut authorities = message.authorities.iter().filter(|record| !record.record_type().is_rrsig());
    let is_secure = authorities.any(|record| record.proof == Validity::Secure);
    if is_secure { Proof::Secure } else { Proof::Insecure }
}

/// Of an answer with records, the proof of its authority section tells only that it is bogus.
fn bogus_only(overall: Proof) -> Proof {
    if overall == Proof::Bogus { overall } else { Proof::Secure }
}

/// The proof of an answer that has both.
fn weaker(one: Proof, other: Proof) -> Proof {
    let rank = |proof| match proof {
        Proof::Secure => 3,
        Proof::Insecure => 2,
        Proof::Indeterminate => 1,
        Proof::Bogus => 0,
    };
    if rank(one) <= rank(other) { one } else { other }
}

impl fmt::Debug for DnsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsClient").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl fmt::Debug for DnsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsSession").field("mode", &self.mode).field("state", &self.state).finish_non_exhaustive()
    }
}
