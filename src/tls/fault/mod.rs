//! [`TlsFault`]: an error of rustls in our own words. rustls's texts are identifiers of its code.

mod peer;

use std::{borrow::Cow, fmt, io};

use tokio_rustls::rustls::{AlertDescription, ContentType, Error, HandshakeType, InvalidMessage, PeerIncompatible};

use super::{
    alert::{Alert, in_snake_case},
    client_auth::{ClientAuth, ClientAuthRefused},
};

/// What went wrong with TLS, before or inside a session. Its `Display` is a clause that begins with "the server" or
/// "this client".
#[derive(Clone, Debug)]
pub struct TlsFault(Error);

/// What this client lacks for a handshake with a server that may be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientLack {
    /// The parameters that the server needs.
    Parameters,
    /// Room for a message of the handshake.
    Size,
    /// Something that this client should be able to do.
    Ability,
}

/// Why a TLS session broke after the handshake.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// In TLS 1.3 the client has completed the handshake before the server has seen its certificate, or that it has
    /// none (RFC 8446, section 4.4.2.4).
    #[error("{0}")]
    ClientAuth(ClientAuthRefused),
    /// The server ended the session with another alert.
    #[error("the server ended the TLS session (alert {0})")]
    Ended(Alert),
    /// One of the two sides broke the protocol.
    #[error("the TLS session broke: {0}")]
    Broken(TlsFault),
}

impl SessionError {
    /// `None` if the error is the system's, not one of TLS. `client_auth` is that of the handshake, if the server has
    /// sent nothing since.
    pub fn of(error: &io::Error, client_auth: ClientAuth) -> Option<Self> {
        let fault = TlsFault::of(error)?;
        Some(match fault.alert() {
            Some(alert) if client_auth.is_asked() || alert.0 == AlertDescription::CertificateRequired => {
                Self::ClientAuth(ClientAuthRefused { client_auth, alert })
            }
            Some(alert) => Self::Ended(alert),
            None => Self::Broken(fault),
        })
    }
}

impl TlsFault {
    #[cfg(test)]
    fn new(error: Error) -> Self {
        Self(error)
    }

    /// `None` if the error is the system's, not one of TLS.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().cloned().map(Self)
    }

    pub(super) fn rustls(&self) -> &Error {
        &self.0
    }

    /// What this client lacks; `None` if the fault is the server's.
    pub fn of_client(&self) -> Option<ClientLack> {
        use InvalidMessage::{CertificatePayloadTooLarge, HandshakePayloadTooLarge, UnsupportedKeyExchangeAlgorithm};
        match &self.0 {
            Error::InvalidMessage(CertificatePayloadTooLarge | HandshakePayloadTooLarge) => Some(ClientLack::Size),
            Error::InvalidMessage(UnsupportedKeyExchangeAlgorithm(_)) | Error::PeerIncompatible(_) => {
                Some(ClientLack::Parameters)
            }
            Error::EncryptError
            | Error::FailedToGetCurrentTime
            | Error::FailedToGetRandomBytes
            | Error::HandshakeNotComplete
            | Error::UnsupportedNameType
            | Error::General(_)
            | Error::Other(_) => Some(ClientLack::Ability),
            _ => None,
        }
    }

    /// The alert that the server sent; `None` for other faults.
    fn alert(&self) -> Option<Alert> {
        match self.0 {
            Error::AlertReceived(alert) => Some(Alert(alert)),
            _ => None,
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.0))
    }
}

fn describe(error: &Error) -> Cow<'static, str> {
    let text = match error {
        Error::InappropriateMessage { got_type, .. } => {
            return format!("the server sent a record of type {} out of turn", content_type(*got_type)).into();
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            return format!("the server sent the handshake message {} out of turn", message_type(*got_type)).into();
        }
        Error::AlertReceived(alert) => return format!("the server sent the alert {}", Alert(*alert)).into(),
        Error::InvalidMessage(message) => return invalid_message(message),
        Error::PeerIncompatible(reason) => peer_incompatible(reason),
        Error::PeerMisbehaved(reason) => peer::misbehaved(reason),
        Error::NoCertificatesPresented => "the server showed no certificate",
        Error::DecryptError => {
            "the server sent a record that cannot be decrypted: it may have been changed on the way, or the server and \
             this client have different keys"
        }
        Error::EncryptError => "this client could not encrypt a record",
        Error::PeerSentOversizedRecord => "the server sent a record that is longer than TLS allows",
        Error::InvalidCertificate(_) => "the server's certificate cannot be used",
        Error::FailedToGetCurrentTime => "this client could not read the clock",
        Error::FailedToGetRandomBytes => "this client could not get random octets from the system",
        Error::HandshakeNotComplete => "the TLS handshake is not complete",
        Error::UnsupportedNameType => "this client cannot check a certificate for a name of this type",
        Error::NoApplicationProtocol => "the server supports no application protocol that was offered",
        Error::InvalidEncryptedClientHello(_) => "the server answered to Encrypted Client Hello, which was not offered",
        Error::General(_) | Error::Other(_) => "this client's TLS library failed for an unknown reason",
        _ => "this client's TLS library gave a reason that this service has no text for",
    };
    text.into()
}

fn invalid_message(message: &InvalidMessage) -> Cow<'static, str> {
    use InvalidMessage as M;
    let text = match message {
        M::CertificatePayloadTooLarge | M::HandshakePayloadTooLarge => {
            "the server's certificate chain, or another message of its handshake, is longer than 64 KiB: that is a limit \
             of this client, and no error of the server"
        }
        M::InvalidContentType | M::UnknownProtocolVersion => "the server sent something that is not TLS",
        M::MessageTooLarge => "the server sent a record that is longer than TLS allows",
        M::InvalidEmptyPayload => "the server sent an empty record where TLS allows none",
        M::InvalidCcs => "the server sent an invalid change_cipher_spec record",
        M::InvalidKeyUpdate => "the server sent an invalid key_update message",
        M::InvalidCertRequest => "the server sent an invalid certificate_request message",
        M::InvalidCertificateStatusType => "the server sent an invalid certificate_status message",
        M::InvalidDhParams | M::MissingKeyExchange | M::UnsupportedCurveType => {
            "the server sent key exchange parameters that cannot be read"
        }
        M::UnsupportedKeyExchangeAlgorithm(_) => "the server chose a key exchange that this client does not support",
        M::UnsupportedCompression => "the server chose a compression, which this client does not support",
        M::NoSignatureSchemes => "the server asked for a client certificate and named no signature algorithm",
        M::EmptyTicketValue => "the server sent an empty session ticket",
        M::UnknownHelloRetryRequestExtension => "the server sent a hello_retry_request with an unknown extension",
        M::UnknownCertificateExtension => "the server sent a certificate message with an unknown extension",
        M::PreSharedKeyIsNotFinalExtension => "the server sent its extensions in an order that TLS does not allow",
        M::InvalidServerName => "the server sent an invalid server_name extension",
        M::DuplicateExtension(number) => {
            return format!("the server sent extension {number} twice in one message").into();
        }
        _ => "the server sent a message that cannot be read",
    };
    text.into()
}

fn peer_incompatible(reason: &PeerIncompatible) -> &'static str {
    use PeerIncompatible as P;
    match reason {
        P::ServerDoesNotSupportTls12Or13 | P::ServerTlsVersionIsDisabledByOurConfig => {
            "the server has neither TLS 1.2 nor TLS 1.3"
        }
        P::NoCertificateRequestSignatureSchemesInCommon => {
            "the server asked for a client certificate with signature algorithms that this client does not support"
        }
        P::NoCipherSuitesInCommon => "the server chose a cipher suite that this client does not support",
        P::NoKxGroupsInCommon | P::NamedGroupsExtensionRequired | P::KeyShareExtensionRequired => {
            "the server chose a key exchange group that this client does not support"
        }
        P::NoSignatureSchemesInCommon | P::SignatureAlgorithmsExtensionRequired => {
            "the server chose a signature algorithm that this client does not support"
        }
        P::EcPointsExtensionRequired | P::NoEcPointFormatsInCommon | P::UncompressedEcPointsRequired => {
            "the server does not support uncompressed elliptic curve points"
        }
        P::ExtendedMasterSecretExtensionRequired => "the server does not support extended_master_secret (RFC 7627)",
        P::IncorrectCertificateTypeExtension | P::UnsolicitedCertificateTypeExtension => {
            "the server chose a type of certificate that was not offered"
        }
        P::ServerSentHelloRetryRequestWithUnknownExtension => {
            "the server sent a hello_retry_request with an unknown extension"
        }
        _ => "the server needs something of TLS that this client does not support",
    }
}

fn content_type(content: ContentType) -> String {
    content.as_str().map_or_else(|| u8::from(content).to_string(), in_snake_case)
}

fn message_type(message: HandshakeType) -> String {
    message.as_str().map_or_else(|| u8::from(message).to_string(), in_snake_case)
}

#[cfg(test)]
mod tests;
