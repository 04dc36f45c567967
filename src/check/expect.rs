//! How `expect` is read, and which of its phases a check can have.

use super::{Invalid, fields::Fields};
use crate::{
    phase::Phase,
    smtp::{Expectation, Expectations, Script, StartTls, expectation::CodePattern},
};

/// Most characters of a text that a reply is expected to contain: more than a line of a reply has.
const MAX_MESSAGE_SIZE: usize = 1000;
/// Most codes of one phase.
const MAX_CODES: usize = 100;

/// Reads the parameter `expect`.
pub(super) fn read(fields: &mut Fields) -> Option<Expectations> {
    let mut phases = fields.object("expect")?;
    let expectations = Expectations {
        banner: reply(&mut phases, "banner"),
        ehlo: reply(&mut phases, "ehlo"),
        starttls: reply(&mut phases, "starttls"),
        sasl_auth: reply(&mut phases, "sasl_auth"),
        mailfrom: reply(&mut phases, "mailfrom"),
        rcptto: reply(&mut phases, "rcptto"),
        data: reply(&mut phases, "data"),
        body: reply(&mut phases, "body"),
    };
    if fields.close("expect", phases) && expectations == Expectations::default() {
        fields.refuse("expect", "must have at least one phase");
    }
    Some(expectations)
}

fn reply(phases: &mut Fields, phase: &'static str) -> Option<Expectation> {
    let mut fields = phases.object(phase)?;
    let code = codes(&mut fields);
    let enhanced_code = fields.text("enhanced_code");
    let has_enhanced_code = enhanced_code.is_some();
    let enhanced_code = enhanced_code.and_then(|text| fields.parsed("enhanced_code", text.parse()));
    let message = fields.text("message");
    if message.as_ref().is_some_and(|text| !(1..=MAX_MESSAGE_SIZE).contains(&text.chars().count())) {
        fields.refuse("message", format_args!("must have 1 to {MAX_MESSAGE_SIZE} characters"));
    }
    let is_given = code.is_some() || has_enhanced_code || message.is_some();
    let expectation = Expectation { code: code.unwrap_or_default(), enhanced_code, message };
    if expectation.is_contradictory() {
        let rule = "must have the class of `code`, or no reply can have both (RFC 2034, section 4)";
        fields.refuse("enhanced_code", rule);
    }
    if phases.close(phase, fields) && !is_given {
        phases.refuse(phase, "must have at least one of `code`, `enhanced_code` and `message`");
    }
    Some(expectation)
}

/// `None`: none is given.
fn codes(fields: &mut Fields) -> Option<Vec<CodePattern>> {
    let texts = fields.texts("code")?;
    if !(1..=MAX_CODES).contains(&texts.len()) {
        fields.refuse("code", format_args!("must have 1 to {MAX_CODES} codes"));
    }
    let codes: Result<Vec<_>, _> = texts.iter().map(|text| text.parse()).collect();
    Some(fields.parsed("code", codes).unwrap_or_default())
}

/// A phase of which a reply is expected must be one that the check has.
pub(super) fn has_its_phases(script: &Script, invalid: &mut Invalid) {
    let Some(expect) = &script.expect else { return };
    let phases = script.phases();
    let mut missing = Invalid::default();
    for phase in Expectations::PHASES.into_iter().filter(|phase| expect.of(*phase).is_some()) {
        if !phases.contains(&phase) {
            missing.add(phase.name(), "is no phase of this check");
        } else if phase == Phase::StartTls && script.start_tls == StartTls::Opportunistic {
            missing.add(phase.name(), "may be left out by an opportunistic STARTTLS: give `starttls: true`");
        }
    }
    invalid.add_within("expect", missing);
}
