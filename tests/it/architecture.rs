//! The house keeps its floors: a room knows only those on its own floor and below.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The floor of each room. A room that is not listed here fails the test: it has to be given a floor first.
const FLOORS: [(&str, u8); 17] = [
    ("phase", 0),
    ("printable", 0),
    ("proxy_header", 0),
    ("secret", 0),
    ("smtp", 0),
    ("target", 0),
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

/// Every file of the library, with its room. Tests may look wherever they like.
fn files() -> Vec<(String, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            if name.ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let first = path.strip_prefix(&source).expect("below").iter().next().expect("a name").to_string_lossy();
                let room = first.trim_end_matches(".rs").to_owned();
                if !matches!(room.as_str(), "lib" | "main") {
                    files.push((room, path));
                }
            }
        }
    }
    files
}

/// The rooms that a file names by `crate::`, its unit tests left out.
fn rooms_named_in(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for (_, rest) in code.match_indices("crate::").map(|(at, word)| (at, &code[at + word.len()..])) {
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(top_level_names(list)),
            None => rooms.extend(first_name(rest)),
        }
    }
    rooms
}

/// The names at the first level of a `use crate::{…}` list.
fn top_level_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut item) = (0, Vec::new(), String::new());
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(first_name(&std::mem::take(&mut item))),
            _ if depth == 0 => item.push(character),
            _ => {}
        }
    }
    names.extend(first_name(&item));
    names
}

fn first_name(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!name.is_empty() && name.starts_with(|c: char| c.is_ascii_lowercase())).then_some(name)
}

#[test]
fn nobody_imports_upward() {
    let files = files();
    assert!(files.len() > 40, "the library was found");
    let mut wrong = Vec::new();
    for (room, path) in files {
        let text = fs::read_to_string(&path).expect("a file");
        for named in rooms_named_in(&text) {
            let is_stranger = STRANGERS.contains(&(room.as_str(), named.as_str()));
            if named != room && (is_stranger || floor(&named) > floor(&room)) {
                wrong.push(format!("{} names {named}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_ground_floors_do_no_io() {
    for (room, path) in files() {
        if floor(&room) > 1 {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a file");
        for word in
            ["tokio", "std::fs", "TcpStream", "UdpSocket", "Instant::now", "SystemTime::now", "now_utc", "Uuid::now"]
        {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let used = code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(!used, "{} has {word}", path.display());
        }
    }
}

#[test]
fn names_are_found() {
    let text = "use crate::{\n    a::{B, c},\n    d,\n};\nlet x = crate::e::f();\n// crate::no\nuse crate::Upper;";
    assert_eq!(rooms_named_in(text), ["a", "d", "e"]);
}
