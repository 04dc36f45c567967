//! Which known name whoever mistyped one may have meant.

/// How like a known name an unknown one must be to be taken for a slip of the pen (Jaro-Winkler, 0 to 1).
const LIKENESS: f64 = 0.75;

/// The known name that is the most like this one, if any is like it at all. Capitals, and dashes in place of underscores, don't count.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let like = known.into_iter().map(|known| (strsim::jaro_winkler(&name, &known.to_ascii_lowercase()), known));
    like.filter(|(likeness, _)| *likeness >= LIKENESS).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_near_and_another_word_is_not() {
        let known = ["max_checks", "max_checks_per_target", "to", "target", "TOKENS_FILE"];
        for (name, meant) in [
            ("max_check", Some("max_checks")),
            ("MAX-CHECKS", Some("max_checks")),
            ("targte", Some("target")),
            ("tokens-file", Some("TOKENS_FILE")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
    }
}
