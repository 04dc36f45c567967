//! Client certificates, and servers that ask for one.

use std::sync::Arc;

use smtp_check::check::ClientCertificate;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs},
    server::WebPkiClientVerifier,
};

use super::{Ca, Identity};

/// How a server asks for a client certificate, which must be of one authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// A client without one may go on.
    Optional,
    /// A client without one is refused.
    Required,
    /// As `Required`, and by RSA-PSS with SHA-256 only.
    OnlyRsa,
}

impl Identity {
    /// The identity as that of a client, by this name.
    pub(crate) fn client_certificate(&self, name: &str) -> ClientCertificate {
        let chain = self.chain.iter().map(|certificate| certificate.to_vec()).collect();
        ClientCertificate::new(name.to_owned(), chain, self.key.secret_der().to_vec().into())
    }

    /// A server that asks for a client certificate of this authority.
    pub(crate) fn server_config_asking(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        ca: &Ca,
        asks: Asks,
    ) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).expect("a certificate of an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider(asks)));
        let verifier = if asks == Asks::Optional { verifier.allow_unauthenticated() } else { verifier };
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("aws-lc has suites for both versions")
            .with_client_cert_verifier(verifier.build().expect("there is a root"))
            .with_cert_resolver(Arc::new(self.resolver()));
        Arc::new(config)
    }
}

/// The signature algorithms of the server's request.
fn provider(asks: Asks) -> CryptoProvider {
    let all = aws_lc_rs::default_provider();
    if asks != Asks::OnlyRsa {
        return all;
    }
    let is_kept = |scheme: &SignatureScheme| *scheme == SignatureScheme::RSA_PSS_SHA256;
    let algorithms = all.signature_verification_algorithms;
    let mapping: Vec<_> = algorithms.mapping.iter().copied().filter(|(scheme, _)| is_kept(scheme)).collect();
    // The library wants static lists. A test makes one of them.
    let signature_verification_algorithms = WebPkiSupportedAlgorithms { mapping: mapping.leak(), ..algorithms };
    CryptoProvider { signature_verification_algorithms, ..all }
}
