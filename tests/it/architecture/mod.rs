//! The architecture: modules form layers, and no module names one of a layer above its own.

mod cycles;
mod layout;
mod sizes;
mod source;

use self::source::{Source, library};

/// The layers that `src/lib.rs` describes, from the lowest to the highest, each with its modules. The interfaces are in
/// two parts: the command line starts all the others.
const LAYERS: [(&str, &[&str]); 7] = [
    (
        "values and wire",
        &[
            "decimal",
            "destination",
            "escape",
            "mail_dns",
            "os_error",
            "phase",
            "proxy_header",
            "secret",
            "smtp",
            "suggest",
            "x509",
        ],
    ),
    ("check and report", &["check", "findings", "report", "reproduce"]),
    ("I/O", &["clock", "message", "net", "pem", "thread", "tls"]),
    ("service", &["domain", "permits", "probe"]),
    ("HTTP interface", &["http"]),
    ("beside the layers", &["config", "sandbox", "telemetry"]),
    ("command line", &["cli"]),
];

/// How many of the layers, from the lowest, are pure: no runtime, no clock, no I/O.
const PURE_LAYERS: usize = 2;

/// Imports that the order of the layers would allow.
const FORBIDDEN_IMPORTS: [(&str, &str); 14] = [
    ("check", "report"),
    ("check", "findings"),
    ("check", "reproduce"),
    ("report", "check"),
    ("report", "findings"),
    ("report", "reproduce"),
    ("findings", "check"),
    ("findings", "reproduce"),
    ("http", "smtp"),
    ("http", "net"),
    ("http", "tls"),
    ("http", "config"),
    ("telemetry", "config"),
    ("sandbox", "smtp"),
];

fn layer(module: &str) -> usize {
    let layer = LAYERS.iter().position(|(_, modules)| modules.contains(&module));
    layer.unwrap_or_else(|| panic!("the module `{module}` has no layer in tests/it/architecture/mod.rs"))
}

#[test]
fn no_module_imports_from_a_higher_layer() {
    let mut wrong = Vec::new();
    for source in library() {
        let module = source.top_module();
        for named in source.names().iter().filter_map(|path| path.first()).filter(|named| *named != module) {
            if FORBIDDEN_IMPORTS.contains(&(module, named)) || layer(named) > layer(module) {
                wrong.push(format!(
                    "{} ({}) names {named} ({})",
                    source.path,
                    LAYERS[layer(module)].0,
                    LAYERS[layer(named)].0
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_layers_do_no_io() {
    for source in library().iter().filter(|source| layer(source.top_module()) < PURE_LAYERS) {
        for word in
            ["tokio", "std::fs", "TcpStream", "UdpSocket", "Instant::now", "SystemTime::now", "now_utc", "Uuid::now"]
        {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
    }
}

/// Where the system has no thread left, these panic, wait without end, or are an error that the caller must handle.
#[test]
fn threads_are_started_only_where_their_lack_is_handled() {
    let handling = ["thread.rs", "telemetry/writer.rs"];
    for source in library().iter().filter(|source| !handling.contains(&source.path.as_str())) {
        for word in [
            "spawn_blocking",
            "block_in_place",
            "thread::spawn",
            "thread::Builder",
            "lookup_host",
            "tokio::fs",
            "fs::File::from_std",
        ] {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
    }
}

#[test]
fn imported_names_are_parsed() {
    let text = "use crate::{\n    a::{B, c as x},\n    d,\n};\nlet x = crate::e::f::<T>();\n// crate::no\n\
                use crate::Upper;\nuse super::{super::g::H, i};\n#[cfg(test)]\nmod tests {\n    use crate::no;\n}\n\
                use self::j;\n";
    let source = Source::new("module/file.rs", text);
    let names: Vec<String> = source.names().iter().map(|path| path.join("::")).collect();
    assert_eq!(names, ["a::B", "a::c", "d", "e::f", "g::H", "module::i", "module::file::j"]);
}
