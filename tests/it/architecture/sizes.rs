//! Maximum sizes of files, functions and lines.

use std::{fs, path::Path};

use super::source::files;

const MAX_LINES_PER_FILE: usize = 400;
const MAX_LINES_PER_FUNCTION: usize = 60;
/// In characters: the `max_width` of `.rustfmt.toml`. rustfmt wraps neither comments nor string literals.
const MAX_LINE_WIDTH: usize = 120;

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut wrong = Vec::new();
    for (name, text) in texts(&["src", "tests/it", "tests/fuzz/oracles", "benches"]) {
        let lines = text.lines().count();
        if lines > MAX_LINES_PER_FILE {
            wrong.push(format!("{name}: {lines} lines"));
        }
        wrong.extend(long_functions(&text).into_iter().map(|function| format!("{name}: {function}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_comment_is_too_wide() {
    let mut wrong = Vec::new();
    for (name, text) in texts(&["src", "tests/it", "tests/fuzz/oracles", "tests/fuzz/targets", "benches"]) {
        wrong.extend(wide_lines(&text, is_comment).map(|number| format!("{name}:{number}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A line with a string literal may be wider, where rustfmt has not wrapped it.
#[test]
fn no_line_of_code_is_too_wide() {
    let mut wrong = Vec::new();
    for (name, text) in texts(&["src", "tests/it", "tests/fuzz/oracles", "tests/fuzz/targets", "benches"]) {
        let is_code = |line: &str| !is_comment(line) && !line.contains('"');
        wrong.extend(wide_lines(&text, is_code).map(|number| format!("{name}:{number}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The source files below these folders: path and text.
fn texts(folders: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = folders.iter().flat_map(|folder| files(&root.join(folder)));
    let texts = paths.map(|path| {
        let name = path.strip_prefix(root).expect("below").display().to_string();
        (name, fs::read_to_string(&path).expect("a file"))
    });
    texts.collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// The numbers of the lines that are too wide.
fn wide_lines(text: &str, is_checked: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
    let wide = move |line: &str| line.chars().count() > MAX_LINE_WIDTH && is_checked(line);
    (1..).zip(text.lines()).filter(move |(_, line)| wide(line)).map(|(number, _)| number)
}

/// By the form that rustfmt gives them: a function ends at the closing brace with the indentation of its first line.
fn long_functions(text: &str) -> Vec<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = text.lines().collect();
    let is_function = |line: &str| {
        let words: Vec<_> = line.split_whitespace().take_while(|word| !word.contains("//")).collect();
        words.iter().position(|word| *word == "fn").is_some_and(|at| words[..at].iter().all(|word| is_modifier(word)))
    };
    let begun = lines.iter().enumerate().filter(|(_, line)| is_function(line) && !line.ends_with([';', '}']));
    begun
        .filter_map(|(start, line)| {
            let is_end = |end: &&str| depth(end) == depth(line) && end.trim_start().starts_with('}');
            let length = 1 + lines[start..].iter().position(is_end)?;
            (length > MAX_LINES_PER_FUNCTION).then(|| format!("{length} lines: {}", line.trim()))
        })
        .collect()
}

fn is_modifier(word: &str) -> bool {
    word.starts_with("pub") || ["async", "const"].contains(&word)
}

#[test]
fn long_functions_are_found() {
    let function = |lines: usize| {
        format!("impl X {{\n    pub(super) async fn f() {{\n{}    }}\n}}\n", "        g();\n".repeat(lines))
    };
    assert!(long_functions(&function(58)).is_empty());
    assert_eq!(long_functions(&function(59)), ["61 lines: pub(super) async fn f() {"]);
}

#[test]
fn wide_lines_are_found() {
    let text = format!("// {}\n// {}\nlet {};\n", "é".repeat(117), "x".repeat(118), "x".repeat(120));
    assert_eq!(wide_lines(&text, is_comment).collect::<Vec<_>>(), [2]);
    assert_eq!(wide_lines(&text, |line| !is_comment(line)).collect::<Vec<_>>(), [3]);
}
