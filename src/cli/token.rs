//! `token`: makes a bearer token, and the line of the file that lets it in.

use std::{
    fmt::{self, Display, Formatter},
    io::{self, IsTerminal},
    process::ExitCode,
};

use super::{failure, print};
use crate::http::{NewToken, TokenName};

/// Prints a new token. On a terminal in words; otherwise the token alone in the first line, and the file's line in the second.
pub(super) fn print_new(name: &TokenName) -> ExitCode {
    match NewToken::generate(name) {
        Ok(new) if io::stdout().is_terminal() => print(InWords(&new)),
        Ok(new) => print(format_args!("{}\n{}\n", new.token.expose(), new.line)),
        Err(error) => return failure(error),
    }
    ExitCode::SUCCESS
}

struct InWords<'a>(&'a NewToken);

impl Display for InWords<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let NewToken { token, line } = self.0;
        write!(
            f,
            "The token, for the caller. It is kept nowhere, so this is the only time to copy it:\n\n\
             {}\n\n\
             Its line for --tokens-file, which a running service reads again on SIGHUP:\n\n\
             {line}\n\n\
             The caller sends it with each request:\n\n\
             Authorization: Bearer {}\n",
            token.expose(),
            token.expose()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_what_is_whose() {
        let new = NewToken::generate(&"ci".parse().expect("a name")).expect("random bytes");
        let text = InWords(&new).to_string();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!((lines[1], lines[3]), (new.token.expose(), new.line.as_str()));
        assert_eq!(lines[5], format!("Authorization: Bearer {}", new.token.expose()));
    }
}
