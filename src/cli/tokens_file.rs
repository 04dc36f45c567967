//! The file of tokens: read at the start, and again whenever the operator says so.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::http::{Guard, Tokens, TokensError};

/// Why the tokens of a file are of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokensFileError {
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    #[error("it is larger than {MOST} bytes")]
    TooLarge,
    /// A pipe, say, is good for the start, but it would be waited for with the service at a stand.
    #[error("it is no regular file, so it cannot be read again")]
    NotRegular,
    #[error(transparent)]
    Wrong(#[from] TokensError),
}

/// Bytes of the file, at the most: some 8000 tokens.
const MOST: u64 = 1 << 20;

/// A file of tokens, and who goes by it.
#[derive(Debug)]
pub(super) struct TokensFile {
    path: PathBuf,
    guard: Guard,
}

impl TokensFile {
    /// Reads the file for the first time.
    pub(super) fn open(path: PathBuf) -> Result<Self, TokensFileError> {
        let guard = Guard::new(read(&path)?);
        Ok(Self { path, guard })
    }

    /// Who asks callers for the tokens.
    pub(super) fn guard(&self) -> Guard {
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
        if fs::metadata(&self.path)?.is_file() { read(&self.path) } else { Err(TokensFileError::NotRegular) }
    }
}

fn read(path: &Path) -> Result<Tokens, TokensFileError> {
    let mut text = String::new();
    let length = File::open(path)?.take(MOST + 1).read_to_string(&mut text)?;
    if length as u64 > MOST { Err(TokensFileError::TooLarge) } else { Ok(text.parse()?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_refused() {
        let error = TokensFile::open("/dev/zero".into()).expect_err("no tokens");
        assert!(matches!(error, TokensFileError::TooLarge), "{error}");
        assert!(error.to_string().contains("1048576"), "{error}");
    }
}
