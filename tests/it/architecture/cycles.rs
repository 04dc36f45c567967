//! No cycles between the files of a module. A file and the files below it may name each other.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Names, library};

#[test]
fn no_file_of_a_module_depends_on_itself_through_others() {
    let sources = library();
    let modules: BTreeSet<&Names> = sources.iter().map(|source| &source.module).collect();
    // A path may end in an item: its file is the longest prefix that is a module.
    let file = |path: &Names| (1..=path.len()).rev().find_map(|length| modules.get(&path[..length].to_vec()).copied());
    let is_ancestor = |one: &Names, other: &Names| one.starts_with(other) || other.starts_with(one);
    let named_by: BTreeMap<&Names, BTreeSet<&Names>> = sources
        .iter()
        .map(|source| {
            let named = source.names().iter().filter_map(file).collect::<BTreeSet<_>>();
            let others =
                named.into_iter().filter(|other| other[0] == source.module[0] && !is_ancestor(other, &source.module));
            (&source.module, others.collect())
        })
        .collect();
    let modules = sources.iter().map(|source| &source.module);
    let on_a_cycle: Vec<_> =
        modules.filter(|module| reached(&named_by, module).contains(module)).map(|module| module.join("::")).collect();
    assert!(on_a_cycle.is_empty(), "{on_a_cycle:#?}");
}

/// All files that a file names, directly or through others.
fn reached<'n>(named_by: &BTreeMap<&'n Names, BTreeSet<&'n Names>>, from: &Names) -> BTreeSet<&'n Names> {
    let (mut reached, mut next) = (BTreeSet::new(), named_by[from].clone());
    while let Some(module) = next.pop_first() {
        if reached.insert(module) {
            next.extend(&named_by[module]);
        }
    }
    reached
}
