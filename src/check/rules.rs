//! The rules between [`CheckRequest`] and [`Check`], parameter by parameter.

use std::time::Duration;

use super::{
    Check, CheckRequest, DEFAULT_TIMEOUT, Invalid, TlsVerify,
    request::{SaslAuthentication, StopAfter},
};
use crate::{
    destination::{IpFamily, Target},
    proxy_header::{MAX_V1_SIZE, ProxyAddress, ProxyFamily, ProxyHeader},
    secret::Secret,
    smtp::{Credentials, EhloName, InvalidAddress, Mailbox, Mechanism, Payload, Script},
};

/// Collects violations while the parameters of one request are turned into values.
pub(super) struct Rules {
    invalid: Invalid,
}

impl Rules {
    pub(super) fn new(invalid: Invalid) -> Self {
        Self { invalid }
    }

    pub(super) fn check(mut self, request: CheckRequest, max_timeout: Duration) -> Result<Check, Invalid> {
        let port = request.port.unwrap_or(25);
        let implicit_tls = request.implicit_tls.unwrap_or(false);
        let starttls = request.starttls.unwrap_or(false);
        if implicit_tls && starttls {
            self.invalid.add("implicit_tls", "must not be given together with `starttls`");
        }
        let ip_family = request.ip_family.unwrap_or_default();
        let to = self.mailbox("to", request.to.as_deref());
        let target = self.target(&request, to.as_ref(), ip_family);
        let ehlo = self.ehlo(request.ehlo.as_deref());
        let from = self.sender(request.from.as_deref());
        let credentials = self.credentials(&request);
        let payload = self.payload(request.payload.as_deref());
        let proxy = self.proxy(&request, port);
        let tls_server_name = self.tls_server_name(request.tls_server_name.as_deref());
        self.stop_after(&request);

        let (Some(target), Some(ehlo), Some(payload), true) = (target, ehlo, payload, self.invalid.is_empty()) else {
            return Err(self.invalid);
        };
        let stop_after = request.stop_after.map(StopAfter::phase);
        Ok(Check {
            target,
            port,
            ip_family,
            timeout: request.timeout_ms.map_or(DEFAULT_TIMEOUT.min(max_timeout), Duration::from_millis),
            proxy,
            tls_verify: request.tls_verify.unwrap_or(TlsVerify::Record),
            tls_server_name,
            script: Script { ehlo, implicit_tls, start_tls: starttls, credentials, from, to, payload, stop_after },
            transcript: request.transcript.unwrap_or(false),
        })
    }

    fn mailbox(&mut self, name: &str, text: Option<&str>) -> Option<Mailbox> {
        self.invalid.take(name, text?.parse())
    }

    fn target(&mut self, request: &CheckRequest, to: Option<&Mailbox>, ip_family: IpFamily) -> Option<Target> {
        let before_rcpt = request.stop_after.is_some_and(|stop| stop != StopAfter::RcptTo);
        if request.to.is_none() && !self.invalid.is_about("to") {
            if !before_rcpt && !self.invalid.is_about("stop_after") {
                self.invalid.add("to", "is required (unless `stop_after` ends before `rcptto` and `target` is given)");
            } else if before_rcpt && request.target.is_none() && !self.invalid.is_about("target") {
                self.invalid.add("target", "is required when `to` is left out");
            }
        }
        let target = match (&request.target, to) {
            (Some(target), _) => self.invalid.take("target", target.parse()),
            (None, _) if self.invalid.is_about("target") => None,
            (None, Some(to)) => self.target_of_recipient(to),
            (None, None) => None,
        }?;
        if let Target::Address(address) = target
            && !ip_family.admits(address)
        {
            self.invalid
                .add("ip_family", format_args!("is {ip_family}, and the target is an address of the other family"));
        }
        Some(target)
    }

    fn target_of_recipient(&mut self, to: &Mailbox) -> Option<Target> {
        match to.domain() {
            Some(domain) => {
                let target = Target::of_mail_domain(domain);
                self.invalid.take("to", target.map_err(|error| format!("its domain {error}")))
            }
            None => {
                self.invalid.add("target", "is required when the address in `to` has no domain");
                None
            }
        }
    }

    fn ehlo(&mut self, text: Option<&str>) -> Option<EhloName> {
        self.invalid.take("ehlo", text.unwrap_or("noit.local").parse())
    }

    fn sender(&mut self, text: Option<&str>) -> Option<Mailbox> {
        if text == Some("<>") {
            self.invalid.add("from", "must not have angle brackets; the null sender is the empty string");
            return None;
        }
        let sender = self.mailbox("from", text.filter(|text| !text.is_empty()))?;
        if sender.domain().is_none() {
            self.invalid.add("from", InvalidAddress::NoDomain);
        }
        Some(sender)
    }

    fn credentials(&mut self, request: &CheckRequest) -> Option<Credentials> {
        let mechanism = match request.sasl_authentication.unwrap_or_default() {
            SaslAuthentication::Off => return None,
            SaslAuthentication::Login => Mechanism::Login,
            SaslAuthentication::Plain => Mechanism::Plain,
        };
        let user = self.sasl_text("sasl_user", request.sasl_user.as_deref());
        let password = self.sasl_text("sasl_password", request.sasl_password.as_ref().map(Secret::expose));
        let authorization_id =
            request.sasl_auth_id.clone().filter(|_| mechanism == Mechanism::Plain).unwrap_or_default();
        if has_control(&authorization_id) {
            self.invalid.add("sasl_auth_id", "must not contain control characters");
        }
        Some(Credentials { mechanism, user: user?, password: Secret::new(password?), authorization_id })
    }

    fn sasl_text(&mut self, name: &str, text: Option<&str>) -> Option<String> {
        match text {
            None if self.invalid.is_about(name) => return None,
            None => self.invalid.add(name, "is required unless `sasl_authentication` is `off`"),
            Some("") => self.invalid.add(name, "must not be empty (RFC 4616, section 2)"),
            Some(text) if has_control(text) => self.invalid.add(name, "must not contain control characters"),
            Some(text) => return Some(text.to_owned()),
        }
        None
    }

    fn payload(&mut self, text: Option<&str>) -> Option<Payload> {
        self.invalid.take("payload", Payload::parse(text.unwrap_or("Subject: Testing")))
    }

    fn proxy(&mut self, request: &CheckRequest, port: u16) -> Option<ProxyHeader> {
        if !request.proxy_protocol.unwrap_or(false) {
            return None;
        }
        let is_v2 = request.proxy_version == Some(2);
        let family = request.proxy_family.unwrap_or(ProxyFamily::Tcp4);
        let source = self.proxy_address("proxy_source_address", request.proxy_source_address.as_deref(), is_v2, family);
        let destination =
            self.proxy_address("proxy_dest_address", request.proxy_dest_address.as_deref(), is_v2, family);
        let header = ProxyHeader {
            is_v2,
            family,
            source: source?,
            destination: destination?,
            source_port: request.proxy_source_port,
            destination_port: request.proxy_dest_port.unwrap_or(port),
        };
        let length = header.shortest_v1_line();
        if !is_v2 && length > MAX_V1_SIZE {
            let longer = if request.proxy_source_address.as_ref().map_or(0, String::len)
                >= request.proxy_dest_address.as_ref().map_or(0, String::len)
            {
                "proxy_source_address"
            } else {
                "proxy_dest_address"
            };
            self.invalid.add(
                longer,
                format_args!("makes a PROXY line of at least {length} octets; version 1 allows {MAX_V1_SIZE}"),
            );
        }
        Some(header)
    }

    fn proxy_address(
        &mut self,
        name: &str,
        text: Option<&str>,
        is_v2: bool,
        family: ProxyFamily,
    ) -> Option<ProxyAddress> {
        let Some(text) = text else {
            return Some(ProxyAddress::OfConnection);
        };
        if is_v2 {
            let address = text.parse().ok().filter(|address| family.is_of(*address));
            if address.is_none() {
                let family = family.name();
                self.invalid
                    .add(name, format_args!("must be an IP address of the family {family} with proxy_version 2"));
            }
            return address.map(ProxyAddress::Ip);
        }
        if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            self.invalid.add(name, "must not be empty and must not contain white space or control characters");
            return None;
        }
        Some(ProxyAddress::Verbatim(text.to_owned()))
    }

    fn tls_server_name(&mut self, text: Option<&str>) -> Option<String> {
        self.invalid.take("tls_server_name", text?.parse::<Target>()).map(|name| name.to_string())
    }

    fn stop_after(&mut self, request: &CheckRequest) {
        let has_credentials = request.sasl_authentication.unwrap_or_default() != SaslAuthentication::Off;
        match request.stop_after {
            Some(StopAfter::StartTls) if !request.starttls.unwrap_or(false) && !self.invalid.is_about("starttls") => {
                self.invalid.add("stop_after", "is starttls, and the check has no STARTTLS: give `starttls: true`");
            }
            Some(StopAfter::SaslAuth) if !has_credentials && !self.invalid.is_about("sasl_authentication") => {
                self.invalid.add("stop_after", "is sasl_auth, and the check has no AUTH: give `sasl_authentication`");
            }
            _ => {}
        }
    }
}

fn has_control(text: &str) -> bool {
    text.contains(char::is_control)
}
