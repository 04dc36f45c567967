//! Runs the oracles of the fuzz targets (`tests/fuzz`) over their corpus, and for a second over mutations of it, on the
//! stable toolchain.
//!
//! An input that fails is written to `target/tmp`. After the fix it goes into the corpus, under a name that says what
//! it shows.

#[path = "fuzz/oracles/mod.rs"]
pub mod oracles;

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The seed: the same mutations every time. `CORPUS_SEED=…` sets another one.
const SEED: u64 = 0x5eed;
/// Time for mutations, for each target. One long input can take longer. `CORPUS_SECONDS=…` sets another one.
const MUTATION_TIME: Duration = Duration::from_secs(1);
/// Maximum size of a mutated input, in octets.
const MAX_INPUT_SIZE: usize = 4096;

#[test]
fn replies_are_parsed() {
    over_the_corpus("reply", oracles::reply);
}

#[test]
fn ehlo_keywords_are_parsed() {
    over_the_corpus("capabilities", oracles::capabilities);
}

#[test]
fn dialogue_ends_whatever_the_server_answers() {
    over_the_corpus("dialogue", oracles::dialogue);
}

#[test]
fn certificate_facts_are_bounded_and_printable() {
    over_the_corpus("certificate", oracles::certificate);
}

#[test]
fn proxy_headers_are_parsed_back() {
    over_the_corpus("proxy", oracles::proxy);
}

#[test]
fn parameters_are_valid_or_rejected() {
    over_the_corpus("check", oracles::check);
}

#[test]
fn address_parser_accepts_only_one_argument() {
    over_the_corpus("address", oracles::address);
}

#[test]
fn message_ends_only_at_its_end() {
    over_the_corpus("payload", oracles::payload);
}

#[test]
fn echoed_secrets_are_masked() {
    over_the_corpus("mask", oracles::mask);
}

#[test]
fn resolv_conf_is_read_as_glibc_reads_it() {
    over_the_corpus("resolv_conf", oracles::resolv_conf);
}

#[test]
fn hosts_are_read_as_glibc_reads_them() {
    over_the_corpus("hosts", oracles::hosts);
}

#[test]
fn report_is_bounded_by_what_the_server_sent() {
    over_the_corpus("report", oracles::report);
}

#[test]
fn a_dns_response_that_is_cut_says_nothing_else() {
    over_the_corpus("dns", oracles::dns);
}

fn over_the_corpus(target: &str, oracle: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() >= 10, "the corpus of {target} was found");
    for (path, input) in &corpus {
        holds(oracle, input, || panic!("{} breaks a promise", path.display()));
    }
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let seed = number("CORPUS_SEED").unwrap_or(SEED);
    let time = number("CORPUS_SECONDS").map_or(MUTATION_TIME, Duration::from_secs);
    let mut random = fastrand::Rng::with_seed(seed);
    let (began, mut executions) = (Instant::now(), corpus.len());
    while began.elapsed() < time {
        let input = mutation(&mut random, &corpus);
        holds(oracle, &input, || {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}-breaks"));
            fs::write(&path, &input).expect("the directory of temporary files is writable");
            panic!("a mutation with seed {seed} breaks a promise; it is in {}", path.display());
        });
        executions += 1;
    }
    println!("{target}: {executions} executions with seed {seed}");
}

fn holds(oracle: fn(&[u8]), input: &[u8], otherwise: impl FnOnce()) {
    // After a panic only the input is used, and nothing changes it.
    if panic::catch_unwind(AssertUnwindSafe(|| oracle(input))).is_err() {
        otherwise();
    }
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    // Sorted, so that a seed gives the same mutations on every file system.
    paths.sort();
    let read = |path: PathBuf| {
        let input = fs::read(&path).expect("a readable file");
        (path, input)
    };
    paths.into_iter().map(read).collect()
}

/// A random input of the corpus with a few changes.
fn mutation(random: &mut fastrand::Rng, corpus: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut input = corpus[random.usize(..corpus.len())].1.clone();
    for _ in 0..random.usize(1..5) {
        let (at, end) = range(random, input.len());
        match random.u8(..6) {
            0 => input.insert(at, random.u8(..)),
            1 if at < input.len() => input[at] ^= 1 << random.u32(..8),
            2 => drop(input.drain(at..end)),
            3 => input.extend_from_within(at..end),
            4 => input.extend(std::iter::repeat_n(random.u8(..), random.usize(..64))),
            _ => {
                let (_, other) = &corpus[random.usize(..corpus.len())];
                let (from, to) = range(random, other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
        }
        input.truncate(MAX_INPUT_SIZE);
    }
    input
}

/// A random range of this many octets.
fn range(random: &mut fastrand::Rng, length: usize) -> (usize, usize) {
    let (a, b) = (random.usize(..=length), random.usize(..=length));
    (a.min(b), a.max(b))
}
