//! Files and functions that one can take in at a glance.

use std::{fs, path::Path};

use super::source::files;

const MOST_LINES_OF_A_FILE: usize = 400;
const MOST_LINES_OF_A_FUNCTION: usize = 60;

#[test]
fn no_file_and_no_function_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for path in ["src", "tests/it", "tests/fuzz/oracles", "benches"].iter().flat_map(|folder| files(&root.join(folder)))
    {
        let (text, name) =
            (fs::read_to_string(&path).expect("a file"), path.strip_prefix(root).expect("below").display());
        let lines = text.lines().count();
        if lines > MOST_LINES_OF_A_FILE {
            wrong.push(format!("{name}: {lines} lines"));
        }
        wrong.extend(long_functions(&text).into_iter().map(|function| format!("{name}: {function}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// By the form that rustfmt gives them: a function ends where a brace is as deep as it began.
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
            (length > MOST_LINES_OF_A_FUNCTION).then(|| format!("{length} lines: {}", line.trim()))
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
