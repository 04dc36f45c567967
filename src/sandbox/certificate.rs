//! CA and server certificate, made for each sandbox.

use std::{io, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::HOST;
use crate::clock::{self, TlsClock};

/// Long enough for a demo that is left running, and a plausible `cert_end_in`.
const LIFETIME: Duration = Duration::days(90);

/// The clock of a caller, in a container for example, may be a little behind.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// The server's certificate, ready for its listeners, and the CA to trust.
pub(super) struct Identity {
    pub(super) ca_pem: String,
    pub(super) tls: TlsAcceptor,
}

impl Identity {
    pub(super) fn generate() -> io::Result<Self> {
        let now = clock::now();
        let ca = ca(now).map_err(io::Error::other)?;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate =
            server_params(now).and_then(|params| params.signed_by(&key, &ca)).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
            .map_err(io::Error::other)?;
        config.time_provider = Arc::new(TlsClock);
        Ok(Self { ca_pem: ca.pem(), tls: TlsAcceptor::from(Arc::new(config)) })
    }
}

fn ca(now: OffsetDateTime) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = valid_from(CertificateParams::default(), now);
    params.distinguished_name.push(DnType::CommonName, "smtp-check sandbox CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server_params(now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let names = [HOST, "localhost", "127.0.0.1", "::1"];
    let mut params = valid_from(CertificateParams::new(names.map(str::to_owned))?, now);
    params.distinguished_name.push(DnType::CommonName, HOST);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// The parameters with our validity, and without rcgen's default common name.
fn valid_from(mut params: CertificateParams, now: OffsetDateTime) -> CertificateParams {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + LIFETIME;
    params
}
