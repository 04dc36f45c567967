//! The source files of the library, parsed as far as needed to know which modules each of them names.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A path of names from the crate's root, such as `["report", "fold"]`.
pub(super) type Names = Vec<String>;

/// One file.
pub(super) struct Source {
    /// The path below `src`.
    pub(super) path: String,
    /// The module that it is.
    pub(super) module: Names,
    /// Its text without comments and unit tests.
    pub(super) code: String,
}

/// Every file of the library except unit tests, `lib.rs` and `main.rs`: these may name any module.
pub(super) fn library() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = files(&root).into_iter().map(|path| {
        let below = path.strip_prefix(&root).expect("below").to_string_lossy().into_owned();
        Source::new(&below, &fs::read_to_string(path).expect("a file"))
    });
    let is_tests = |source: &Source| source.module.iter().any(|name| name.ends_with("tests"));
    let above_the_layers = ["lib", "main", "manual"];
    let checked: Vec<_> =
        sources.filter(|source| !is_tests(source) && !above_the_layers.contains(&source.top_module())).collect();
    assert!(checked.len() > 40, "the library was found");
    checked
}

/// Every file of Rust below this folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let below = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    below.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let module = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect();
        Self { path: path.to_owned(), module, code: code(text) }
    }

    pub(super) fn top_module(&self) -> &str {
        &self.module[0]
    }

    /// All paths that it names by `crate::`, `super::` and `self::`. What begins with a capital at the crate's root is
    /// no module.
    pub(super) fn names(&self) -> Vec<Names> {
        let mut named = Vec::new();
        for (at, _) in ["crate::", "super::", "self::"].iter().flat_map(|word| self.code.match_indices(word)) {
            let before = self.code[..at].chars().next_back();
            if !before.is_some_and(|c| c == ':' || c == '_' || c.is_alphanumeric()) && !self.is_inside_a_list(at) {
                let mut paths = Vec::new();
                tree(&self.code[at..], &[], &mut paths);
                named.extend(paths.iter().map(|path| (at, self.absolute(path))));
            }
        }
        named.sort_by_key(|(at, _)| *at);
        let paths = named.into_iter().map(|(_, path)| path);
        paths
            .filter(|path| path.first().is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase())))
            .collect()
    }

    /// Whether this is part of a list, as in `super::{super::a, b}`: it is parsed with the list.
    fn is_inside_a_list(&self, at: usize) -> bool {
        let statement = self.code[..at].rsplit(';').next().unwrap_or_default();
        statement.rfind("::{").is_some_and(|list| {
            let inside = &statement[list..];
            inside.matches('{').count() > inside.matches('}').count()
        })
    }

    fn absolute(&self, path: &[&str]) -> Names {
        let up = path.iter().take_while(|name| **name == "super").count();
        let own = match path.first() {
            Some(&"crate") => 0,
            _ => self.module.len().saturating_sub(up),
        };
        let relative = path.iter().filter(|name| !["crate", "super", "self"].contains(name));
        self.module[..own].iter().cloned().chain(relative.map(|name| (*name).to_owned())).collect()
    }
}

/// The text without its comments and the modules of tests inside it.
fn code(text: &str) -> String {
    let (mut code, mut lines) = (String::new(), text.lines().peekable());
    while let Some(line) = lines.next() {
        let begins_tests = |next: &&str| next.contains("mod ") && next.ends_with('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(begins_tests) {
            lines.by_ref().find(|line| *line == "}");
        } else if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// Parses a path with its lists, such as `a::{b, c::d}`, and returns the rest of the text.
fn tree<'t>(text: &'t str, prefix: &[&'t str], into: &mut Vec<Vec<&'t str>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut list) = text.strip_prefix('{') {
        loop {
            list = tree(list, prefix, into);
            // `as x`, and white space.
            list = list.trim_start_matches(|c| c != ',' && c != '}');
            match list.strip_prefix(',') {
                Some(rest) if !rest.trim_start().starts_with('}') => list = rest,
                _ => return list.split_once('}').map_or("", |(_, rest)| rest),
            }
        }
    }
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path: Vec<_> = prefix.iter().copied().chain((!name.is_empty()).then_some(name)).collect();
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => tree(rest, &path, into),
        _ => {
            into.push(path);
            rest
        }
    }
}
