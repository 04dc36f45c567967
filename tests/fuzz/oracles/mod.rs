//! What must hold for whatever a stranger sends, as one function of bytes for each part that reads strangers' words.
//!
//! Every function takes any input at all and panics where a promise is broken. `cargo test --test corpus` calls them with the corpus
//! (`tests/fuzz/corpus`) and for a second with mutations of it; `cargo fuzz` with inputs that it breeds, for as long as you like (it needs
//! a nightly toolchain and a C++ compiler):
//!
//! ```sh
//! cargo install --locked cargo-fuzz
//! cargo +nightly fuzz list --fuzz-dir tests/fuzz
//! mkdir bred
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz -s none dialogue bred tests/fuzz/corpus/dialogue -- -dict=tests/fuzz/words.dict -max_total_time=3600
//! ```
//!
//! What it breeds goes into the first folder, an input that breaks a promise into `tests/fuzz/artifacts`. `-s none`: no sanitizer, since
//! nothing that is fuzzed is `unsafe`, and without one it is several times as fast. A finding that is mended goes into the corpus, under a
//! name that says what it shows.

mod address;
mod capabilities;
mod certificate;
mod check;
mod dialogue;
mod mask;
mod payload;
mod proxy;
mod reply;

pub use address::address;
pub use capabilities::capabilities;
pub use certificate::certificate;
pub use check::check;
pub use dialogue::dialogue;
pub use mask::mask;
pub use payload::payload;
pub use proxy::proxy;
pub use reply::reply;

use base64::{Engine, engine::general_purpose::STANDARD};
use smtp_check::smtp::Command;

/// What stands in for a password, so that it can be looked for everywhere.
const PASSWORD: &str = "Zq7!correct-horse";

/// What keeps a line of the wire one line, and its words words: no control character at all.
fn assert_no_control(text: &str) {
    assert!(!text.contains(char::is_control), "a control character: {text:?}");
}

/// What can be shown on a terminal or in a log as it is.
fn assert_printable(text: &str) {
    assert!(!text.contains(smtp_check::escape::is_harmful), "does harm when shown: {text:?}");
}

/// The password, and what LOGIN makes of it.
fn forms_of_password() -> [String; 2] {
    [PASSWORD.to_owned(), STANDARD.encode(PASSWORD)]
}

/// A fuzzer sees what its input is compared with and says it before us: then it tells nothing where it is found.
fn knows_password(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    forms_of_password().iter().any(|form| text.contains(form))
}

/// No password in what is shown of a value.
fn assert_secretive(shown: &str) {
    for form in forms_of_password() {
        assert!(!shown.contains(&form), "shows the password: {shown}");
    }
}

/// The line that a command is on the wire, which ends in CR LF and holds nothing that could begin another.
fn wire_line(command: &Command) -> String {
    let line = String::from_utf8(command.to_wire()).expect("all its parts are text");
    let line = line.strip_suffix("\r\n").expect("a command ends in CR LF");
    assert_no_control(line);
    line.to_owned()
}

/// The octets of a message: it ends at its end and nowhere before, whichever line ends a server believes in.
fn assert_framed(wire: &[u8]) {
    let framed = [b"\r\n", wire].concat();
    let end = framed.windows(5).position(|window| window == b"\r\n.\r\n");
    assert_eq!(end, Some(framed.len() - 5), "ends early: {}", wire.escape_ascii());
    for (at, octet) in wire.iter().enumerate() {
        match octet {
            b'\r' => assert_eq!(wire.get(at + 1), Some(&b'\n'), "a bare CR: {}", wire.escape_ascii()),
            b'\n' => assert!(at > 0 && wire[at - 1] == b'\r', "a bare LF: {}", wire.escape_ascii()),
            octet => assert_ne!(*octet, 0, "a NUL: {}", wire.escape_ascii()),
        }
    }
}
