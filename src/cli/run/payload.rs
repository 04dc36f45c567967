//! Parameters from a file or from stdin, written as curl writes it: `@FILE`, `@-` and `-`.

use std::{
    fs::File,
    io::{self, Read},
};

use serde_json::{Map, Value};

use crate::{
    config::{FROM_FILE, flag_of},
    os_error,
};

/// Largest text that is read, in octets: far above what servers accept.
const MAX_SIZE: u64 = 256 * 1024 * 1024;

/// Replaces `@FILE` and `-` by what they name.
///
/// # Errors
/// Names the flag. The file cannot be read, is too large, or is not UTF-8. Or two of them are stdin, which can be read
/// once.
pub(super) fn read_in(parameters: &mut Map<String, Value>) -> Result<(), String> {
    let is_stdin = |name: &&str| parameters.get(*name).is_some_and(|text| text == "-" || text == "@-");
    let from_stdin: Vec<String> = FROM_FILE.iter().filter(|name| is_stdin(name)).map(|name| flag_of(name)).collect();
    if from_stdin.len() > 1 {
        return Err(format!("only one of {} can be read from stdin", from_stdin.join(" and ")));
    }
    for name in FROM_FILE {
        let Some(Value::String(text)) = parameters.get_mut(name) else { continue };
        let read = match text.strip_prefix('@') {
            _ if text == "-" => read("stdin", io::stdin()),
            Some("-") => read("stdin", io::stdin()),
            Some("") => Err("`@` needs the name of a file, such as @message.eml; @- is stdin".to_owned()),
            Some(path) => File::open(path)
                .map_err(|error| format!("{path}: {}", os_error::of_system(&error)))
                .and_then(|file| read(path, file)),
            None => continue,
        };
        *text = read.map_err(|error| format!("{}: {error}", flag_of(name)))?;
    }
    Ok(())
}

/// The text without its last line end: DATA ends with one of its own.
fn read(name: &str, source: impl Read) -> Result<String, String> {
    let mut text = String::new();
    let read = source.take(MAX_SIZE + 1).read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(format!("{name} is not UTF-8")),
        Err(error) => return Err(format!("{name}: {}", os_error::of_system(&error))),
        Ok(_) if text.len() as u64 > MAX_SIZE => return Err(format!("{name} is larger than {MAX_SIZE} octets")),
        Ok(_) => {}
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_removed_and_nothing_else() {
        for (given, text) in [("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("", ""), ("\r\n", ""), ("a\r", "a\r")] {
            assert_eq!(read("x", given.as_bytes()).as_deref(), Ok(text), "{given:?}");
        }
        assert_eq!(read("x", &b"\xff"[..]), Err("x is not UTF-8".to_owned()));
    }
}
