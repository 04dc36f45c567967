//! [`Modules`]: checks that the operator has named and written down, but for the target, which a caller gives.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde_json::{Map, Value};

use super::{Check, CheckRequest, Invalid, TlsVerify, fields::Fields, rules::Rules};
use crate::{
    destination::{InvalidTarget, host_and_port},
    secret::MASK,
};

/// The module of those who name none.
const DEFAULT: &str = "default";
/// The parameter that nobody may see.
const PASSWORD: &str = "sasl_password";
/// No timeout is capped lower: less is no time for a conversation.
const SHORTEST: Duration = Duration::from_millis(100);
/// Characters of a module's name.
const LONGEST_NAME: usize = 64;

/// The operator's modules, by name. There always is a `default`; where the operator has none, it ends after EHLO and sends no mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modules(BTreeMap<String, Module>);

/// The parameters of a check without its target, valid as far as that can be told without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    name: String,
    request: CheckRequest,
    /// The parameters as the operator wrote them, the password masked.
    shown: Map<String, Value>,
    max_timeout: Duration,
}

/// What is wrong with a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidModule {
    name: String,
    invalid: Invalid,
}

/// What a caller may say: whom to check, and by which module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRequest {
    target: Option<String>,
    to: Option<String>,
    /// Which module, if not the default one.
    module: Option<String>,
    /// Whether the answer is to explain itself.
    pub debug: bool,
    invalid: Invalid,
}

impl Modules {
    /// Reads the tables of the settings file: names, and the parameters of each.
    ///
    /// # Errors
    /// The first bad module, with every rule that it breaks.
    pub fn parse(
        tables: impl IntoIterator<Item = (String, Map<String, Value>)>,
        max_timeout: Duration,
    ) -> Result<Self, InvalidModule> {
        let modules = tables.into_iter().map(|(name, fields)| {
            let module = Module::parse(name, fields, max_timeout)?;
            Ok((module.name.clone(), module))
        });
        Ok(Self(modules.collect::<Result<_, _>>()?).and_default(max_timeout))
    }

    /// The default module alone.
    pub fn none(max_timeout: Duration) -> Self {
        Self(BTreeMap::new()).and_default(max_timeout)
    }

    fn and_default(mut self, max_timeout: Duration) -> Self {
        self.0.entry(DEFAULT.to_owned()).or_insert_with(|| {
            let fields = Map::from_iter([("stop_after".to_owned(), "ehlo".into())]);
            Module::parse(DEFAULT.to_owned(), fields, max_timeout).expect("to end after EHLO needs no other parameter")
        });
        self
    }

    /// The module that a caller asks for, and the check that it makes of the caller's target. `at_most` caps the check's timeout.
    ///
    /// # Errors
    /// Every violation. `/target`, `/to` and `/module` are the caller's own parameters.
    pub fn check(&self, request: ModuleRequest, at_most: Option<Duration>) -> Result<(&Module, Check), Invalid> {
        let ModuleRequest { target, to, module, debug, mut invalid } = request;
        let Some(module) = self.0.get(module.as_deref().unwrap_or(DEFAULT)) else {
            invalid.add("module", "is not known");
            return Err(invalid);
        };
        let parts = target.as_deref().and_then(|target| invalid.take("target", host_and_port(target)));
        let Some((host, port)) = parts.filter(|_| invalid.is_empty()) else { return Err(invalid) };
        let mut check = module.check(host, port, to)?;
        check.timeout = check.timeout.min(at_most.unwrap_or(Duration::MAX)).max(SHORTEST);
        check.transcript = debug;
        Ok((module, check))
    }

    /// Modules that would send their password to any server a caller names, because they don't require the right certificate.
    pub fn trusting(&self) -> impl Iterator<Item = &str> {
        self.0.values().filter(|module| module.is_trusting()).map(|module| module.name.as_str())
    }
}

impl Module {
    fn parse(name: String, fields: Map<String, Value>, max_timeout: Duration) -> Result<Self, InvalidModule> {
        let mut shown = fields.clone();
        if let Some(password) = shown.get_mut(PASSWORD) {
            *password = MASK.into();
        }
        let (request, mut invalid) = CheckRequest::read(fields.into_iter().collect(), max_timeout);
        if !is_name(&name) {
            invalid.add("", format_args!("a module's name has 1 to {LONGEST_NAME} letters, digits, `.`, `_` and `-`"));
        }
        if request.target.is_some() {
            invalid.add("target", "is the caller's to give");
        }
        let module = Self { name, request, shown, max_timeout };
        // Any target will do here: what is still wrong is wrong for every caller.
        let to = module.request.to.clone().or_else(|| Some("postmaster".to_owned()));
        match Rules::new(invalid).check(module.of("mx.example.com", None, to), max_timeout) {
            Ok(_) => Ok(module),
            Err(invalid) => Err(InvalidModule { name: module.name, invalid }),
        }
    }

    /// The request for this target, with the module's own recipient unless another is given.
    fn of(&self, host: &str, port: Option<u16>, to: Option<String>) -> CheckRequest {
        let module = self.request.clone();
        CheckRequest { target: Some(host.to_owned()), port: port.or(module.port), to: to.or(module.to), ..module }
    }

    fn check(&self, host: &str, port: Option<u16>, to: Option<String>) -> Result<Check, Invalid> {
        let checked = Rules::new(Invalid::default()).check(self.of(host, port, to), self.max_timeout);
        checked.map_err(|invalid| {
            // A parameter that is the module's own is not one of the caller's.
            let mut callers = Invalid::default();
            for violation in invalid.violations() {
                let detail = &violation.detail;
                match &*violation.parameter() {
                    name @ ("target" | "to") => callers.add(name, detail),
                    name => callers.add("module", format_args!("has `{name}`, which {detail}")),
                }
            }
            callers
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its parameters as the operator wrote them, the password masked.
    pub fn parameters(&self) -> &Map<String, Value> {
        &self.shown
    }

    fn is_trusting(&self) -> bool {
        let CheckRequest { starttls, implicit_tls, tls_verify, tls_server_name, .. } = &self.request;
        let has_tls = [starttls, implicit_tls].contains(&&Some(true));
        let knows_server = has_tls && *tls_verify == Some(TlsVerify::Require) && tls_server_name.is_some();
        self.request.sasl_password.is_some() && !knows_server
    }
}

impl ModuleRequest {
    /// Reads the parameters of a query. What is wrong with them, [`Modules::check`] says along with the rest.
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
        // What stands where the query had something else than UTF-8 could well be part of a mailbox.
        if to.as_ref().is_some_and(|to| to.contains(char::REPLACEMENT_CHARACTER)) {
            invalid.add("to", "must be UTF-8");
        }
        Self { target, to, module, debug, invalid }
    }
}

fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(known)
}

impl fmt::Display for InvalidModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[modules.{}]", self.name.escape_debug())?;
        for (index, violation) in self.invalid.violations().iter().enumerate() {
            let (separator, detail) = (if index > 0 { ";" } else { "" }, &violation.detail);
            match &*violation.parameter() {
                "" => write!(f, "{separator} {detail}")?,
                key => write!(f, "{separator} `{key}` {detail}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for InvalidModule {}

#[cfg(test)]
mod tests;
