//! [`MessageReport`]: the message that a check made.

use serde::Serialize;
use utoipa::ToSchema;

/// The message that the check built or signed, whether or not the server took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageReport {
    /// Its Message-ID, with the angle brackets. Of a signed `payload` it is the payload's own; `null` when that has
    /// none.
    #[schema(required, example = "<0193e2c4-9a3b-7cde-8f01-23456789abcd@example.com>")]
    pub message_id: Option<String>,
    /// Its octets as the receiver holds them, the last line end included.
    #[schema(example = 612)]
    pub octets: u64,
    /// Its signature; `null` when it has none.
    #[schema(required)]
    pub dkim: Option<DkimReport>,
}

/// A DKIM signature (RFC 6376).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DkimReport {
    /// The domain that signed, the tag `d=`.
    #[schema(example = "example.com")]
    pub domain: String,
    /// The selector of the key, the tag `s=`. The public key is the TXT record of `selector._domainkey.domain`.
    #[schema(example = "s1")]
    pub selector: String,
    /// The algorithm, the tag `a=`.
    #[schema(value_type = String, example = "rsa-sha256")]
    pub algorithm: &'static str,
}
