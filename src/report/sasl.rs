//! [`SaslReport`]: how the check authenticated.

use serde::Serialize;
use utoipa::ToSchema;

use crate::smtp::sasl::SaslFacts;

/// The AUTH command that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SaslReport {
    /// The mechanism, by its name in the IANA registry.
    #[schema(example = "SCRAM-SHA-256")]
    pub mechanism: &'static str,
    /// Whether the first response was sent with AUTH.
    pub initial_response: bool,
}

impl From<SaslFacts> for SaslReport {
    fn from(SaslFacts { mechanism, initial_response, .. }: SaslFacts) -> Self {
        Self { mechanism: mechanism.name(), initial_response }
    }
}
