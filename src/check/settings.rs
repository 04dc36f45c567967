//! [`CheckSettings`]: what the operator's settings let a check use.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{ClientCertificate, DkimKey, SourceAddresses};

/// What the operator's settings let a check use. A check keeps what it uses of them: a reload changes no check that
/// runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSettings {
    /// The longest timeout. The default timeout is clamped to it; a given one above it is refused.
    pub max_timeout: Duration,
    /// The addresses to connect from.
    pub source_addresses: SourceAddresses,
    /// The tables `[client_certificates.NAME]` of the settings file.
    pub client_certificates: Named<ClientCertificate>,
    /// The tables `[dkim.NAME]` of the settings file.
    pub dkim: Named<DkimKey>,
}

impl CheckSettings {
    /// Settings with no source address, and with nothing that has a name.
    pub fn new(max_timeout: Duration) -> Self {
        Self {
            max_timeout,
            source_addresses: SourceAddresses::Listed(Vec::new()),
            client_certificates: Named::new("client_certificates"),
            dkim: Named::new("dkim"),
        }
    }
}

/// What a table of the settings file gives names to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    table: &'static str,
    values: BTreeMap<String, Arc<T>>,
}

impl<T> Named<T> {
    /// Nothing, in the table of this name.
    pub fn new(table: &'static str) -> Self {
        Self { table, values: BTreeMap::new() }
    }

    /// Adds a value, or replaces that of the same name.
    pub fn insert(&mut self, name: String, value: T) {
        self.values.insert(name, Arc::new(value));
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of this name.
    ///
    /// # Errors
    /// There is none. The text is the end of a sentence, and tells no name that there is: the caller may be a stranger
    /// to the operator.
    pub(super) fn get(&self, name: &str) -> Result<Arc<T>, String> {
        let value = self.values.get(name).cloned();
        value.ok_or_else(|| format!("is no name that the operator's settings file has under [{}]", self.table))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use zeroize::Zeroizing;

    use super::*;
    use crate::{
        check::{Check, TlsVersion},
        destination::IpFamily,
        smtp::{Protocol, StartTls},
    };

    fn settings() -> CheckSettings {
        let mut settings = CheckSettings::new(Duration::from_secs(60));
        let certificate = ClientCertificate::new("partner".to_owned(), Vec::new(), Zeroizing::new(Vec::new()));
        settings.client_certificates.insert("partner".to_owned(), certificate);
        let addresses = ["192.0.2.25", "2001:db8::25"].map(|address| address.parse().expect("an address"));
        CheckSettings { source_addresses: SourceAddresses::Listed(addresses.into()), ..settings }
    }

    /// A check of a host with these parameters, or the pointers of their violations.
    fn parse(more: Value) -> Result<Check, Vec<String>> {
        let mut parameters = json!({"to": "a@b.test", "target": "mx.test"});
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let Value::Object(fields) = parameters else { panic!("an object") };
        Check::parse(fields.into_iter().collect(), &settings())
            .map_err(|invalid| invalid.violations().iter().map(|violation| violation.pointer.clone()).collect())
    }

    #[test]
    fn parameters_of_the_connection_are_used() {
        let check = parse(json!({
            "starttls": "opportunistic", "tls_version": "1.3", "tls_client_certificate": "partner", "protocol": "lmtp",
            "source_address": "2001:db8:0:0::25",
        }));
        let check = check.expect("a check");
        assert_eq!((check.script.start_tls, check.tls_version), (StartTls::Opportunistic, TlsVersion::Tls13));
        assert_eq!(check.client_certificate.as_deref().map(ClientCertificate::name), Some("partner"));
        assert_eq!((check.script.protocol, check.port), (Protocol::Lmtp, 24));
        assert_eq!((check.source_address, check.ip_family), ("2001:db8::25".parse().ok(), IpFamily::Ipv6));
        assert_eq!(check.no_effect, []);

        let check = parse(json!({"source_address": "192.0.2.25", "ip_family": "ipv4", "port": 25})).expect("a check");
        assert_eq!((check.script.protocol, check.port, check.ip_family), (Protocol::Smtp, 25, IpFamily::Ipv4));
        assert_eq!(parse(json!({"protocol": "lmtp", "port": 2424})).map(|check| check.port), Ok(2424));
        assert_eq!(parse(json!({})).map(|check| (check.port, check.ip_family)), Ok((25, IpFamily::Any)));
        for (given, start_tls) in [
            (json!("on"), StartTls::Required),
            (json!(true), StartTls::Required),
            (json!("false"), StartTls::Off),
            (json!(null), StartTls::Off),
        ] {
            assert_eq!(parse(json!({"starttls": given})).map(|check| check.script.start_tls), Ok(start_tls));
        }
    }

    #[test]
    fn each_rule_of_the_connection_names_its_parameter() {
        for (parameters, pointer) in [
            (json!({"starttls": "optional"}), "/starttls"),
            (json!({"starttls": ["opportunistic"]}), "/starttls"),
            (json!({"starttls": "opportunistic", "implicit_tls": true}), "/implicit_tls"),
            (json!({"starttls": "opportunistic", "tls_verify": "require"}), "/tls_verify"),
            (json!({"starttls": "opportunistic", "stop_after": "starttls"}), "/stop_after"),
            (json!({"tls_version": "1.1"}), "/tls_version"),
            (json!({"tls_version": "TLSv1.3"}), "/tls_version"),
            (json!({"tls_client_certificate": "Partner"}), "/tls_client_certificate"),
            (json!({"tls_client_certificate": ""}), "/tls_client_certificate"),
            (json!({"protocol": "LMTP"}), "/protocol"),
            (json!({"protocol": "lmtp", "target": null}), "/target"),
            (json!({"protocol": "lmtp", "target": null, "to": "a@[192.0.2.1]"}), "/target"),
            (json!({"protocol": "lmtp", "target": null, "to": null, "stop_after": "ehlo"}), "/target"),
            (json!({"protocol": "lmtp", "target": 5}), "/target"),
            (json!({"source_address": "192.0.2.26"}), "/source_address"),
            (json!({"source_address": "192.0.2.25", "target": "2001:db8::1"}), "/source_address"),
            (json!({"source_address": "2001:db8::25", "target": "192.0.2.1"}), "/source_address"),
            (json!({"source_address": "2001:db8::25", "target": null, "to": "a@[192.0.2.1]"}), "/source_address"),
            (json!({"source_address": "192.0.2.25", "ip_family": "ipv6"}), "/source_address"),
        ] {
            assert_eq!(
                parse(parameters.clone()).map(|check| check.port),
                Err(vec![pointer.to_owned()]),
                "{parameters}"
            );
        }
    }

    #[test]
    fn what_may_have_an_effect_is_not_said_to_have_none() {
        let without_effect = |parameters: Value| {
            let check = parse(parameters).expect("a check");
            check.no_effect.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for starttls in [json!(true), json!("opportunistic")] {
            let parameters = json!({"starttls": starttls, "tls_version": "1.2", "tls_client_certificate": "partner"});
            assert!(without_effect(parameters).is_empty());
        }
        assert!(without_effect(json!({"tls_version": "any"})).is_empty());
        let none = without_effect(json!({"tls_version": "1.2", "starttls": false}));
        assert_eq!(none, ["`tls_version` has no effect: without `starttls` or `implicit_tls` there is no TLS"]);
    }
}
