//! The rules of the parameters for AUTH.

use super::{CheckRequest, Invalid};
use crate::{
    secret::Secret,
    smtp::{Credentials, Mechanism, MechanismChoice, sasl::scram},
};

/// The credentials that the request gives; `None` for no AUTH, or where they break a rule.
pub(super) fn credentials(request: &CheckRequest, invalid: &mut Invalid) -> Option<Credentials> {
    let mechanism = request.sasl_authentication.unwrap_or_default().choice()?;
    let password = request.sasl_password.as_ref().map(Secret::expose);
    let user = text("sasl_user", request.sasl_user.as_deref(), mechanism, invalid);
    let password = text("sasl_password", password, mechanism, invalid);
    let has_authorization_id = mechanism.can_be(Mechanism::has_authorization_id);
    let authorization_id = request.sasl_auth_id.clone().filter(|_| has_authorization_id).unwrap_or_default();
    if has_control(&authorization_id) {
        invalid.add("sasl_auth_id", "must not contain control characters");
    }
    Some(Credentials {
        mechanism,
        user: user?,
        password: Secret::new(password?),
        authorization_id,
        initial_response: request.sasl_initial_response.unwrap_or(false),
    })
}

fn text(name: &str, text: Option<&str>, mechanism: MechanismChoice, invalid: &mut Invalid) -> Option<String> {
    let is_prepared = |text| mechanism.can_be(|it| it == Mechanism::ScramSha256) && scram::prepared(text).is_none();
    match text {
        None if invalid.is_about(name) => return None,
        None => invalid.add(name, "is required unless `sasl_authentication` is `off`"),
        Some("") => invalid.add(name, "must not be empty (RFC 4616, section 2)"),
        Some(text) if has_control(text) => invalid.add(name, "must not contain control characters"),
        Some(text) if is_prepared(text) => {
            let detail = "has characters that SASLprep (RFC 4013) prohibits, which `scram-sha-256` needs and `auto` may \
                          choose";
            invalid.add(name, detail);
        }
        Some(text) => return Some(text.to_owned()),
    }
    None
}

fn has_control(text: &str) -> bool {
    text.contains(char::is_control)
}
