use tokio_rustls::rustls::{CertificateError, PeerMisbehaved};

use super::*;

/// Whether a word is an identifier of the library's code, such as `HandshakePayloadTooLarge`.
fn has_identifier(text: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric()).any(|word| {
        let letters: Vec<char> = word.chars().collect();
        // `KiB` is a unit.
        word != "KiB" && letters.windows(2).any(|pair| pair[0].is_lowercase() && pair[1].is_uppercase())
    })
}

fn errors() -> Vec<Error> {
    [invalid_messages(), rules_and_lacks(), others()].concat()
}

fn invalid_messages() -> Vec<Error> {
    use InvalidMessage as M;
    let messages = [
        M::CertificatePayloadTooLarge,
        M::HandshakePayloadTooLarge,
        M::InvalidCcs,
        M::InvalidContentType,
        M::InvalidEmptyPayload,
        M::InvalidKeyUpdate,
        M::MessageTooLarge,
        M::MessageTooShort,
        M::MissingData("ServerHelloPayload"),
        M::TrailingData("CertificatePayload"),
        M::UnexpectedMessage("NewSessionTicket"),
        M::UnsupportedCurveType,
        M::IllegalEmptyList("CertificateEntries"),
        M::IllegalEmptyValue,
        M::DuplicateExtension(10),
        M::UnknownCertificateExtension,
    ];
    messages.map(Error::InvalidMessage).to_vec()
}

fn rules_and_lacks() -> Vec<Error> {
    use {PeerIncompatible as I, PeerMisbehaved as P};
    let incompatible = [
        I::ServerTlsVersionIsDisabledByOurConfig,
        I::NoCipherSuitesInCommon,
        I::NoKxGroupsInCommon,
        I::NoSignatureSchemesInCommon,
        I::NoCertificateRequestSignatureSchemesInCommon,
        I::ExtendedMasterSecretExtensionRequired,
        I::IncorrectCertificateTypeExtension,
        I::ServerRejectedEncryptedClientHello(None),
    ];
    let misbehaved = [
        P::AttemptedDowngradeToTls12WhenTls13IsSupported,
        P::DuplicateServerHelloExtensions,
        P::HandshakeHashVariedAfterRetry,
        P::IllegalHelloRetryRequestWithOfferedGroup,
        P::IllegalMiddleboxChangeCipherSpec,
        P::IllegalTlsInnerPlaintext,
        P::InvalidCertCompression,
        P::InvalidKeyShare,
        P::KeyEpochWithPendingFragment,
        P::MessageInterleavedWithHandshakeMessage,
        P::SelectedUnofferedApplicationProtocol,
        P::SelectedUnofferedCipherSuite,
        P::SelectedUnofferedKxGroup,
        P::SelectedUnofferedPsk,
        P::SignedHandshakeWithUnadvertisedSigScheme,
        P::TooManyEmptyFragments,
        P::TooManyKeyUpdateRequests,
        P::TooManyRenegotiationRequests,
        P::TooManyWarningAlertsReceived,
        P::UnsolicitedEncryptedExtension,
    ];
    let incompatible = incompatible.map(Error::PeerIncompatible).into_iter();
    incompatible.chain(misbehaved.map(Error::PeerMisbehaved)).collect()
}

fn others() -> Vec<Error> {
    let others = [
        Error::InappropriateMessage {
            expect_types: vec![ContentType::Handshake],
            got_type: ContentType::ApplicationData,
        },
        Error::InappropriateHandshakeMessage {
            expect_types: vec![HandshakeType::ServerHello],
            got_type: HandshakeType::EncryptedExtensions,
        },
        Error::NoCertificatesPresented,
        Error::DecryptError,
        Error::EncryptError,
        Error::PeerSentOversizedRecord,
        Error::InvalidCertificate(CertificateError::BadEncoding),
        Error::General("SomeInternalWord".to_owned()),
        Error::FailedToGetRandomBytes,
        Error::BadMaxFragmentSize,
    ];
    let alerts = (0..=255).map(|number| Error::AlertReceived(AlertDescription::from(number)));
    others.into_iter().chain(alerts).collect()
}

#[test]
fn no_error_has_the_words_of_the_library() {
    assert!(has_identifier("received fatal alert: CertificateRequired"));
    for error in errors() {
        let inside = io::Error::new(io::ErrorKind::InvalidData, error.clone());
        let in_session = SessionError::of(&inside, ClientAuth::NotAsked).expect("an error of TLS").to_string();
        for text in [TlsFault::new(error.clone()).to_string(), in_session] {
            assert!(!has_identifier(&text), "{error:?}: {text}");
            assert!(text.contains("server") || text.contains("client"), "{error:?}: {text}");
        }
    }
}

#[test]
fn what_a_server_does_wrong_has_a_text_of_its_own() {
    let other = "that this service has no text for";
    for error in errors().into_iter().filter(|error| matches!(error, Error::PeerMisbehaved(_))) {
        assert!(!TlsFault::new(error.clone()).to_string().ends_with(other), "{error:?}");
    }
}

#[test]
fn a_limit_of_this_client_is_said_to_be_one() {
    for message in [InvalidMessage::CertificatePayloadTooLarge, InvalidMessage::HandshakePayloadTooLarge] {
        let text = TlsFault::new(Error::InvalidMessage(message)).to_string();
        assert!(text.contains("64 KiB") && text.contains("a limit of this client"), "{text}");
    }
}

#[test]
fn an_alert_in_a_session_is_explained_by_what_the_server_asked_for() {
    let cases = [
        (116, ClientAuth::NotAsked, "asked for a client certificate", "certificate_required"),
        (42, ClientAuth::NoCertificate, "asked for a client certificate", "bad_certificate"),
        (42, ClientAuth::Shown, "refused the client certificate", "bad_certificate"),
        (80, ClientAuth::NotAsked, "the server ended the TLS session", "internal_error"),
    ];
    for (alert, asked, words, name) in cases {
        let error = Error::AlertReceived(AlertDescription::from(alert));
        let text = SessionError::of(&io::Error::new(io::ErrorKind::InvalidData, error), asked);
        let text = text.expect("an error of TLS").to_string();
        assert!(text.contains(words) && text.contains(name), "{text}");
    }
    assert!(SessionError::of(&io::ErrorKind::ConnectionReset.into(), ClientAuth::NoCertificate).is_none());
}
