//! Within a room, too, one file knows the other and not the other way round. A file and those below it may know each other.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Names, library};

/// Files that are on a cycle.
const KNOWN: [&str; 4] = [
    // A journal that somebody listens to is read while it is written, and read as the fold will read it: one reading of phases for
    // both. To take the events out of the journal would not undo this, for the fold takes the journal itself.
    "report::fold",
    "report::fold::phases",
    "report::journal",
    "report::live",
];

#[test]
fn no_file_of_a_room_knows_itself_by_way_of_others() {
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
    let on_a_cycle =
        sources.iter().map(|source| &source.module).filter(|module| reached(&known, module).contains(module));
    let unknown: Vec<_> =
        on_a_cycle.map(|module| module.join("::")).filter(|name| !KNOWN.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// All that a file knows, directly or by way of others.
fn reached<'n>(known: &BTreeMap<&'n Names, BTreeSet<&'n Names>>, from: &Names) -> BTreeSet<&'n Names> {
    let (mut reached, mut next) = (BTreeSet::new(), known[from].clone());
    while let Some(module) = next.pop_first() {
        if reached.insert(module) {
            next.extend(&known[module]);
        }
    }
    reached
}
