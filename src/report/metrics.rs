//! [`Metrics`]: the metrics of a report, named as in Circonus.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    phase::Phase,
    smtp::Reply,
    x509::{
        CertificateFacts,
        problem::{CertificateProblem, cert_error},
    },
};

/// The metrics of a check. A phase without an answer has no time; the facts of the certificate are there only with TLS.
///
/// Times are in milliseconds with a resolution of one microsecond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Metrics {
    /// Name resolution, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dns_time: Option<f64>,
    /// The TCP handshake, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub connect_time: Option<f64>,
    /// From the start of the TCP connect to the greeting, in ms; with `implicit_tls` it contains the TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub banner_time: Option<f64>,
    /// From sending the first EHLO to the reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ehlo_time: Option<f64>,
    /// From sending STARTTLS to the reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub starttls_time: Option<f64>,
    /// The TLS handshake, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tls_time: Option<f64>,
    /// From sending the EHLO inside TLS to the reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ehlo_tls_time: Option<f64>,
    /// From sending AUTH, over its challenges, to the last reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sasl_auth_time: Option<f64>,
    /// From sending MAIL FROM to the reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mailfrom_time: Option<f64>,
    /// From sending RCPT TO to the reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rcptto_time: Option<f64>,
    /// From sending DATA to the reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub data_time: Option<f64>,
    /// From sending the payload to the reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub body_time: Option<f64>,
    /// From sending QUIT to the reply, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub quit_time: Option<f64>,
    /// From the start to the end of the whole check, in ms.
    pub duration: f64,
    /// The last phase of the SMTP session that was begun, QUIT left out; `null` when none was.
    #[schema(required, value_type = Option<Phase>)]
    pub last_cmd: Option<Phase>,
    /// The code of the last reply in that phase; `null` when it got none.
    #[schema(required)]
    pub last_code: Option<u16>,
    /// The text of that reply; `null` when there was none.
    #[schema(required)]
    pub last_message: Option<String>,
    /// The errors of the certificate, in words; `null` when there is none.
    #[schema(required)]
    pub cert_error: Option<String>,
    /// When the server's certificate expires, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cert_end: Option<i64>,
    /// Seconds from the start of the check until the certificate expires; negative once it has. Left out where the
    /// clock of this system is set wrong (before 1970 or after 9999).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cert_end_in: Option<i64>,
    /// From when on the certificate is valid, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cert_start: Option<i64>,
    /// The subject of the certificate's issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cert_issuer: Option<String>,
    /// The subject of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cert_subject: Option<String>,
    /// The certificate's subject alternative names, `, ` between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cert_subject_alternative_names: Option<String>,
}

impl Metrics {
    /// Sets a phase's time, in ms. `proxy` has none: a server does not reply to the PROXY header.
    pub(super) fn set_time(&mut self, phase: Phase, ms: f64) {
        let time = match phase {
            Phase::Dns => &mut self.dns_time,
            Phase::Connect => &mut self.connect_time,
            Phase::Banner => &mut self.banner_time,
            Phase::Ehlo => &mut self.ehlo_time,
            Phase::StartTls => &mut self.starttls_time,
            Phase::Tls => &mut self.tls_time,
            Phase::EhloTls => &mut self.ehlo_tls_time,
            Phase::SaslAuth => &mut self.sasl_auth_time,
            Phase::MailFrom => &mut self.mailfrom_time,
            Phase::RcptTo => &mut self.rcptto_time,
            Phase::Data => &mut self.data_time,
            Phase::Body => &mut self.body_time,
            Phase::Quit => &mut self.quit_time,
            Phase::Proxy => return,
        };
        *time = Some(ms);
    }

    pub(super) fn set_last(&mut self, phase: Phase, reply: Option<&Reply>) {
        self.last_cmd = Some(phase);
        self.last_code = reply.map(|reply| reply.code().value());
        self.last_message = reply.map(Reply::message);
    }

    pub(super) fn set_certificate(
        &mut self,
        leaf: Option<&CertificateFacts>,
        problems: &[CertificateProblem],
        now: Option<OffsetDateTime>,
    ) {
        self.cert_error = cert_error(problems);
        let Some(leaf) = leaf else { return };
        self.cert_end = leaf.not_after.map(OffsetDateTime::unix_timestamp);
        self.cert_end_in = self.cert_end.zip(now).map(|(end, now)| end - now.unix_timestamp());
        self.cert_start = leaf.not_before.map(OffsetDateTime::unix_timestamp);
        self.cert_issuer = Some(leaf.issuer.clone());
        self.cert_subject = Some(leaf.subject.clone());
        self.cert_subject_alternative_names = Some(leaf.names.join(", "));
    }
}
