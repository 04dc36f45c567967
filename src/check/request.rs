//! [`CheckRequest`]: the parameters of a check, as a caller gives them.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use strum::{IntoStaticStr, VariantArray};
use utoipa::{
    ToSchema,
    openapi::{
        Object, ObjectBuilder,
        schema::{SchemaType, Type},
    },
};

use super::{
    Invalid, MessageRequest, expect,
    fields::{Fields, OPPORTUNISTIC},
    message,
};
use crate::{
    destination::IpFamily,
    phase::Phase,
    proxy_header::ProxyFamily,
    secret::Secret,
    smtp::{Expectations, Mechanism, MechanismChoice, Protocol, StartTls},
};

/// The name of EHLO, unless another one is given.
pub(super) const DEFAULT_EHLO: &str = "noit.local";
/// The message, unless another one is given.
pub(super) const DEFAULT_PAYLOAD: &str = "Subject: Testing";

/// The parameters of one SMTP check. Numbers and booleans are also taken as strings (`"25"`, `"true"`, `"off"`); a
/// field that is not listed here is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The recipient of the message, which is really delivered unless `stop_after` is given (RFC 5321 mailbox;
    /// characters beyond ASCII need a server with SMTPUTF8). May be left out only when `stop_after` ends before
    /// `rcptto` and `target` is given; an address without a domain (`postmaster`) needs `target`.
    #[schema(example = "probe@example.com")]
    pub to: Option<String>,
    /// The mail server: a host name, an IPv4 or an IPv6 address. Left out: the mail servers of the recipient's domain,
    /// found by MX lookup (RFC 5321, section 5.1); with `protocol` `lmtp` it is required.
    #[schema(example = "mx1.example.com")]
    pub target: Option<String>,
    /// The protocol: SMTP, or LMTP (RFC 2033), where LHLO takes the place of EHLO and keeps the name of its phase.
    #[schema(value_type = Option<Protocol>, default = "smtp")]
    pub protocol: Option<Protocol>,
    /// The TCP port. Left out: 25, or 24 where `protocol` is `lmtp`.
    #[schema(minimum = 1, maximum = 65535, example = 587)]
    pub port: Option<u16>,
    /// The name that EHLO gives: a domain or an address literal.
    #[schema(default = "noit.local")]
    pub ehlo: Option<String>,
    /// The envelope sender; empty is the null reverse-path `MAIL FROM:<>`.
    #[schema(default = "")]
    pub from: Option<String>,
    /// Upgrade the connection with STARTTLS; see [`start_tls_schema`].
    #[schema(schema_with = start_tls_schema)]
    pub starttls: Option<StartTls>,
    /// Log in with this SASL mechanism; `auto` for the best that the server offers.
    #[schema(value_type = Option<SaslAuthentication>, default = "off")]
    pub sasl_authentication: Option<SaslAuthentication>,
    /// The user name for SASL; required unless `sasl_authentication` is `off`. With `off` there is no login, and the
    /// report has a warning that says so.
    pub sasl_user: Option<String>,
    /// The password for SASL, or the access token of `xoauth2` and `oauthbearer`; required unless `sasl_authentication`
    /// is `off`. It is in no report, log or error.
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pub sasl_password: Option<Secret>,
    /// The authorization identity, for `plain`, `scram-sha-256` and `oauthbearer`. `oauthbearer` without one names
    /// `sasl_user`.
    #[schema(default = "")]
    pub sasl_auth_id: Option<String>,
    /// Send the first response with the AUTH command (RFC 4954, section 4) instead of after the server's challenge.
    /// Without effect for `login` and `cram-md5`, where the server speaks first.
    #[schema(default = false)]
    pub sasl_initial_response: Option<bool>,
    /// The message as it is sent; CR LF DOT CR LF is appended. A lone LF becomes CR LF. A bare CR, NUL, and a line that
    /// is a single dot are refused.
    #[schema(default = "Subject: Testing")]
    pub payload: Option<String>,
    /// A message to build and send: its texts, addresses and header fields. Not together with `payload`.
    pub message: Option<MessageRequest>,
    /// Sign the message with this DKIM key of the operator's settings file (`[dkim.NAME]`). Needs `message`, or a
    /// `payload` that has a header field From, and no line that begins with a dot. Left out: no signature.
    #[schema(example = "ours")]
    pub dkim: Option<String>,
    /// Send a PROXY protocol header before anything else.
    #[schema(default = false)]
    pub proxy_protocol: Option<bool>,
    /// The address family in the PROXY header.
    #[schema(value_type = Option<ProxyFamily>, default = "TCP4")]
    pub proxy_family: Option<ProxyFamily>,
    /// The source address in the PROXY header, an IP address or any text. Left out: the connection's own.
    pub proxy_source_address: Option<String>,
    /// The destination address in the PROXY header, an IP address or any text. Left out: the connection's own.
    pub proxy_dest_address: Option<String>,
    /// The source port in the PROXY header. Left out: the connection's own.
    #[schema(minimum = 0, maximum = 65535)]
    pub proxy_source_port: Option<u16>,
    /// The destination port in the PROXY header. Left out: `port`.
    #[schema(minimum = 0, maximum = 65535)]
    pub proxy_dest_port: Option<u16>,
    /// The version of the PROXY header: 1 is a line of text; 2 is binary, and takes only IP addresses of
    /// `proxy_family`.
    #[schema(minimum = 1, maximum = 2, default = 1)]
    pub proxy_version: Option<u8>,
    /// TLS from the first byte (port 465); not together with `starttls`.
    #[schema(default = false)]
    pub implicit_tls: Option<bool>,
    /// What happens with an invalid certificate: `record` reports it and continues, `require` fails the check before
    /// any credential is sent. `require` is refused without `starttls` or `implicit_tls`.
    #[schema(value_type = Option<TlsVerify>, default = "record")]
    pub tls_verify: Option<TlsVerify>,
    /// The name for SNI, which the certificate must bear. Left out: the target's host name.
    pub tls_server_name: Option<String>,
    /// The TLS versions that are offered to the server: `any` is 1.2 and 1.3.
    #[schema(value_type = Option<TlsVersion>, default = "any")]
    pub tls_version: Option<TlsVersion>,
    /// The name of a client certificate in the operator's settings file (`[client_certificates.NAME]`). It is shown if
    /// the server asks for one; `tls.client_certificate` in the report tells. Left out: none.
    #[schema(example = "partner")]
    pub tls_client_certificate: Option<String>,
    /// The IP version to use.
    #[schema(value_type = Option<IpFamily>, default = "any")]
    pub ip_family: Option<IpFamily>,
    /// The IP address to connect from: one that the operator allows. Addresses of the other family are not tried then.
    /// Left out: the system's choice.
    #[schema(example = "192.0.2.25")]
    pub source_address: Option<String>,
    /// End with QUIT after this phase; no mail is sent. It must be a phase that the check has. Left out: the check
    /// delivers a real message to the recipient.
    #[schema(value_type = Option<StopAfter>)]
    pub stop_after: Option<StopAfter>,
    /// The replies that the check expects, by phase. Such a reply decides in place of the usual one: an expected
    /// rejection ends the check as a success; any other reply than the expected one fails it, and no mail is sent.
    pub expect: Option<Expectations>,
    /// The time limit of the whole check, including name resolution, in milliseconds. Left out: 10000, or the maximum
    /// if that is less. The operator sets the maximum (60000 by default).
    #[schema(minimum = 100, example = 10000)]
    pub timeout_ms: Option<u64>,
    /// Put the lines of the SMTP session into the report, secrets masked.
    #[schema(default = false)]
    pub transcript: Option<bool>,
}

/// A SASL mechanism, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum SaslAuthentication {
    /// No AUTH.
    #[default]
    Off,
    /// LOGIN.
    Login,
    /// PLAIN (RFC 4616).
    Plain,
    /// CRAM-MD5 (RFC 2195).
    #[serde(rename = "cram-md5")]
    #[strum(serialize = "cram-md5")]
    CramMd5,
    /// SCRAM-SHA-256 (RFC 7677), without channel binding. The server has to prove that it knows the password.
    #[serde(rename = "scram-sha-256")]
    #[strum(serialize = "scram-sha-256")]
    ScramSha256,
    /// XOAUTH2, with an access token as the password.
    #[serde(rename = "xoauth2")]
    #[strum(serialize = "xoauth2")]
    XOAuth2,
    /// OAUTHBEARER (RFC 7628), with an access token as the password.
    #[serde(rename = "oauthbearer")]
    #[strum(serialize = "oauthbearer")]
    OAuthBearer,
    /// The first of `scram-sha-256`, `cram-md5`, `plain` and `login` that the server offers. Without TLS, one of the
    /// first two: the others would show the password.
    Auto,
}

impl SaslAuthentication {
    /// The mechanism, or how to find it; `None` for no AUTH.
    pub(super) fn choice(self) -> Option<MechanismChoice> {
        let mechanism = match self {
            Self::Off => return None,
            Self::Auto => return Some(MechanismChoice::Auto),
            Self::Login => Mechanism::Login,
            Self::Plain => Mechanism::Plain,
            Self::CramMd5 => Mechanism::CramMd5,
            Self::ScramSha256 => Mechanism::ScramSha256,
            Self::XOAuth2 => Mechanism::XOAuth2,
            Self::OAuthBearer => Mechanism::OAuthBearer,
        };
        Some(MechanismChoice::Only(mechanism))
    }
}

/// What happens with an invalid certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TlsVerify {
    /// It is reported, and the session continues.
    #[default]
    Record,
    /// It fails the check, before any credential is sent.
    Require,
}

/// The TLS versions that are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    #[serde(rename = "any")]
    #[strum(serialize = "any")]
    Any,
    /// Only TLS 1.2.
    #[serde(rename = "1.2")]
    #[strum(serialize = "1.2")]
    Tls12,
    /// Only TLS 1.3.
    #[serde(rename = "1.3")]
    #[strum(serialize = "1.3")]
    Tls13,
}

/// The phases after which a check can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StopAfter {
    /// The greeting.
    Banner,
    /// The first EHLO.
    Ehlo,
    /// STARTTLS, the handshake and the EHLO after it.
    #[serde(rename = "starttls")]
    #[strum(serialize = "starttls")]
    StartTls,
    /// AUTH.
    SaslAuth,
    /// MAIL FROM.
    #[serde(rename = "mailfrom")]
    #[strum(serialize = "mailfrom")]
    MailFrom,
    /// RCPT TO.
    #[serde(rename = "rcptto")]
    #[strum(serialize = "rcptto")]
    RcptTo,
}

impl StopAfter {
    /// The last phase before QUIT.
    pub fn phase(self) -> Phase {
        match self {
            Self::Banner => Phase::Banner,
            Self::Ehlo => Phase::Ehlo,
            Self::StartTls => Phase::StartTls,
            Self::SaslAuth => Phase::SaslAuth,
            Self::MailFrom => Phase::MailFrom,
            Self::RcptTo => Phase::RcptTo,
        }
    }
}

/// A boolean, or a word. One schema, and no `oneOf`: generators of clients handle it better.
fn start_tls_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Boolean, Type::String, Type::Null]))
        .description(Some(
            "Upgrade the connection with STARTTLS. With `true`, the check fails if the server refuses; it never \
             continues in clear text. With `opportunistic`, it continues in clear text, with a warning, if the reply \
             to EHLO does not offer STARTTLS; but it fails if STARTTLS is offered, and then refused or broken. No \
             password and no access token is sent in clear text then.",
        ))
        .default(Some(json!(false)))
        .pattern(Some(format!("^(true|false|on|off|{OPPORTUNISTIC})$")))
        .examples([json!(true), json!(OPPORTUNISTIC)])
        .build()
}

impl CheckRequest {
    /// Reads the fields of a JSON object. A field that cannot be read is a violation, and absent in the request.
    pub(super) fn read(given: Vec<(String, Value)>, max_timeout: Duration) -> (Self, Invalid) {
        let max_timeout_ms = u64::try_from(max_timeout.as_millis()).unwrap_or(u64::MAX);
        let mut fields = Fields::new(given);
        let port_range = 0..=u64::from(u16::MAX);
        let request = Self {
            to: fields.text("to"),
            target: fields.text("target"),
            protocol: fields.choice("protocol"),
            port: fields.number("port", 1..=65535),
            ehlo: fields.text("ehlo"),
            from: fields.text("from"),
            starttls: fields.start_tls("starttls"),
            sasl_authentication: fields.choice("sasl_authentication"),
            sasl_user: fields.text("sasl_user"),
            sasl_password: fields.text("sasl_password").map(Secret::new),
            sasl_auth_id: fields.text("sasl_auth_id"),
            sasl_initial_response: fields.flag("sasl_initial_response"),
            payload: fields.text("payload"),
            message: message::read(&mut fields),
            dkim: fields.text("dkim"),
            proxy_protocol: fields.flag("proxy_protocol"),
            proxy_family: fields.choice("proxy_family"),
            proxy_source_address: fields.text("proxy_source_address"),
            proxy_dest_address: fields.text("proxy_dest_address"),
            proxy_source_port: fields.number("proxy_source_port", port_range.clone()),
            proxy_dest_port: fields.number("proxy_dest_port", port_range),
            proxy_version: fields.number("proxy_version", 1..=2),
            implicit_tls: fields.flag("implicit_tls"),
            tls_verify: fields.choice("tls_verify"),
            tls_server_name: fields.text("tls_server_name"),
            tls_version: fields.choice("tls_version"),
            tls_client_certificate: fields.text("tls_client_certificate"),
            ip_family: fields.choice("ip_family"),
            source_address: fields.text("source_address"),
            stop_after: fields.choice("stop_after"),
            expect: expect::read(&mut fields),
            timeout_ms: fields.number("timeout_ms", 100..=max_timeout_ms),
            transcript: fields.flag("transcript"),
        };
        (request, fields.finish())
    }
}
