//! The house keeps its floors: a room knows only those on its own floor and below.

mod cycles;
mod sizes;
mod source;

use self::source::{Source, library};

/// The floor of each room. A room that is not listed here fails the test: it has to be given a floor first.
const FLOORS: [(&str, u8); 18] = [
    ("phase", 0),
    ("escape", 0),
    ("proxy_header", 0),
    ("secret", 0),
    ("smtp", 0),
    ("suggest", 0),
    ("destination", 0),
    ("x509", 0),
    ("check", 1),
    ("report", 1),
    ("net", 2),
    ("tls", 2),
    ("probe", 3),
    ("http", 4),
    ("config", 5),
    ("telemetry", 5),
    ("sandbox", 5),
    ("cli", 6),
];

/// Pairs that are on reachable floors, and still strangers.
const STRANGERS: [(&str, &str); 8] = [
    ("check", "report"),
    ("report", "check"),
    ("http", "smtp"),
    ("http", "net"),
    ("http", "tls"),
    ("http", "config"),
    ("telemetry", "config"),
    ("sandbox", "smtp"),
];

fn floor(room: &str) -> u8 {
    let known = FLOORS.iter().find(|(name, _)| *name == room);
    known.unwrap_or_else(|| panic!("the room `{room}` has no floor in tests/it/architecture.rs")).1
}

#[test]
fn nobody_imports_upward() {
    let mut wrong = Vec::new();
    for source in library() {
        for named in source.names().iter().filter_map(|path| path.first()) {
            let is_stranger = STRANGERS.contains(&(source.room(), named));
            if named != source.room() && (is_stranger || floor(named) > floor(source.room())) {
                wrong.push(format!("{} names {named}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_ground_floors_do_no_io() {
    for source in library().iter().filter(|source| floor(source.room()) <= 1) {
        for word in
            ["tokio", "std::fs", "TcpStream", "UdpSocket", "Instant::now", "SystemTime::now", "now_utc", "Uuid::now"]
        {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
    }
}

#[test]
fn names_are_found() {
    let text = "use crate::{\n    a::{B, c as x},\n    d,\n};\nlet x = crate::e::f::<T>();\n// crate::no\nuse crate::Upper;\n\
                use super::{super::g::H, i};\n#[cfg(test)]\nmod tests {\n    use crate::no;\n}\nuse self::j;\n";
    let source = Source::new("room/file.rs", text);
    let names: Vec<String> = source.names().iter().map(|path| path.join("::")).collect();
    assert_eq!(names, ["a::B", "a::c", "d", "e::f", "g::H", "room::i", "room::file::j"]);
}
