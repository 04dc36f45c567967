//! The levels of the log, by `RUST_LOG`.

use std::env;

use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
};

/// `RUST_LOG` cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum LevelsError {
    /// It has not the form of a filter.
    #[error(transparent)]
    Form(#[from] ParseError),
    /// To the filter a word without a level is the name of a target, and this one has nothing to log: all would be silent.
    #[error(
        "`{0}` is neither a level (error, warn, info, debug, trace, off) nor a part of this program; \
         one of its libraries needs a level, such as hyper=debug"
    )]
    Word(String),
}

/// The filter that `RUST_LOG` describes or, where it is not set, the one that `levels` does.
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

/// Whether it is a word alone, and no level and no module of ours. Whoever writes more than a word knows the form.
fn names_nothing(word: &str) -> bool {
    let is_alone = !word.is_empty() && !word.contains(['=', '[', ']', '{', '}']);
    is_alone && word.parse::<LevelFilter>().is_err() && word.split("::").next() != Some(env!("CARGO_CRATE_NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_level_or_a_module_of_ours() {
        for good in ["warn", "WARN", "off", "0", "5", "smtp_check", "smtp_check::cli", "hyper=debug", "[probe]", ""] {
            assert!(!names_nothing(good), "{good}");
        }
        for bad in ["warning", "inof", "verbose", "6", "smtp-check", "smtp_checks", "hyper"] {
            assert!(names_nothing(bad), "{bad}");
        }
    }
}
