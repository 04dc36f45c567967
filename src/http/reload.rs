//! Files that the operator names: read at the start, and again on SIGHUP.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

/// Octets of such a file, at the most: some 8000 tokens, or several hundred certificates.
const MOST: u64 = 1 << 20;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OperatorFileError {
    /// What the system said.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is larger than any such file needs to be.
    #[error("it is larger than {MOST} bytes")]
    TooLarge,
    /// A pipe, say, is good for the start, but it would be waited for forever the second time.
    #[error("it is no regular file, so it cannot be read again")]
    NotRegular,
}

/// Reads a file for the first time. It may hold a secret, and so is wiped from memory when dropped.
///
/// # Errors
/// See [`OperatorFileError`].
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, OperatorFileError> {
    let mut octets = Zeroizing::new(Vec::new());
    let length = File::open(path)?.take(MOST + 1).read_to_end(&mut octets)?;
    if length as u64 > MOST { Err(OperatorFileError::TooLarge) } else { Ok(octets) }
}

/// Reads a file again.
///
/// # Errors
/// See [`OperatorFileError`].
pub fn read_again(path: &Path) -> Result<Zeroizing<Vec<u8>>, OperatorFileError> {
    if fs::metadata(path)?.is_file() { read(path) } else { Err(OperatorFileError::NotRegular) }
}
