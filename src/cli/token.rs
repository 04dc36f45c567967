//! `token`: makes a bearer token, and its line for the tokens file.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use super::output::{failure, print_result};
use crate::http::{NewToken, TokenName};

/// Prints a new token: with explanations on a terminal, otherwise the token in the first line and the file's line in
/// the second.
pub(super) fn print_new(name: &TokenName) -> ExitCode {
    match NewToken::generate(name) {
        Ok(new) if io::stdout().is_terminal() => print_result(explained(&new)),
        Ok(new) => print_result(format_args!("{}\n{}\n", new.token.expose(), new.line)),
        Err(error) => failure(error),
    }
}

fn explained(NewToken { token, line }: &NewToken) -> String {
    let token = token.expose();
    format!(
        "The token, for the caller. It is not stored anywhere: copy it now.\n\n\
         {token}\n\n\
         Its line for --tokens-file, which a running service reads again on SIGHUP:\n\n\
         {line}\n\n\
         The caller sends it with each request:\n\n\
         Authorization: Bearer {token}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explanation_has_token_line_and_header() {
        let new = NewToken::generate(&"ci".parse().expect("a name")).expect("random bytes");
        let text = explained(&new);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!((lines[1], lines[3]), (new.token.expose(), new.line.as_str()));
        assert_eq!(lines[5], format!("Authorization: Bearer {}", new.token.expose()));
    }
}
