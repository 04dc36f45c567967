//! The texts for a server that breaks the TLS protocol.

use tokio_rustls::rustls::PeerMisbehaved;

/// The rule that the server broke. Reasons that only a server can have to complain of a client get the last text.
pub(super) fn misbehaved(reason: &PeerMisbehaved) -> &'static str {
    use PeerMisbehaved as P;
    match reason {
        P::AttemptedDowngradeToTls12WhenTls13IsSupported => {
            "the server has TLS 1.3 and yet chose TLS 1.2: somebody on the way may have changed the handshake"
        }
        P::SelectedUnofferedCipherSuite | P::SelectedUnusableCipherSuiteForVersion => {
            "the server chose a cipher suite that was not offered for this version of TLS"
        }
        P::SelectedUnofferedKxGroup | P::WrongGroupForKeyShare => {
            "the server chose a key exchange group that was not offered"
        }
        P::SelectedUnofferedApplicationProtocol => "the server chose an application protocol, and none was offered",
        P::SelectedUnofferedCompression | P::SelectedUnofferedCertCompression | P::InvalidCertCompression => {
            "the server chose a compression that was not offered"
        }
        P::SelectedUnofferedPsk | P::SelectedInvalidPsk => "the server resumed a session that was not offered",
        P::SelectedTls12UsingTls13VersionExtension => "the server chose TLS 1.2 in the way of TLS 1.3",
        P::ServerEchoedCompatibilitySessionId => "the server resumed a session that was not offered",
        P::SignedKxWithWrongAlgorithm | P::SignedHandshakeWithUnadvertisedSigScheme => {
            "the server signed the handshake by an algorithm that was not offered"
        }
        P::InvalidKeyShare | P::MissingKeyShare => "the server sent no valid key share",
        P::ServerHelloMustOfferUncompressedEcPoints => "the server does not support uncompressed elliptic curve points",
        other => misordered(other),
    }
}

/// The texts about messages, records and extensions.
fn misordered(reason: &PeerMisbehaved) -> &'static str {
    use PeerMisbehaved as P;
    match reason {
        P::CipherSuiteDifferedOnRetry
        | P::SelectedDifferentCipherSuiteAfterRetry
        | P::HandshakeHashVariedAfterRetry => "the server chose another cipher suite after its hello_retry_request",
        P::IllegalHelloRetryRequestWithEmptyCookie
        | P::IllegalHelloRetryRequestWithNoChanges
        | P::IllegalHelloRetryRequestWithOfferedGroup
        | P::IllegalHelloRetryRequestWithUnofferedCipherSuite
        | P::IllegalHelloRetryRequestWithUnofferedNamedGroup
        | P::IllegalHelloRetryRequestWithUnsupportedVersion
        | P::IllegalHelloRetryRequestWithWrongSessionId
        | P::IllegalHelloRetryRequestWithInvalidEch => {
            "the server sent a hello_retry_request that asks for what it cannot have"
        }
        P::BadCertChainExtensions
        | P::DisallowedEncryptedExtension
        | P::UnexpectedCleartextExtension
        | P::UnsolicitedCertExtension
        | P::UnsolicitedEncryptedExtension
        | P::UnsolicitedSctList
        | P::UnsolicitedServerHelloExtension
        | P::UnsolicitedEchExtension
        | P::EarlyDataExtensionWithoutResumption => {
            "the server sent an extension that was not asked for, or not in the message where it belongs"
        }
        P::DuplicateEncryptedExtensions
        | P::DuplicateHelloRetryRequestExtensions
        | P::DuplicateNewSessionTicketExtensions
        | P::DuplicateServerHelloExtensions => "the server sent an extension twice in one message",
        P::IllegalMiddleboxChangeCipherSpec => "the server sent a change_cipher_spec record out of turn",
        P::IllegalTlsInnerPlaintext => "the server sent a record whose content has no type",
        P::KeyEpochWithPendingFragment
        | P::MessageInterleavedWithHandshakeMessage
        | P::RejectedEarlyDataInterleavedWithHandshakeMessage => {
            "the server sent something else in the middle of a handshake message"
        }
        P::TooManyEmptyFragments => "the server sent too many empty records",
        P::TooManyKeyUpdateRequests => "the server sent too many key_update messages",
        P::TooManyRenegotiationRequests => "the server asked for too many renegotiations",
        P::TooManyWarningAlertsReceived => "the server sent too many alerts of level warning",
        P::InvalidMaxEarlyDataSize => "the server sent a session ticket with an invalid limit of early data",
        P::ResumptionOfferedWithVariedCipherSuite
        | P::ResumptionOfferedWithVariedEms
        | P::ResumptionOfferedWithIncompatibleCipherSuite => "the server resumed a session with other parameters",
        _ => "the server broke a rule of TLS that this service has no text for",
    }
}
