//! [`TlsReport`]: the TLS session of a check, and its certificates.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::x509::{CertificateFacts, problem::CertificateErrorKind};

/// The TLS session; if the handshake failed after the certificate had arrived, as much as is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TlsReport {
    /// The protocol version; `null` when the handshake failed before the server had signed anything.
    #[schema(required, example = "TLSv1.3")]
    pub version: Option<String>,
    /// The IANA name of the cipher suite; `null` when the handshake failed.
    #[schema(required, example = "TLS_AES_256_GCM_SHA384")]
    pub cipher: Option<String>,
    /// The name that was sent as SNI, and that the certificate must bear.
    pub server_name: String,
    /// Whether the handshake was completed and the certificate has none of the errors in `errors`. If this is `false`
    /// and there is no error, the handshake failed for a reason other than the certificate, which `failure` gives.
    pub verified: bool,
    /// The client certificate: whether the server asked for one, and which one it was shown.
    pub client_certificate: ReportedClientCertificate,
    /// The errors of the certificate, each kind once; `metrics.cert_error` describes them. Also there if the handshake
    /// failed after the certificate had arrived.
    pub errors: Vec<CertificateErrorKind>,
    /// The certificates in the order in which the server sent them, its own first; also there if the handshake failed.
    /// Empty if the server's own cannot be read.
    pub chain: Vec<CertificateFacts>,
}

impl TlsReport {
    /// The certificate that is the first to expire on the path that was verified; `None` where no path was.
    pub fn first_to_expire(&self) -> Option<&CertificateFacts> {
        self.first_to_expire_on_path().filter(|_| self.has_good_path())
    }

    /// The certificate that is the first to expire on the path that was verified, or else on the one that the errors
    /// are about. `None` without a date that can be read.
    pub fn first_to_expire_on_path(&self) -> Option<&CertificateFacts> {
        let dated = self.chain.iter().filter(|certificate| certificate.on_path && certificate.not_after.is_some());
        dated.min_by_key(|certificate| certificate.not_after)
    }

    /// Whether the path was verified, whatever is wrong with the name, the size or the proof of the server's own key.
    fn has_good_path(&self) -> bool {
        use CertificateErrorKind::{UnprovenKey, WeakKey, WrongName};
        let mut errors = self.errors.iter();
        self.verified || !self.errors.is_empty() && errors.all(|kind| matches!(kind, WrongName | WeakKey | UnprovenKey))
    }

    /// When the first of all certificates expires that the server sent. `None` without a date that can be read.
    pub fn earliest_expiry(&self) -> Option<OffsetDateTime> {
        self.chain.iter().filter_map(|certificate| certificate.not_after).min()
    }

    /// Whether limits of this program are all that the certificates have as errors: nothing is known against them.
    pub fn is_not_judged(&self) -> bool {
        !self.errors.is_empty() && self.errors.iter().all(|kind| *kind == CertificateErrorKind::Unsupported)
    }
}

/// What became of a client certificate in the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportedClientCertificate {
    /// Whether the server asked for a client certificate; `false` also where the handshake failed before it could.
    pub requested: bool,
    /// The name of the certificate that it was shown, which is `tls_client_certificate`; `null` when it was shown none.
    /// In TLS 1.3 a server that refuses it can end the session after the handshake.
    #[schema(required, example = "partner")]
    pub shown: Option<String>,
}
