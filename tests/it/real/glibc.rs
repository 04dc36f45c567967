//! `resolv.conf` and `hosts`, compared with what glibc makes of the same octets: the corpus of the fuzz targets, and
//! random files of odd lines.
//!
//! `CORPUS_SEED=…` sets another seed, `GLIBC_CASES=…` another number of random files.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader, Lines, Write},
    net::{IpAddr, SocketAddr},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use smtp_check::net::resolve::{host_addresses, name_servers};

use crate::support::temp_dir::TempDir;

/// The seed and the number of random files of each kind.
const SEED: u64 = 0x5eed;
const CASES: usize = 400;
/// Looked up in every hosts file. None can be taken for an address.
const NAMES: &[&str] = &["mx", "mx.example", "one.example", "one.example.", "two.example", "six.example", "localhost"];
/// What random files are made of.
const WORDS: &[&[u8]] = &[
    b"nameserver ",
    b"nameserver\t",
    b"\nnameserver ",
    b"\nnameserver ",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b"\x0b",
    b"\0",
    b"#",
    b";",
    b"\xff",
    b"search ",
    b"options ",
    b"192.0.2.1",
    b"192.0.2.",
    b"0300.0x2.513",
    b"4294967295",
    b"256",
    b"08",
    b"0x",
    b".",
    b":",
    b"::",
    b"2001:db8::1",
    b"fe80::1",
    b"ff02::2",
    b"::ffff:192.0.2.4",
    b"1:2:3:4:5:6",
    b":7:8",
    b"12345",
    b"%",
    b"%lo",
    b"%7",
    b"+",
    b"-",
    b"\n192.0.2.7 ",
    b"\n192.0.2.8 mx.example",
    b"\n::1\tlocalhost mx.example ",
    b"\n192.0.2.9 One.Example one.example. ",
    b"\n2001:db8::2\t",
    b"mx",
    b"mx.example ",
    b" One.Example",
    b" two.example",
    b" six.example",
];

/// A process that reads the files by glibc, in a root of its own.
struct Glibc {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _root: TempDir,
}

impl Glibc {
    fn start() -> Self {
        let root = TempDir::new();
        fs::create_dir(root.path().join("etc")).expect("a folder");
        root.write("etc/nsswitch.conf", b"hosts: files\n");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/real/glibc.py");
        // A user namespace, so that no other right is needed for chroot(2).
        let may_unshare = Command::new("unshare").args(["-r", "true"]).stderr(Stdio::null()).status();
        let mut command = match may_unshare.is_ok_and(|status| status.success()) {
            true => Command::new("unshare"),
            false => Command::new("env"),
        };
        if command.get_program() == "unshare" {
            command.arg("-r");
        }
        command.arg("python3").arg(script).arg(root.path()).env_remove("LOCALDOMAIN").env_remove("RES_OPTIONS");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("tests/install brings Python");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Self { child, input, output: BufReader::new(output).lines(), _root: root }
    }

    fn ask(&mut self, case: &Value) -> Value {
        writeln!(self.input, "{case}").expect("it reads");
        let answer = self.output.next().expect("it answers").expect("text");
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Drop for Glibc {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The corpus of this fuzz target, and random files.
fn files(target: &str) -> Vec<Vec<u8>> {
    let number = |name| env::var(name).ok().and_then(|number| number.parse().ok());
    let mut random = fastrand::Rng::with_seed(number("CORPUS_SEED").unwrap_or(SEED));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let corpus = fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = corpus.map(|path| fs::read(path).expect("a readable file")).collect();
    files.sort();
    assert!(files.len() >= 10, "the corpus of {target} was found");
    let cases = number("GLIBC_CASES").map_or(CASES, |cases| cases as usize);
    for _ in 0..cases {
        let words = (0..random.usize(1..24)).map(|_| WORDS[random.usize(..WORDS.len())]);
        let mut file = words.collect::<Vec<_>>().concat();
        if random.bool() {
            let index = random.usize(..file.len());
            file[index] = random.u8(..);
        }
        if target == "hosts" {
            // glibc 2.36 repeats the end of a last line that is indented and has no line feed (`__nss_readline`).
            file.push(b'\n');
        }
        files.push(file);
    }
    files
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn ip(text: &Value) -> IpAddr {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("an address: {text}"))
}

#[test]
fn resolv_conf_is_read_as_glibc_reads_it() {
    let mut glibc = Glibc::start();
    for file in files("resolv_conf") {
        let servers: Vec<_> = name_servers(&file)
            .into_iter()
            .map(|server| match server {
                SocketAddr::V4(server) => (IpAddr::V4(*server.ip()), json!(0)),
                SocketAddr::V6(server) => (IpAddr::V6(*server.ip()), json!(server.scope_id())),
            })
            .collect();
        let answer = glibc.ask(&json!({"resolv_conf": hex(&file)}));
        let expected = answer.as_array().expect("a list").iter().map(|server| (ip(&server[0]), server[1].clone()));
        assert_eq!(servers, expected.collect::<Vec<_>>(), "{}", file.escape_ascii());
    }
}

#[test]
fn hosts_are_read_as_glibc_reads_them() {
    let mut glibc = Glibc::start();
    let mut found = 0;
    for file in files("hosts") {
        let answer = glibc.ask(&json!({"hosts": hex(&file), "names": NAMES}));
        for name in NAMES {
            // As sets: glibc sorts them by RFC 6724.
            let addresses: BTreeSet<_> = host_addresses(&file, name).into_iter().collect();
            let expected: BTreeSet<_> = answer[name].as_array().expect("a list").iter().map(ip).collect();
            assert_eq!(addresses, expected, "{name} in {}", file.escape_ascii());
            found += addresses.len();
        }
    }
    assert!(found > 100, "only {found} addresses were found");
}
