//! Log levels from `RUST_LOG`.

use std::env;

use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
};

/// `RUST_LOG` is not valid.
#[derive(Debug, thiserror::Error)]
pub enum LevelsError {
    /// It does not have the syntax of a filter.
    #[error(transparent)]
    Form(#[from] ParseError),
    /// A word that would silence the log: the filter takes a word without a level for the name of a target, and no
    /// target has this name.
    #[error(
        "`{0}` is neither a level (error, warn, info, debug, trace, off) nor a part of this program; \
         one of its libraries needs a level, such as hyper=debug"
    )]
    Word(String),
}

/// The filter of `RUST_LOG` or, if that is not set, of `levels`.
pub(super) fn from_environment(levels: &str) -> Result<EnvFilter, LevelsError> {
    match env::var_os(EnvFilter::DEFAULT_ENV) {
        Some(set) if !set.is_empty() => {
            let set = set.to_string_lossy();
            let words: Vec<&str> = set.split(',').map(str::trim).collect();
            match words.iter().find(|word| names_nothing(word)) {
                Some(word) => Err(LevelsError::Word((*word).to_owned())),
                None => Ok(EnvFilter::try_new(words.join(","))?),
            }
        }
        _ => Ok(EnvFilter::new(levels)),
    }
}

/// Whether it is a single word that is neither a level nor one of our modules. Anything longer is left to the filter's
/// own parser.
fn names_nothing(word: &str) -> bool {
    let is_alone = !word.is_empty() && !word.contains(['=', '[', ']', '{', '}']);
    is_alone && word.parse::<LevelFilter>().is_err() && word.split("::").next() != Some(env!("CARGO_CRATE_NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_word_is_a_level_or_one_of_our_modules() {
        for good in ["warn", "WARN", "off", "0", "5", "smtp_check", "smtp_check::cli", "hyper=debug", "[probe]", ""] {
            assert!(!names_nothing(good), "{good}");
        }
        for bad in ["warning", "inof", "verbose", "6", "smtp-check", "smtp_checks", "hyper"] {
            assert!(names_nothing(bad), "{bad}");
        }
    }
}
