//! The layout of the source files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::source::files;

const MAX_ENTRIES_OF_HTTP: usize = 14;
const MAX_LINES_OF_MAIN: usize = 40;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).expect("below").display().to_string()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

/// One style: a module with files of its own is `x/mod.rs`, any other is `x.rs`.
#[test]
fn a_module_with_files_of_its_own_is_mod_rs() {
    let sources: Vec<PathBuf> = ["src", "tests/it"].iter().flat_map(|folder| files(&root().join(folder))).collect();
    let beside_a_folder = sources.iter().filter(|path| path.with_extension("").is_dir());
    let wrong: Vec<_> = beside_a_folder.map(|path| name(path)).collect();
    assert!(wrong.is_empty(), "to be mod.rs in the folder: {wrong:#?}");
}

#[test]
fn no_module_of_the_library_has_a_path_attribute() {
    let sources = files(&root().join("src"));
    let wrong: Vec<_> = sources.iter().filter(|path| text(path).contains("#[path")).map(|path| name(path)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn http_has_few_entries() {
    let mut entries: Vec<_> = fs::read_dir(root().join("src/http"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    entries.sort_unstable();
    assert!(entries.len() <= MAX_ENTRIES_OF_HTTP, "{}: {entries:?}", entries.len());
}

#[test]
fn main_is_short() {
    let lines = text(&root().join("src/main.rs")).lines().count();
    assert!(lines <= MAX_LINES_OF_MAIN, "{lines} lines");
}
