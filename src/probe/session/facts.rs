//! What the dialogue says in words, as data.

use crate::{
    phase::Phase,
    report::{AuthEnded, Cause, Fact, Failure, FailureKind},
    smtp::dialogue::{AuthStep, EarlyEnd, EndedBy, Unsupported, Warning},
    tls::ClientAuth,
};

/// What a warning says, where findings or explanations need it.
pub(super) fn of_warning(warning: &Warning) -> Option<Fact> {
    match warning {
        // A time limit is ours; and an AUTH that was not sent was not ended.
        Warning::EndedEarly(EarlyEnd { by: EndedBy::Other, .. } | EarlyEnd { after: AuthStep::None, .. }) => None,
        Warning::EndedEarly(EarlyEnd { has_user_name: false, .. }) => {
            Some(Fact::AuthEnded(AuthEnded::BeforeCredentials))
        }
        Warning::EndedEarly(_) => Some(Fact::AuthEnded(AuthEnded::BeforePassword)),
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
        Unsupported::Mechanism | Unsupported::MechanismInClear => Some(Cause::NoUsableMechanism),
    };
    Failure::new(phase, FailureKind::Unsupported, lacking).with_cause(cause)
}
