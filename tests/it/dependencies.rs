//! The packages of the program comply with `.ci/deny.toml`. `cargo deny` reads that file too and checks more, but takes
//! minutes to build and needs the internet; this test always runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use spdx::{Expression, ParseMode};
use toml::{Table, Value};

/// A package of the program, of its build or of its tests.
struct Package {
    name: String,
    version: String,
    licence: String,
}

/// All packages, those of the tests included.
fn packages() -> Vec<Package> {
    // The paths of cargo and its registry at build time: HOME can be another one now.
    let homes = [("CARGO_HOME", option_env!("CARGO_HOME")), ("RUSTUP_HOME", option_env!("RUSTUP_HOME"))];
    let output = Command::new(env!("CARGO"))
        .envs(homes.into_iter().filter_map(|(name, home)| Some((name, home?))))
        .args(["tree", "--locked", "--offline", "--edges=normal,build,dev", "--prefix=none", "--format={p}|{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs these tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: BTreeSet<&str> = text.lines().collect();
    let packages: Vec<_> = lines.into_iter().filter_map(package).collect();
    assert!(packages.len() > 100, "the tree was read: {text}");
    packages
}

/// `name v1.2.3 (proc-macro)|MIT (*)`, where what is in parentheses may be left out.
fn package(line: &str) -> Option<Package> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Package { name, version, licence: licence.trim_end_matches(" (*)").to_owned() })
}

fn policy() -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/deny.toml");
    fs::read_to_string(path).expect("the file").parse().expect("TOML")
}

/// The texts of a list: its strings, or the `crate` member of its tables.
fn texts<'p>(policy: &'p Table, section: &str, list: &str) -> BTreeSet<&'p str> {
    let items = policy[section][list].as_array().expect("a list");
    items.iter().map(|item| item.get("crate").unwrap_or(item)).filter_map(Value::as_str).collect()
}

#[test]
fn every_license_is_allowed() {
    let policy = policy();
    let allowed = texts(&policy, "licenses", "allow");
    let is_allowed = |licence: &str| {
        let expression = Expression::parse_mode(licence, ParseMode::LAX).ok();
        // An exception adds to the allowed licenses.
        expression.is_some_and(|expression| {
            expression.evaluate(|term| term.license.id().is_some_and(|id| allowed.contains(id.name)))
        })
    };
    assert!(is_allowed("MIT/Apache-2.0") && !is_allowed("GPL-3.0-only") && !is_allowed(""), "the test can fail");
    let packages = packages();
    let wrong: Vec<_> = packages.iter().filter(|package| !is_allowed(&package.licence)).collect();
    let wrong: Vec<_> = wrong.iter().map(|package| format!("{}: {}", package.name, package.licence)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_package_is_banned() {
    let policy = policy();
    let banned = texts(&policy, "bans", "deny");
    assert!(banned.contains("ring"));
    let packages = packages();
    let wrong: Vec<_> = packages.iter().map(|package| &*package.name).filter(|name| banned.contains(name)).collect();
    assert!(wrong.is_empty(), "{wrong:?}; `cargo tree -i NAME` tells who wants it");
}

#[test]
fn no_duplicate_package_without_a_reason() {
    let policy = policy();
    let accepted = texts(&policy, "bans", "skip");
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Package { name, version, .. } in packages() {
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let twice: BTreeSet<_> = versions.keys().map(String::as_str).collect();
    assert_eq!(twice, accepted, "those that are there twice, and those that .ci/deny.toml has a reason for");
}

#[test]
fn every_package_comes_from_crates_io() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("the file");
    let lock: Table = lock.parse().expect("TOML");
    for package in lock["package"].as_array().expect("a list") {
        let (name, source) = (&package["name"], package.get("source").and_then(Value::as_str));
        let is_ours = name.as_str() == Some(env!("CARGO_PKG_NAME"));
        let is_theirs = source == Some("registry+https://github.com/rust-lang/crates.io-index");
        assert!(is_ours || (is_theirs && package.get("checksum").is_some()), "{name} comes from {source:?}");
    }
}
