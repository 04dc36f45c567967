//! [`Cause`] and [`Facts`]: what findings and explanations are made of, beside the report. They read no texts of ours.

use std::{net::IpAddr, time::Duration};

use super::FailureKind;
use crate::{destination::IpFamily, x509::problem::CertificateProblem};

/// Why a check failed, where kind, code and reply do not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// NXDOMAIN.
    NoSuchDomain {
        /// The name that was looked up.
        name: String,
    },
    /// The name exists and has no address of the wanted family.
    NoAddress {
        /// The name that was looked up.
        name: String,
        /// The wanted family.
        family: IpFamily,
    },
    /// The domain has the null MX record (RFC 7505).
    NullMx {
        /// The domain.
        domain: String,
    },
    /// An MX record that names no host.
    NotAHostName {
        /// What it names.
        exchange: String,
    },
    /// DNS gave no usable answer: whether the name exists is not known.
    NoDnsAnswer,
    /// A TLS alert came in place of the greeting.
    TlsExpected,
    /// No octet came in place of the greeting.
    Silence,
    /// The answer to the ClientHello is not TLS.
    ClearText {
        /// The beginning of its first line, as far as it is known.
        line: Option<String>,
    },
    /// Octets in clear text came behind the 220 to STARTTLS.
    Injection,
    /// The server asked for a client certificate, was shown none, and ended the session.
    ClientCertificateWanted,
    /// The server was shown a client certificate, and ended the session.
    ClientCertificateRefused,
    /// The server asked for a client certificate, but for no signature algorithm that our key has, and ended the
    /// session.
    ClientCertificateUnusable,
    /// The server has neither TLS 1.2 nor TLS 1.3.
    OldTls,
    /// The server does not support the only version of TLS that the check offers.
    OtherTlsVersion,
    /// Both sides have no parameters of TLS in common.
    TlsOfClient,
    /// A message of the server's handshake is longer than this client reads.
    TlsSizeOfClient,
    /// This client could not do its part of the handshake.
    TlsFaultOfClient,
    /// The server refused or broke the handshake.
    BrokenHandshake,
    /// The certificate has errors, and `tls_verify` is `require`.
    CertificateErrors,
    /// The command is not in the reply to EHLO.
    NotOffered,
    /// The mechanism of AUTH would show the password, and there is no TLS.
    PasswordInClear,
    /// The server offers none of the mechanisms of AUTH from which the check may choose.
    NoUsableMechanism,
    /// This client had no time left for the iterations of PBKDF2.
    NoTimeToCompute,
    /// An address has characters beyond ASCII, and the server does not offer SMTPUTF8.
    SmtpUtf8,
}

/// What is known of a check and not shown as such in its report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The errors of the certificates, each with its text.
    pub problems: Vec<CertificateProblem>,
    /// Something is left out of the reply to the EHLO before TLS.
    pub has_cut_ehlo: bool,
    /// The addresses that could not be connected to.
    pub unreached: Vec<Unreached>,
    /// How far AUTH had come when the server ended it.
    pub auth_ended: Option<AuthEnded>,
    /// The iteration count of a SCRAM mechanism, as the server gave it.
    pub scram_iterations: Option<u32>,
    /// The certificates as they were sent (DER), where the check keeps them.
    pub presented: Vec<Vec<u8>>,
    /// The server of a SCRAM mechanism sent the right signature, so the password is right.
    pub is_server_proven: bool,
}

/// A fact that the fold keeps in [`Facts`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An address could not be connected to.
    Unreached(Unreached),
    /// The server ended AUTH before it had all of the credentials.
    AuthEnded(AuthEnded),
    /// The certificates as they were sent.
    Presented(Vec<Vec<u8>>),
}

/// An address that could not be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// The host.
    pub host: String,
    /// The address.
    pub address: IpAddr,
    /// How the attempt failed.
    pub kind: FailureKind,
    /// How long it lasted.
    pub waited: Duration,
}

/// How far AUTH had come when the server ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthEnded {
    /// Neither user name nor password had been sent.
    BeforeCredentials,
    /// The user name had been sent, and the password had not.
    BeforePassword,
}

impl Facts {
    pub(super) fn add(&mut self, fact: Fact) {
        match fact {
            Fact::Unreached(unreached) => self.unreached.push(unreached),
            Fact::Presented(presented) => self.presented = presented,
            Fact::AuthEnded(ended) => self.auth_ended = Some(ended),
        }
    }
}
