//! [`Modules`]: named checks in the operator's settings, without a target. A caller names a module, and gives the
//! target. [`domain`]: those that check a domain.

mod domain;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{
    Check, CheckRequest, CheckSettings, Invalid, NoEffect, TlsVerify, fields::Fields, invalid::with_quotations, rules,
};
use crate::{
    destination::{InvalidTarget, host_and_port},
    phase::Phase,
    secret::MASK,
    smtp::StartTls,
};

/// The module of a caller that names none.
const DEFAULT: &str = "default";
/// The parameter that is never shown.
const PASSWORD: &str = "sasl_password";
/// A timeout is not capped below this: a session needs some time.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);
/// Most characters of a module's name.
const MAX_NAME_SIZE: usize = 64;

/// The rule for a name, as the end of a sentence.
const NAME_RULE: &str = "has 1 to 64 letters, digits, `.`, `_` and `-`";

/// The modules by name, and the settings of all checks. There always is a `default`: unless the operator has one, it
/// ends after EHLO and sends no mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modules {
    modules: BTreeMap<String, Module>,
    settings: Arc<CheckSettings>,
}

/// The parameters of a check without its target, validated as far as possible without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    name: String,
    request: CheckRequest,
    /// The parameters of the check of a domain, without the domain, where that is what the module does.
    domain: Option<Map<String, Value>>,
    /// The parameters as the operator wrote them, the password masked.
    shown: Map<String, Value>,
    no_effect: Vec<NoEffect>,
}

/// The error of a module that breaks rules, with every violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidModule {
    name: String,
    invalid: Invalid,
}

/// What a caller gives: the target, and the name of the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRequest {
    target: Option<String>,
    to: Option<String>,
    /// `None` for the default module.
    module: Option<String>,
    /// Whether the answer is an explanation of the check instead of its metrics.
    pub debug: bool,
    invalid: Invalid,
}

impl Modules {
    /// Reads the tables of the settings file: the name and the parameters of each module.
    ///
    /// # Errors
    /// The first invalid module, with every violation.
    pub fn parse(
        tables: impl IntoIterator<Item = (String, Map<String, Value>)>,
        settings: CheckSettings,
    ) -> Result<Self, InvalidModule> {
        let modules = tables.into_iter().map(|(name, fields)| {
            let module = Module::parse(name, fields, &settings)?;
            Ok((module.name.clone(), module))
        });
        let modules = modules.collect::<Result<_, _>>()?;
        Ok(Self { modules, settings: Arc::new(settings) }.and_default())
    }

    /// Only the default module.
    pub fn none(settings: CheckSettings) -> Self {
        Self { modules: BTreeMap::new(), settings: Arc::new(settings) }.and_default()
    }

    fn and_default(mut self) -> Self {
        self.modules.entry(DEFAULT.to_owned()).or_insert_with(|| {
            let fields = Map::from_iter([("stop_after".to_owned(), "ehlo".into())]);
            Module::parse(DEFAULT.to_owned(), fields, &self.settings)
                .expect("a check that ends after EHLO needs no other parameter")
        });
        self
    }

    /// Whether a table of the settings file may have this name: a module, or another one that checks refer to.
    ///
    /// # Errors
    /// The rule.
    pub fn check_name(name: &str) -> Result<(), String> {
        if is_name(name) { Ok(()) } else { Err(format!("its name {NAME_RULE}")) }
    }

    /// What a check may use, whether a module asks for it or a caller.
    pub fn settings(&self) -> &CheckSettings {
        &self.settings
    }

    /// The module that the caller names, and its check of the caller's target. `max_timeout` caps the check's timeout.
    ///
    /// # Errors
    /// Every violation. The pointers are `/target`, `/to` and `/module`, which are the caller's own parameters.
    pub fn check(&self, request: ModuleRequest, max_timeout: Option<Duration>) -> Result<(&Module, Check), Invalid> {
        let ModuleRequest { target, to, module, debug, mut invalid } = request;
        let Some(module) = self.modules.get(module.as_deref().unwrap_or(DEFAULT)) else {
            invalid.add("module", "is not known");
            return Err(invalid);
        };
        let parts = target.as_deref().and_then(|target| invalid.parsed("target", host_and_port(target)));
        let Some((host, port)) = parts.filter(|_| invalid.is_empty()) else { return Err(invalid) };
        let mut check = module.check(host, port, to, &self.settings)?;
        check.timeout = check.timeout.min(max_timeout.unwrap_or(Duration::MAX)).max(MIN_TIMEOUT);
        check.transcript = debug;
        Ok((module, check))
    }

    /// The names of the modules.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.modules.keys().map(String::as_str)
    }

    /// The modules.
    pub fn iter(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// The modules that would send their password to any server that a caller names: they do not require the
    /// certificate of one server.
    pub fn trusting(&self) -> impl Iterator<Item = &str> {
        self.modules.values().filter(|module| module.is_trusting()).map(|module| module.name.as_str())
    }
}

impl Module {
    fn parse(name: String, mut fields: Map<String, Value>, settings: &CheckSettings) -> Result<Self, InvalidModule> {
        let mut shown = fields.clone();
        let kind = fields.remove("kind");
        if kind.as_ref().is_some_and(|kind| kind == "domain") {
            return Self::parse_domain(name, fields, shown, settings);
        }
        if let Some(password) = shown.get_mut(PASSWORD) {
            *password = MASK.into();
        }
        let (request, mut invalid) = CheckRequest::read(fields.into_iter().collect(), settings.max_timeout);
        if !is_name(&name) {
            invalid.add("", format_args!("a module's name {NAME_RULE}"));
        }
        if request.target.is_some() {
            invalid.add("target", "is the caller's to give");
        }
        if kind.is_some_and(|kind| kind != "smtp") {
            invalid.add("kind", "must be `smtp` or `domain`");
        }
        let mut module = Self { name, request, domain: None, shown, no_effect: Vec::new() };
        // The caller's parameters are valid here: any violation is the module's.
        let is_asked = module.request.stop_after.is_none_or(|stop| stop.phase() >= Phase::RcptTo);
        let to = module.request.to.clone().or_else(|| is_asked.then(|| "postmaster".to_owned()));
        match rules::check(module.request_for("mx.example.com", None, to), invalid, settings) {
            Ok(check) => {
                module.no_effect = check.no_effect;
                if check.transcript {
                    module.no_effect.push(NoEffect::transcript_of_module());
                }
                Ok(module)
            }
            Err(invalid) => Err(InvalidModule { name: module.name, invalid }),
        }
    }

    /// The request for this target. `port` and `to` replace the module's own.
    fn request_for(&self, host: &str, port: Option<u16>, to: Option<String>) -> CheckRequest {
        let module = self.request.clone();
        CheckRequest { target: Some(host.to_owned()), port: port.or(module.port), to: to.or(module.to), ..module }
    }

    fn check(
        &self,
        host: &str,
        port: Option<u16>,
        to: Option<String>,
        settings: &CheckSettings,
    ) -> Result<Check, Invalid> {
        let checked = rules::check(self.request_for(host, port, to), Invalid::default(), settings);
        checked.map_err(|invalid| {
            // The caller does not know the module's own parameters.
            let mut callers = Invalid::default();
            for violation in invalid.violations() {
                let detail = &violation.detail;
                match &*violation.parameter() {
                    name @ ("target" | "to") => callers.add(name, detail),
                    name => {
                        let within = violation.within();
                        callers.add("module", format_args!("has `{name}{within}`, which {detail}"));
                    }
                }
            }
            callers
        })
    }

    /// The name of the module.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters as the operator wrote them, the password masked.
    pub fn parameters(&self) -> &Map<String, Value> {
        &self.shown
    }

    /// The parameters that can have no effect, whatever the caller gives.
    pub fn no_effect(&self) -> &[NoEffect] {
        &self.no_effect
    }

    fn is_trusting(&self) -> bool {
        let CheckRequest { starttls, implicit_tls, tls_verify, tls_server_name, .. } = &self.request;
        let has_tls = *starttls == Some(StartTls::Required) || *implicit_tls == Some(true);
        let knows_server = has_tls && *tls_verify == Some(TlsVerify::Require) && tls_server_name.is_some();
        self.request.sasl_password.is_some() && !knows_server
    }
}

impl ModuleRequest {
    /// Reads the parameters of a query. [`Modules::check`] reports their violations together with its own.
    pub fn read(query: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut fields = Fields::new(query.into_iter().map(|(name, text)| (name, Value::String(text))).collect());
        let [target, to, module] = ["target", "to", "module"].map(|name| fields.text(name));
        let debug = fields.flag("debug").unwrap_or(false);
        let mut invalid = fields.finish();
        match &target {
            None => invalid.add("target", "is required"),
            Some(target) if target.is_empty() => invalid.add("target", InvalidTarget::Empty),
            Some(_) => {}
        }
        // Octets that were not UTF-8 have become this character, which a mailbox may contain.
        if to.as_ref().is_some_and(|to| to.contains(char::REPLACEMENT_CHARACTER)) {
            invalid.add("to", "must be UTF-8");
        }
        Self { target, to, module, debug, invalid }
    }
}

fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_SIZE).contains(&name.len()) && name.bytes().all(known)
}

impl fmt::Display for InvalidModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[modules.{}]", self.name.escape_debug())?;
        for (index, violation) in self.invalid.violations().iter().enumerate() {
            let separator = if index > 0 { ";" } else { "" };
            // As the settings file writes it: `starttls = true`.
            let detail = with_quotations(&violation.detail, |quoted| quoted.replacen(": ", " = ", 1));
            match &*violation.parameter() {
                "" => write!(f, "{separator} {detail}")?,
                key => write!(f, "{separator} `{key}{}` {detail}", violation.within())?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for InvalidModule {}

#[cfg(test)]
mod tests;
