//! What the dialogue says in words, as data.

use crate::{
    phase::Phase,
    report::{AuthEnded, Cause, Fact, Failure, FailureKind},
    smtp::dialogue::{Unsupported, Warning},
    tls::ClientAuth,
};

/// What a warning says, where findings or explanations need it.
pub(super) fn of_warning(warning: &Warning) -> Option<Fact> {
    match warning {
        Warning::EndedBeforeCredentials { .. } => Some(Fact::AuthEnded(AuthEnded::BeforeCredentials)),
        Warning::EndedBeforePassword(_) => Some(Fact::AuthEnded(AuthEnded::BeforePassword)),
        _ => None,
    }
}

/// What a server that ended the session had to do with a client certificate.
pub(super) fn of_client_auth(client_auth: ClientAuth) -> Cause {
    match client_auth {
        ClientAuth::NotAsked | ClientAuth::NoCertificate => Cause::ClientCertificateWanted,
        ClientAuth::NoAlgorithm => Cause::ClientCertificateUnusable,
        ClientAuth::Shown => Cause::ClientCertificateRefused,
    }
}

/// The failure of a phase that cannot begin.
pub(super) fn unsupported(phase: Phase, lacking: Unsupported) -> Failure {
    let cause = match lacking {
        Unsupported::SmtpUtf8 => Some(Cause::SmtpUtf8),
        Unsupported::StartTls(_) => Some(Cause::PasswordInClear),
        Unsupported::Mechanism | Unsupported::MechanismInClear => None,
    };
    Failure::new(phase, FailureKind::Unsupported, lacking).with_cause(cause)
}
