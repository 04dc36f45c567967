//! No cycles between the files of a module. A file and the files below it may name each other.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Names, library};

#[test]
fn no_file_of_a_module_depends_on_itself_through_others() {
    let sources = library();
    let modules: BTreeSet<&Names> = sources.iter().map(|source| &source.module).collect();
    // A name may be that of an item: its file is the module that is the longest part of it.
    let file = |path: &Names| (1..=path.len()).rev().find_map(|length| modules.get(&path[..length].to_vec()).copied());
    let is_kin = |one: &Names, other: &Names| one.starts_with(other) || other.starts_with(one);
    let known: BTreeMap<&Names, BTreeSet<&Names>> = sources
        .iter()
        .map(|source| {
            let named = source.names().iter().filter_map(file).collect::<BTreeSet<_>>();
            let others =
                named.into_iter().filter(|other| other[0] == source.module[0] && !is_kin(other, &source.module));
            (&source.module, others.collect())
        })
        .collect();
    let modules = sources.iter().map(|source| &source.module);
    let on_a_cycle: Vec<_> =
        modules.filter(|module| reached(&known, module).contains(module)).map(|module| module.join("::")).collect();
    assert!(on_a_cycle.is_empty(), "{on_a_cycle:#?}");
}

/// The files that a file names, directly or through others.
fn reached<'n>(known: &BTreeMap<&'n Names, BTreeSet<&'n Names>>, from: &Names) -> BTreeSet<&'n Names> {
    let (mut reached, mut next) = (BTreeSet::new(), known[from].clone());
    while let Some(module) = next.pop_first() {
        if reached.insert(module) {
            next.extend(&known[module]);
        }
    }
    reached
}
