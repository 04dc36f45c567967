//! Modules with `kind = "domain"`: what is checked is the domain that the caller names.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{DEFAULT, InvalidModule, MIN_TIMEOUT, Module, ModuleRequest, Modules};
use crate::check::{CheckRequest, CheckSettings, DomainCheck, Invalid};

/// A domain that every rule allows.
const ANY_DOMAIN: &str = "example.com";

impl Modules {
    /// The module that the caller names, and its check of the caller's domain; `None` where the module is none of a
    /// domain. `max_timeout` caps the check's timeout.
    ///
    /// # Errors
    /// Every violation. The pointers are `/target`, `/to` and `/module`, which are the caller's own parameters.
    pub fn domain_check(
        &self,
        request: &ModuleRequest,
        max_timeout: Option<Duration>,
    ) -> Option<Result<(&Module, DomainCheck), Invalid>> {
        let module = self.modules.get(request.module.as_deref().unwrap_or(DEFAULT))?;
        let fields = module.domain.as_ref()?;
        let Some(target) = request.target.clone().filter(|_| request.invalid.is_empty()) else {
            return Some(Err(request.invalid.clone()));
        };
        let mut fields = fields.clone();
        fields.insert("domain".to_owned(), target.into());
        fields.insert("transcript".to_owned(), request.debug.into());
        if let Some(to) = &request.to {
            fields.insert("to".to_owned(), to.clone().into());
        }
        let checked = DomainCheck::parse(fields.into_iter().collect(), &self.settings);
        Some(match checked {
            Ok(mut check) => {
                check.timeout = check.timeout.min(max_timeout.unwrap_or(Duration::MAX)).max(MIN_TIMEOUT);
                Ok((module, check))
            }
            Err(invalid) => Err(of_caller(&invalid, request.to.is_some())),
        })
    }
}

impl Module {
    /// Reads a module of a domain: `fields` without `kind`.
    pub(super) fn parse_domain(
        name: String,
        fields: Map<String, Value>,
        shown: Map<String, Value>,
        settings: &CheckSettings,
    ) -> Result<Self, InvalidModule> {
        let mut whole = fields.clone();
        let has_domain = whole.insert("domain".to_owned(), ANY_DOMAIN.into()).is_some();
        let mut invalid = DomainCheck::parse(whole.into_iter().collect(), settings).err().unwrap_or_default();
        if has_domain {
            invalid.add("domain", "is the caller's to give");
        }
        if !super::is_name(&name) {
            invalid.add("", format_args!("a module's name {}", super::NAME_RULE));
        }
        if !invalid.is_empty() {
            return Err(InvalidModule { name, invalid });
        }
        Ok(Self { name, request: CheckRequest::default(), domain: Some(fields), shown, no_effect: Vec::new() })
    }
}

/// The violations as those of the caller, who knows `target`, `to` and the name of the module.
fn of_caller(invalid: &Invalid, has_recipient: bool) -> Invalid {
    let mut callers = Invalid::default();
    for violation in invalid.violations() {
        let detail = &violation.detail;
        match &*violation.parameter() {
            "domain" => callers.add("target", detail),
            "to" if has_recipient => callers.add("to", detail),
            name => {
                let within = violation.within();
                callers.add("module", format_args!("has `{name}{within}`, which {detail}"));
            }
        }
    }
    callers
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings() -> CheckSettings {
        CheckSettings::new(Duration::from_secs(60))
    }

    fn module(fields: &Value) -> Result<Modules, String> {
        let fields = fields.as_object().expect("an object").clone();
        Modules::parse([("mail".to_owned(), fields)], settings()).map_err(|error| error.to_string())
    }

    fn check(modules: &Modules, query: &[(&str, &str)]) -> Option<Result<DomainCheck, Vec<String>>> {
        let query = query.iter().chain(&[("module", "mail")]).map(|(name, text)| ((*name).into(), (*text).into()));
        let checked = modules.domain_check(&ModuleRequest::read(query), Some(Duration::from_secs(9)))?;
        Some(checked.map(|(_, check)| check).map_err(|invalid| {
            invalid
                .violations()
                .iter()
                .map(|violation| format!("{}: {}", violation.pointer, violation.detail))
                .collect()
        }))
    }

    #[test]
    fn the_target_is_the_domain() {
        let fields = json!({"kind": "domain", "mx_limit": 2, "to": "a@b.test", "depth": "tls"});
        let modules = module(&fields).expect("a module");
        let checked = check(&modules, &[("target", "Bücher.test")]).expect("a domain").expect("a check");
        assert_eq!((checked.domain.as_str(), checked.mx_limit), ("xn--bcher-kva.test", 2));
        assert_eq!(checked.timeout, Duration::from_secs(9));
        let shown = modules.iter().find(|module| module.name() == "mail").map(Module::parameters);
        assert_eq!(shown, fields.as_object());
        let refused = |query| check(&modules, query).expect("a domain").expect_err("refused");
        assert!(refused(&[])[0].starts_with("/target: is required"));
        assert!(refused(&[("target", "mx.test:25")])[0].starts_with("/target: "));
        assert!(refused(&[("target", "a.test"), ("to", "x y")])[0].starts_with("/to: "));
        let smtp = module(&json!({"kind": "smtp", "stop_after": "ehlo"})).expect("a module");
        assert!(check(&smtp, &[("target", "a.test")]).is_none());
    }

    #[test]
    fn a_bad_module_is_refused_at_the_start() {
        for (fields, text) in [
            (json!({"kind": "domain", "mx_limit": 99}), "`mx_limit` must be"),
            (json!({"kind": "domain", "domain": "a.test"}), "`domain` is the caller's to give"),
            (json!({"kind": "domain", "starttls": true}), "`starttls` is no parameter"),
            (json!({"kind": "host"}), "`kind` must be `smtp` or `domain`"),
        ] {
            let error = module(&fields).expect_err("refused");
            assert!(error.starts_with("[modules.mail] ") && error.contains(text), "{error}");
        }
    }
}
