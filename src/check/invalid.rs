//! [`Invalid`]: the error of a request that breaks rules, with every violation.

use std::{borrow::Cow, fmt};

use serde::Serialize;
use utoipa::ToSchema;

/// One violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901) into the request's body; at `/probe`, a slash and the name of the query's
    /// parameter, or of the header.
    #[schema(example = "/port")]
    pub pointer: String,
    /// The rule, in words. The value is never repeated: it may be a secret.
    #[schema(example = "must be a whole number from 1 to 65535")]
    pub detail: String,
}

impl Violation {
    /// A violation by the parameter `name`.
    pub fn new(name: &str, detail: impl fmt::Display) -> Self {
        Self { pointer: format!("/{}", escaped(name)), detail: detail.to_string() }
    }

    /// Where in the parameter, if that is an object: a JSON pointer into it; else empty.
    pub fn within(&self) -> &str {
        self.pointer.get(1..).and_then(|path| path.find('/').map(|at| &path[at..])).unwrap_or_default()
    }

    /// The name of the parameter that breaks the rule, or that contains what does; empty if it is the request as a
    /// whole.
    pub fn parameter(&self) -> Cow<'_, str> {
        let name = self.pointer.split('/').nth(1).unwrap_or_default();
        if name.contains('~') { name.replace("~1", "/").replace("~0", "~").into() } else { name.into() }
    }
}

/// A text about parameters for another interface than the HTTP body. `shown` gives what that one writes in place of
/// each quotation (in backticks): a name, a value, or both, such as `starttls: true`.
pub fn with_quotations(text: &str, shown: impl Fn(&str) -> String) -> String {
    let mut is_quoted = false;
    let pieces = text.split('`').map(|piece| {
        let piece = if is_quoted { shown(piece).into() } else { Cow::Borrowed(piece) };
        is_quoted = !is_quoted;
        piece
    });
    pieces.collect::<Vec<_>>().join("`")
}

/// Every violation of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    violations: Vec<Violation>,
}

impl Invalid {
    /// The violations, in the order of the parameters.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Adds a violation by the parameter `name`.
    pub(super) fn add(&mut self, name: &str, detail: impl fmt::Display) {
        self.violations.push(Violation::new(name, detail));
    }

    /// Adds the violations of the fields of the parameter `name`, which is an object.
    pub(super) fn add_within(&mut self, name: &str, fields: Self) {
        let of_object = fields.violations.into_iter().map(|violation| {
            let pointer = format!("/{}{}", escaped(name), violation.pointer);
            Violation { pointer, ..violation }
        });
        self.violations.extend(of_object);
    }

    /// Adds the violations by the parameters that `admits` admits.
    pub(super) fn add_all(&mut self, violations: Self, admits: impl Fn(&str) -> bool) {
        let violations = violations.violations.into_iter();
        self.violations.extend(violations.filter(|violation| admits(&violation.parameter())));
    }

    /// The value; or `None`, with the error added as a violation by the parameter `name`.
    pub(super) fn parsed<T, E: fmt::Display>(&mut self, name: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add(name, error)).ok()
    }

    /// Whether the parameter has a violation already: if so, its absence in the request means nothing.
    pub(super) fn is_about(&self, name: &str) -> bool {
        self.violations.iter().any(|violation| violation.parameter() == name)
    }

    /// Whether there is a violation at this JSON pointer.
    pub(super) fn has_pointer(&self, pointer: &str) -> bool {
        self.violations.iter().any(|violation| violation.pointer == pointer)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.violations.is_empty()
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.violations.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{}: {}", violation.pointer, violation.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_an_object_have_longer_pointers() {
        let (mut reply, mut expect, mut invalid) = (Invalid::default(), Invalid::default(), Invalid::default());
        reply.add("co/de", "is wrong");
        expect.add_within("rcptto", reply);
        invalid.add_within("expect", expect);
        let violation = &invalid.violations()[0];
        assert_eq!((&*violation.pointer, &*violation.parameter()), ("/expect/rcptto/co~1de", "expect"));
        assert_eq!(violation.within(), "/rcptto/co~1de");
        assert!(invalid.is_about("expect"));
    }

    #[test]
    fn a_pointer_gives_the_parameter_back() {
        for name in ["port", "a/b", "~1", "~01/~0", "/", ""] {
            let mut invalid = Invalid::default();
            invalid.add(name, "is wrong");
            assert_eq!(invalid.violations()[0].parameter(), name);
            assert!(invalid.is_about(name));
        }
        assert_eq!(Violation { pointer: String::new(), detail: String::new() }.parameter(), "");
    }
}
