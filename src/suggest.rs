//! Suggestions for mistyped names: "did you mean `port`?"

/// The least similarity (Jaro-Winkler, 0 to 1) of a mistyped name and the name that is suggested.
const MIN_SIMILARITY: f64 = 0.75;

/// The known name that is most similar to `name`, if any is similar at all. Case is ignored, and a dash counts as an
/// underscore.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let scored = known.into_iter().map(|known| (strsim::jaro_winkler(&name, &known.to_ascii_lowercase()), known));
    scored.filter(|(score, _)| *score >= MIN_SIMILARITY).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_has_a_suggestion_and_another_word_has_none() {
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
