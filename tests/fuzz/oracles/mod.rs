//! Fuzzing oracles: one function of bytes for each part that reads untrusted input.
//!
//! Every function takes any input, and panics where a property does not hold. `cargo test --test corpus` calls them
//! with the corpus (`tests/fuzz/corpus`), and for a second with mutations of it; `cargo fuzz` calls them with inputs
//! that it generates, for as long as you like (it needs a nightly toolchain and a C++ compiler):
//!
//! ```sh
//! cargo install --locked cargo-fuzz
//! cargo +nightly fuzz list --fuzz-dir tests/fuzz
//! mkdir generated
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz -s none dialogue generated tests/fuzz/corpus/dialogue -- \
//!     -dict=tests/fuzz/words.dict -max_total_time=3600
//! ```
//!
//! Generated inputs go into the first folder, failing ones into `tests/fuzz/artifacts`. `-s none`: no sanitizer,
//! because nothing here is `unsafe`, and without one it is several times as fast. After a fix the input goes into the
//! corpus, under a name that says what it shows.

mod address;
mod capabilities;
mod certificate;
mod check;
mod dialogue;
mod dns;
mod glibc;
mod mask;
mod payload;
mod proxy;
mod reply;
mod report;
mod system_files;

pub use address::address;
pub use capabilities::capabilities;
pub use certificate::certificate;
pub use check::check;
pub use dialogue::dialogue;
pub use dns::dns;
pub use mask::mask;
pub use payload::payload;
pub use proxy::proxy;
pub use reply::reply;
pub use report::report;
pub use system_files::{hosts, resolv_conf};

use base64::{Engine, engine::general_purpose::STANDARD};
use smtp_check::smtp::Command;

/// Replaces the password, so that it can be searched for.
const PASSWORD: &str = "Zq7!correct-horse";

/// No control character, so that a line stays one line and its words stay apart.
fn assert_no_control(text: &str) {
    assert!(!text.contains(char::is_control), "a control character: {text:?}");
}

/// Whether a text can be shown on a terminal or in a log as it is.
fn assert_printable(text: &str) {
    assert!(!text.contains(smtp_check::escape::is_harmful), "does harm when shown: {text:?}");
}

/// The password, and its base64 as in LOGIN.
fn forms_of_password() -> [String; 2] {
    [PASSWORD.to_owned(), STANDARD.encode(PASSWORD)]
}

/// A fuzzer learns the values that its input is compared with, and can contain the password itself: then finding it
/// means nothing.
fn knows_password(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    forms_of_password().iter().any(|form| text.contains(form))
}

/// Checks that `Debug` of a value shows no password.
fn assert_secretive(shown: &str) {
    for form in forms_of_password() {
        assert!(!shown.contains(&form), "shows the password: {shown}");
    }
}

/// The line of a command: it ends in CR LF, and contains nothing that could start another one.
fn wire_line(command: &Command) -> String {
    let line = String::from_utf8(command.to_wire()).expect("all its parts are text");
    let line = line.strip_suffix("\r\n").expect("a command ends in CR LF");
    assert_no_control(line);
    line.to_owned()
}

/// The octets of a message: it ends at its end and nowhere before, whichever line ends a server accepts.
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
