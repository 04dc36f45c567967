//! The manual. The threat model names tests: each of them exists, and each threat has some. What the other pages state
//! is compared with the program in [`facts`].

mod facts;

use std::{fs, path::Path};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The threats: heading and text of each.
fn threats(manual: &str) -> Vec<(&str, &str)> {
    manual.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect()
}

/// The text of a section from this word to the next empty line.
fn paragraph<'s>(section: &'s str, word: &str) -> &'s str {
    let found = section.split("\n\n").find_map(|paragraph| paragraph.trim_start().strip_prefix(word));
    found.unwrap_or_default()
}

/// The texts in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether the file has a test of this name, not only a comment about it.
fn has_test(file: &str, name: &str) -> bool {
    let start = format!("fn {name}(");
    let lines: Vec<_> = file.lines().map(str::trim_start).collect();
    let attributes = |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    let is_test = |at: usize| attributes(at).any(|line| line.contains("test"));
    (0..lines.len()).any(|at| lines[at].trim_start_matches("async ").starts_with(&start) && is_test(at))
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let manual = read("src/manual/threat-model.md");
    let threats = threats(&manual);
    assert!(threats.len() > 20, "the threats were found");
    let (mut missing, mut tests) = (Vec::new(), 0);
    for (threat, section) in threats {
        let mut file = None;
        let before = tests;
        for word in quoted(paragraph(section, "*Tests:*")) {
            if word.ends_with(".rs") {
                file = Some((word, read(word)));
                continue;
            }
            tests += 1;
            let (path, text) = file.as_ref().unwrap_or_else(|| panic!("{threat}: {word} without a file"));
            if !has_test(text, word) {
                missing.push(format!("{threat}: {path} has no test {word}"));
            }
        }
        assert!(tests > before, "{threat} has no test");
        assert!(!paragraph(section, "*What stays:*").is_empty(), "{threat}: no paragraph *What stays*");
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// `WRITE_MANUAL=1 cargo nextest run manual` rewrites the page.
#[test]
fn the_page_of_findings_is_made_of_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/findings.md");
    let made = smtp_check::findings::page::markdown();
    if std::env::var_os("WRITE_MANUAL").is_some() {
        fs::write(&path, &made).expect("the page is written");
    }
    assert!(read("src/manual/findings.md") == made, "the catalogue has changed: WRITE_MANUAL=1 rewrites the page");
}

#[test]
fn tests_are_found() {
    let file = "#[tokio::test(flavor = \"x\")]\nasync fn one() {}\n// fn two()\nfn three() {}\n    #[test]\n    fn four(bits: u8) {}";
    assert_eq!(["one", "two", "three", "four"].map(|name| has_test(file, name)), [true, false, false, true]);
}
