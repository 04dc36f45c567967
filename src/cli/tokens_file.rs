//! The file of tokens: read at the start, and again whenever the operator says so.

use std::path::PathBuf;

use crate::http::{
    TokenStore, Tokens, TokensError,
    reload::{self, OperatorFileError},
};

/// Why the tokens of a file are of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokensFileError {
    #[error(transparent)]
    Unreadable(#[from] OperatorFileError),
    #[error("it is not UTF-8")]
    NotText,
    #[error(transparent)]
    Wrong(#[from] TokensError),
}

/// A file of tokens, and who goes by it.
#[derive(Debug)]
pub(super) struct TokensFile {
    path: PathBuf,
    guard: TokenStore,
}

impl TokensFile {
    /// Reads the file for the first time.
    pub(super) fn open(path: PathBuf) -> Result<Self, TokensFileError> {
        let guard = TokenStore::new(tokens(&reload::read(&path)?)?);
        Ok(Self { path, guard })
    }

    /// Who asks callers for the tokens.
    pub(super) fn guard(&self) -> TokenStore {
        self.guard.clone()
    }

    /// Reads the file again. If it is of no use now, the tokens stay what they were: better the old ones than none.
    pub(super) fn reload(&self) {
        let file = self.path.display();
        match self.read_again() {
            Ok(tokens) => {
                let names: Vec<_> = tokens.names().map(ToString::to_string).collect();
                self.guard.replace(tokens);
                tracing::info!(%file, names = names.join(" "), "tokens read again");
            }
            Err(error) => tracing::error!(%file, %error, "tokens not read again, the old ones stay"),
        }
    }

    fn read_again(&self) -> Result<Tokens, TokensFileError> {
        tokens(&reload::read_again(&self.path)?)
    }
}

fn tokens(octets: &[u8]) -> Result<Tokens, TokensFileError> {
    Ok(str::from_utf8(octets).map_err(|_| TokensFileError::NotText)?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_refused() {
        let error = TokensFile::open("/dev/zero".into()).expect_err("no tokens");
        assert!(matches!(error, TokensFileError::Unreadable(OperatorFileError::TooLarge)), "{error}");
        assert!(error.to_string().contains("1048576"), "{error}");
    }
}
