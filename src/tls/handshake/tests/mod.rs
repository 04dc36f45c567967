//! Handshakes with good, bad and hostile servers.

mod names;

use rcgen::KeyPair;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use tokio_rustls::{LazyConfigAcceptor, rustls::server::Acceptor};

use super::*;
use crate::{
    tls::testing::{
        Authority, BOTH, Identity, OpensslServer, P256_KEY_IN_BER, TempFolder, key, params, serve, serve_with,
    },
    x509::problem::{CertificateErrorKind as Kind, kinds_of},
};

fn client(trusted: &[&Authority]) -> TlsClient {
    let mut anchors = TrustAnchors::none();
    for authority in trusted {
        anchors.add(authority.der()).expect("a good anchor");
    }
    TlsClient::new(anchors)
}

/// A handshake with everything that the client has.
async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    client: &TlsClient,
    stream: S,
    name: &ServerName,
    deadline: Instant,
) -> (Result<TlsStream<S>, HandshakeError>, Option<TlsFacts>) {
    client.handshake(client.offer(TlsVersion::Any, None), stream, name, deadline).await
}

fn soon() -> Instant {
    Instant::now() + std::time::Duration::from_secs(10)
}

fn mx() -> ServerName {
    "mx.test".parse().expect("a good name")
}

/// A handshake with a server that sends these octets and closes the connection.
async fn handshake_with(answer: &[u8]) -> (Option<HandshakeError>, Option<TlsFacts>) {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let answer = answer.to_vec();
    tokio::spawn(async move {
        let mut hello = [0; 5];
        theirs.read_exact(&mut hello).await.expect("a ClientHello");
        theirs.write_all(&answer).await.expect("room for the answer");
        // The rest is read before the stream is dropped, since a real socket would be reset otherwise.
        theirs.shutdown().await.expect("an end");
        let _ = theirs.read_to_end(&mut Vec::new()).await;
    });
    let (outcome, facts) = handshake(&client(&[]), ours, &mx(), soon()).await;
    (outcome.err(), facts)
}

#[tokio::test]
async fn a_good_server_is_verified_in_both_versions() {
    let ca = Authority::new("CA");
    let cases: [(&[_], &str, &str); 3] = [
        (BOTH, "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        (&[&TLS13], "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        (&[&TLS12], "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ];
    for (versions, version, cipher) in cases {
        let identity = ca.issue(&params("mx.test", &["mx.test"]));
        let stream = serve(identity, versions);
        let (outcome, facts) = handshake(&client(&[&ca]), stream, &mx(), soon()).await;
        outcome.expect("a good handshake");
        let facts = facts.expect("facts");
        assert_eq!((facts.version, facts.cipher), (Some(version), Some(cipher)));
        assert!(facts.verified(), "{:?}", facts.problems);
        assert_eq!(facts.unproven_key(), None);
        assert_eq!(facts.cert_error(), None);
        assert_eq!(facts.server_name, "mx.test");
        assert_eq!(facts.chain.len(), 1);
        assert_eq!(facts.chain[0].subject, "CN=mx.test");
    }
}

#[tokio::test]
async fn every_key_exchange_group_of_the_library_is_offered() {
    let ca = Authority::new("CA");
    for group in aws_lc_rs::ALL_KX_GROUPS {
        let only = CryptoProvider { kx_groups: vec![*group], ..aws_lc_rs::default_provider() };
        let stream = serve_with(only, ca.issue(&params("mx.test", &["mx.test"])), &[&TLS13]);
        let (outcome, _) = handshake(&client(&[&ca]), stream, &mx(), soon()).await;
        let stream = outcome.unwrap_or_else(|error| panic!("{group:?}: {error}"));
        let agreed = stream.get_ref().1.negotiated_key_exchange_group().map(|agreed| agreed.name());
        assert_eq!(agreed, Some(group.name()));
    }
}

#[tokio::test]
async fn a_bad_certificate_is_recorded_and_the_stream_works() {
    let ca = Authority::new("CA");
    let (ours, theirs) = (client(&[]), ca.issue(&params("mx.test", &["other.test"])));
    let (outcome, facts) = handshake(&ours, serve(theirs, BOTH), &mx(), soon()).await;
    let mut stream = outcome.expect("a handshake");
    stream.write_all(b"x").await.expect("a working stream");
    stream.flush().await.expect("a working stream");
    let facts = facts.expect("facts");
    assert_eq!(kinds_of(&facts.problems), [Kind::WrongName, Kind::UnknownIssuer]);
    assert!(facts.unproven_key().is_none() && !facts.verified());
    assert_eq!(
        facts.cert_error().as_deref(),
        Some(
            "wrong name: the certificate is for other.test, not for mx.test; \
             unknown issuer: CN=CA is not trusted, and the server did not send its certificate"
        )
    );
}

#[tokio::test]
async fn a_signature_by_another_key_proves_nothing() {
    let ca = Authority::new("CA");
    let of_another_kind = || KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("keys can be made");
    for versions in [&[&TLS12], &[&TLS13]] {
        for (key, words) in [
            (key(), "does not verify with the certificate's key (ECDSA P-256)"),
            (of_another_kind(), "signed by ED25519, which is not for the certificate's key (ECDSA P-256)"),
        ] {
            let mut identity = ca.issue(&params("mx.test", &["mx.test"]));
            identity.key = Identity::new(Vec::new(), &key).key;
            let stream = serve(identity, versions);
            let (outcome, facts) = handshake(&client(&[&ca]), stream, &mx(), soon()).await;
            outcome.expect("the handshake goes on");
            let facts = facts.expect("facts");
            assert_eq!(kinds_of(&facts.problems), [Kind::UnprovenKey]);
            assert!(facts.unproven_key().is_some() && !facts.verified());
            let text = facts.cert_error().unwrap_or_default();
            assert!(text.starts_with("unproven key: ") && text.contains(words), "{text}");
        }
    }
}

#[tokio::test]
async fn a_key_in_ber_is_proven() {
    let ca = Authority::new("CA");
    for ber in P256_KEY_IN_BER {
        let mut identity = ca.issue(&params("mx.test", &["mx.test"]));
        identity.chain[0] = ca.with_key(&identity.chain[0], ber);
        let (outcome, facts) = handshake(&client(&[&ca]), serve(identity, BOTH), &mx(), soon()).await;
        outcome.expect("a good handshake");
        let facts = facts.expect("facts");
        assert_eq!((kinds_of(&facts.problems), facts.unproven_key()), (vec![Kind::Malformed], None));
    }
}

#[tokio::test]
async fn an_ip_address_is_a_server_name() {
    let ca = Authority::new("CA");
    for (name, verified) in [("192.0.2.1", true), ("2001:db8::1", true), ("192.0.2.2", false)] {
        let identity = ca.issue(&params("mx.test", &["192.0.2.1", "2001:db8::1"]));
        let name = name.parse().expect("a good name");
        let (outcome, facts) = handshake(&client(&[&ca]), serve(identity, BOTH), &name, soon()).await;
        outcome.expect("a handshake");
        assert_eq!(facts.map(|facts| facts.verified()), Some(verified), "{name}");
    }
}

#[tokio::test]
async fn an_issuer_does_not_replace_an_unreadable_certificate() {
    let ca = Authority::new("CA");
    let mut identity = ca.issue(&params("mx.test", &["mx.test"])).with([ca.der()]);
    identity.chain[0] = vec![0x30, 0x03, 1, 2, 3].into();
    let (outcome, facts) = handshake(&client(&[&ca]), serve(identity, BOTH), &mx(), soon()).await;
    outcome.expect("the handshake goes on");
    let facts = facts.expect("facts");
    assert!(facts.chain.is_empty());
    assert_eq!(kinds_of(&facts.problems), [Kind::UnprovenKey, Kind::Malformed]);
}

#[tokio::test]
async fn an_answer_that_is_not_tls() {
    let (error, facts) = handshake_with(b"500 5.5.1 Command unrecognized\r\n").await;
    assert!(matches!(error, Some(HandshakeError::NotTls)), "{error:?}");
    assert!(facts.is_none());
}

#[tokio::test]
async fn a_server_that_closes_the_connection() {
    // A ServerHello of which only the first bytes come.
    for answer in [&b""[..], &[22, 3, 3, 0, 80, 2, 0]] {
        let (error, facts) = handshake_with(answer).await;
        assert!(matches!(error, Some(HandshakeError::Closed)), "{error:?}");
        assert!(facts.is_none());
    }
}

#[tokio::test]
async fn alerts_tell_too_old_from_nothing_in_common_from_refused() {
    let cases = [
        (40, "no TLS version, cipher suite, key exchange group or signature algorithm in common", "handshake_failure"),
        (70, "too old for this client", ""),
        (
            71,
            "no TLS version, cipher suite, key exchange group or signature algorithm in common",
            "insufficient_security",
        ),
        (80, "refused the TLS handshake", "internal_error"),
    ];
    for (alert, words, name) in cases {
        let (error, _) = handshake_with(&[21, 3, 3, 0, 2, 2, alert]).await;
        let text = error.expect("a failed handshake").to_string();
        assert!(text.contains(words) && text.contains(name), "{text}");
        assert_eq!(text.contains("too old"), alert == 70, "{text}");
    }
}

/// ECDHE is all that this client has of TLS 1.2, and the ground is not that others have no forward secrecy.
#[test]
fn what_this_client_offers_is_told_as_it_is() {
    for (version, words) in [
        (TlsVersion::Any, "this client, which has TLS 1.3, and TLS 1.2 with ECDHE and AEAD (alert handshake_failure)"),
        (TlsVersion::Tls12, "which offers only TLS 1.2 with ECDHE and AEAD in this check (alert handshake_failure)"),
        (TlsVersion::Tls13, "which offers only TLS 1.3 in this check (alert handshake_failure)"),
    ] {
        let text = HandshakeError::NothingInCommon { alert: Alert::HANDSHAKE_FAILURE, version }.to_string();
        assert!(text.ends_with(words) && text.starts_with("the server found no TLS version, "), "{text}");
    }
}

#[tokio::test]
async fn a_huge_certificate_message_is_not_buffered() {
    // A ServerHello message that announces 16 MiB - 1, followed by more and more data.
    let mut answer = Vec::new();
    for record in 0..64 {
        answer.extend([22, 3, 3, 0x40, 0x00]);
        let mut fragment = vec![0; 0x4000];
        if record == 0 {
            fragment[..4].copy_from_slice(&[2, 0xff, 0xff, 0xff]);
        }
        answer.extend(fragment);
    }
    let (ours, mut theirs) = tokio::io::duplex(1 << 12);
    let server = tokio::spawn(async move {
        let mut sent = 0;
        for part in answer.chunks(1 << 12) {
            if theirs.write_all(part).await.is_err() {
                break;
            }
            sent += part.len();
        }
        sent
    });
    let (outcome, _) = handshake(&client(&[]), ours, &mx(), soon()).await;
    let error = outcome.expect_err("no end of a handshake");
    let text = error.to_string();
    assert!(matches!(error, HandshakeError::Tls(_)) && text.contains("longer than 64 KiB"), "{text}");
    let sent = server.await.expect("no panic");
    assert!(sent < 1 << 17, "{sent} bytes were taken");
}

#[tokio::test]
async fn facts_survive_a_handshake_that_fails_after_the_certificate() {
    let ca = Authority::new("CA");
    let server = serve(ca.issue(&params("mx.test", &["mx.test"])), &[&TLS12]);
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(hang_up_after(2, theirs, server));
    let (outcome, facts) = handshake(&client(&[&ca]), ours, &mx(), soon()).await;
    let error = outcome.expect_err("the server hung up");
    assert!(matches!(error, HandshakeError::Closed), "{error:?}");
    let facts = facts.expect("the certificate had come");
    assert_eq!(facts.chain[0].subject, "CN=mx.test");
    assert!(!facts.verified() && facts.problems.is_empty());
    assert_eq!((facts.version, facts.cipher), (Some("TLSv1.2"), None));
}

/// Forwards some TLS records of the client to the server, and the server's answers to the client. Then it closes the
/// connection.
async fn hang_up_after(records: usize, client: DuplexStream, server: DuplexStream) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let down = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    for _ in 0..records {
        let mut header = [0; 5];
        if from_client.read_exact(&mut header).await.is_err() {
            break;
        }
        let mut body = vec![0; u16::from_be_bytes([header[3], header[4]]).into()];
        from_client.read_exact(&mut body).await.expect("a record");
        to_server.write_all(&header).await.expect("a server");
        to_server.write_all(&body).await.expect("a server");
    }
    down.abort();
    let _ = down.await;
}

#[tokio::test]
async fn small_keys_and_version_1_of_openssl() {
    use Kind::{SelfSigned, UnprovenKey, Unsupported, WeakKey, WrongName};
    let cases: [(&str, bool, &[&str], &[Kind]); 8] = [
        // (key, extensions, protocol, kinds)
        ("rsa:1024", true, &["-tls1_3"], &[WrongName, SelfSigned, WeakKey, UnprovenKey]),
        ("rsa:1024", true, &["-tls1_2"], &[WrongName, SelfSigned, WeakKey, UnprovenKey]),
        ("rsa:1024", true, &["-tls1_2", "-sigalgs", "RSA+SHA256"], &[WrongName, SelfSigned, WeakKey, UnprovenKey]),
        ("rsa:768", true, &["-tls1_2"], &[WrongName, SelfSigned, WeakKey, UnprovenKey]),
        ("rsa:1024", false, &["-tls1_3"], &[WrongName, SelfSigned, WeakKey, UnprovenKey, Unsupported]),
        ("rsa:1024", false, &["-tls1_2"], &[WrongName, SelfSigned, WeakKey, UnprovenKey, Unsupported]),
        ("rsa:2048", false, &["-tls1_3"], &[WrongName, SelfSigned, Unsupported]),
        ("rsa:2048", false, &["-tls1_2"], &[WrongName, SelfSigned, Unsupported]),
    ];
    for (key, version_3, protocol, kinds) in cases {
        let folder = TempFolder::new();
        folder.openssl(&format!(
            "req -new -newkey {key} -nodes -keyout key.pem -out csr.pem -subj /C=US/O=Example/CN=mx.test"
        ));
        if version_3 {
            folder.openssl("req -x509 -in csr.pem -key key.pem -days 2 -out cert.pem");
        } else {
            folder.openssl("x509 -req -in csr.pem -signkey key.pem -days 2 -out cert.pem");
        }
        let server = OpensslServer::start(folder.path(), &[protocol, &["-cipher", "ALL:@SECLEVEL=0"]].concat());
        let stream = tokio::net::TcpStream::connect(server.address).await;
        let stream = stream.expect("openssl listens");
        let (outcome, facts) = handshake(&client(&[]), stream, &mx(), soon()).await;
        outcome.expect("the handshake goes on");
        let facts = facts.expect("facts");
        assert_eq!(kinds_of(&facts.problems), kinds, "{:?}", facts.cert_error());
        assert_eq!(facts.unproven_key().is_some(), kinds.contains(&UnprovenKey));
        // A signature that could not be checked is not reported as wrong.
        let text = facts.cert_error().unwrap_or_default();
        assert_eq!(text.contains("could not be checked: "), kinds.contains(&UnprovenKey), "{text}");
        assert_eq!(facts.chain[0].key, key.to_uppercase().replace(':', " "));
        assert_eq!(facts.chain[0].subject, "C=US, O=Example, CN=mx.test");

        let printed = folder.openssl("x509 -in cert.pem -noout -serial -fingerprint -sha256");
        let printed = printed.to_lowercase().replace(':', "");
        for ours in [&facts.chain[0].serial, &facts.chain[0].fingerprint_sha256] {
            assert!(printed.contains(&format!("={ours}\n")), "{printed}");
        }
    }
}

#[tokio::test]
async fn a_server_that_requires_a_client_certificate() {
    let folder = TempFolder::new();
    folder.openssl("req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=mx.test -days 2");
    // In TLS 1.3 the refusal comes after the client's side of the handshake is done.
    let server = OpensslServer::start(folder.path(), &["-tls1_2", "-Verify", "1", "-verify_return_error"]);
    let stream = tokio::net::TcpStream::connect(server.address).await.expect("openssl listens");
    let (outcome, facts) = handshake(&client(&[]), stream, &mx(), soon()).await;
    let error = outcome.expect_err("no certificate to show");
    let alert = Alert(AlertDescription::HandshakeFailure);
    let expected = ClientAuthRefused { client_auth: ClientAuth::NoCertificate, alert };
    assert!(matches!(error, HandshakeError::ClientAuth(refused) if refused == expected), "{error:?}");
    let facts = facts.expect("the certificate had come");
    assert_eq!((facts.version, facts.cipher), (Some("TLSv1.2"), None));
    assert!(!facts.verified());
}

#[tokio::test]
async fn too_old_means_no_common_version() {
    let folder = TempFolder::new();
    folder.openssl("req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=mx.test -days 2");
    let cases: [(&[&str], bool); 5] = [
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], true),
        (&["-tls1_2", "-cipher", "AES128-SHA"], false),
        (&["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"], false),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"], false),
        (&["-curves", "P-521"], false),
    ];
    for (arguments, too_old) in cases {
        let server = OpensslServer::start(folder.path(), arguments);
        let stream = tokio::net::TcpStream::connect(server.address).await;
        let stream = stream.expect("openssl listens");
        let (outcome, facts) = handshake(&client(&[]), stream, &mx(), soon()).await;
        let error = outcome.expect_err("nothing in common");
        let is_expected = if too_old {
            matches!(error, HandshakeError::TooOld)
        } else {
            matches!(error, HandshakeError::NothingInCommon { alert: Alert(AlertDescription::HandshakeFailure), .. })
        };
        assert!(is_expected, "{arguments:?}: {error:?}");
        assert!(facts.is_none());
    }
}
