//! README.md and the manual, compared with the program: links, files, flags, variables, metrics, problem types,
//! parameters, failure kinds and examples.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::read;
use crate::support::{
    program::{ServiceProcess, code, program, stderr},
    temp_dir::TempDir,
};

const MANUAL: &str = "src/manual";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the manual: path and text.
fn pages() -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(MANUAL)).expect("a folder").map(|entry| entry.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().into_string().expect("UTF-8"));
    let paths = names.filter(|name| name.ends_with(".md")).map(|name| format!("{MANUAL}/{name}"));
    paths.map(|path| (path.clone(), read(&path))).collect()
}

/// The documents at the top of the repository, and the pages of the manual: path and text.
fn documents() -> Vec<(String, String)> {
    let top = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    top.into_iter().map(|path| (path.to_owned(), read(path))).chain(pages()).collect()
}

/// The text without its code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The code blocks of this language.
fn blocks<'t>(text: &'t str, language: &'t str) -> impl Iterator<Item = &'t str> {
    text.split("```").skip(1).step_by(2).filter_map(move |block| block.strip_prefix(language)?.strip_prefix('\n'))
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The words that begin like this, made of these characters and of letters and digits.
fn words<'t>(text: &'t str, start: &'t str, others: &'t str) -> impl Iterator<Item = &'t str> {
    let words = text.split(move |c: char| !c.is_ascii_alphanumeric() && !others.contains(c));
    words.filter(move |word| word.len() > start.len() && word.starts_with(start))
}

/// The cells of every row of every table.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    rows.map(|row| row.split(" | ").map(str::trim).collect()).collect()
}

/// What the first cells of the tables have between backquotes.
fn first_cells(text: &str) -> BTreeSet<String> {
    rows(text).iter().flat_map(|cells| quoted(cells[0]).map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn document() -> Value {
    serde_json::from_str(&read("openapi/openapi.json")).expect("JSON")
}

/// The values of an enumeration of the OpenAPI document.
fn values(schema: &str) -> BTreeSet<String> {
    let values = document()["components"]["schemas"][schema]["enum"].as_array().cloned().expect("an enumeration");
    values.iter().map(|value| value.as_str().expect("a string").to_owned()).collect()
}

// Links

/// The names under which a Git host and rustdoc link to the headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings =
        headings.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// The definitions `[label]: target`.
fn definitions(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let (mut wrong, mut found) = (Vec::new(), 0);
    for (path, text) in documents() {
        let prose = prose(&text);
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in inline.chain(definitions(&text).into_values()).filter(|link| !link.starts_with("https://")) {
            found += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = root().join(&path).parent().expect("a folder").to_owned();
            let target = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            if !target.exists() {
                wrong.push(format!("{path}: {link} leads to no file"));
            } else if !anchor.is_empty() && !anchors(&fs::read_to_string(target).expect("text")).contains(anchor) {
                wrong.push(format!("{path}: {link} leads to no heading"));
            }
        }
    }
    assert!(found > 50 && wrong.is_empty(), "{found} links: {wrong:#?}");
}

/// A page defines its links as paths, `mod.rs` the same ones as paths of Rust: a reader of either finds none undefined.
#[test]
fn every_page_is_linked_and_defines_the_links_that_it_uses() {
    let (module, readme, pages) = (read(&format!("{MANUAL}/mod.rs")), read("README.md"), pages());
    assert!(pages.len() > 10, "{pages:#?}");
    let labels: BTreeSet<_> = pages.iter().flat_map(|(_, text)| definitions(text).into_keys()).collect();
    for (path, text) in &pages {
        let name = path.rsplit('/').next().expect("a name");
        assert!(module.contains(&format!("include_str!(\"{name}\")")), "{name} is not in {MANUAL}/mod.rs");
        assert!(readme.contains(&format!("({path})")), "README.md does not link {path}");
        let (defined, prose) = (definitions(text), prose(text));
        for label in &labels {
            let is_defined = defined.contains_key(label);
            let uses = prose.matches(&format!("[{label}]")).count() - usize::from(is_defined);
            assert_eq!(uses > 0, is_defined, "{path}: [{label}] is used {uses} times");
            assert!(!is_defined || module.contains(&format!("\n[{label}]: crate::")), "{MANUAL}/mod.rs: [{label}]");
        }
    }
}

#[test]
fn every_file_that_is_named_exists() {
    let folders = ["src/", "tests/", "deploy/", "benches/", "openapi/", ".ci/"];
    for (path, text) in documents() {
        for word in quoted(&prose(&text)).filter(|word| folders.iter().any(|folder| word.starts_with(folder))) {
            let file = word.split(' ').next().unwrap_or_default();
            assert!(root().join(file).exists(), "{path}: {file} does not exist");
        }
    }
}

// The output of the program

/// The help of the program and of each subcommand.
fn help() -> BTreeMap<String, String> {
    let print = |arguments: &[&str]| {
        let output = program(arguments).arg("--help").output().expect("the program starts");
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let whole = print(&[]);
    let commands = whole.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("subcommands");
    let names = commands.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let mut help: BTreeMap<_, _> = names.map(|name| (name.to_owned(), print(&[name]))).collect();
    help.insert(String::new(), whole.clone());
    help
}

/// The flags that a help text lists.
fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    lines.flat_map(|line| words(line, "--", "-").map(str::to_owned).take(1)).collect()
}

/// Pieces of text that name our own flags: a flag between backquotes, and command lines of the program.
fn own_flags(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let spans = quoted(&prose).filter(|span| span.starts_with("--") || span.starts_with("smtp-check "));
    let lines = text.split("```").skip(1).step_by(2).flat_map(str::lines);
    let lines = lines
        .filter(|line| ["smtp-check ", "$ smtp-check ", "docker run "].iter().any(|start| line.starts_with(start)));
    let lines = lines.filter_map(|line| line.split("smtp-check ").last()?.split(['|', ';', '#']).next());
    spans.chain(lines).flat_map(|piece| words(piece, "--", "-").map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_flag_and_variable_that_is_named_exists() {
    let help = help();
    let known: BTreeSet<_> = help.values().flat_map(|help| flags(help)).collect();
    let variables: BTreeSet<_> = help.values().flat_map(|help| words(help, "SMTP_CHECK_", "_")).collect();
    assert!(known.len() > 40 && variables.len() > 20, "{known:?} {variables:?}");
    for (path, text) in documents() {
        let unknown: Vec<_> = own_flags(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
    let deployed = ["debian/smtp-check.default", "systemd/smtp-check.service", "kubernetes/smtp-check.yaml"];
    let deployed = deployed.map(|file| format!("deploy/{file}")).map(|path| (path.clone(), read(&path)));
    let images = ["Dockerfile", "docker-compose.yml"].map(|path| (path.to_owned(), read(path)));
    for (path, text) in documents().into_iter().chain(deployed).chain(images) {
        // An argument of the image's build; not a setting.
        for variable in words(&text, "SMTP_CHECK_", "_").filter(|variable| *variable != "SMTP_CHECK_REVISION") {
            assert!(variables.contains(variable), "{path} names {variable}");
        }
    }
}

#[test]
fn every_setting_is_in_the_page_of_the_settings() {
    let settings: BTreeSet<_> = flags(&help()["serve"]).into_iter().filter(|flag| flag != "--help").collect();
    let page = read(&format!("{MANUAL}/settings.md"));
    let named: BTreeSet<_> = quoted(&page).flat_map(|span| words(span, "--", "-")).map(str::to_owned).collect();
    let missing: Vec<_> = settings.difference(&named).collect();
    assert!(settings.len() > 20 && missing.is_empty(), "{missing:?}");
}

#[test]
fn every_example_of_a_settings_file_is_a_good_one() {
    let scratch = TempDir::new();
    let documents = documents();
    let examples: Vec<_> =
        documents.iter().flat_map(|(path, text)| blocks(text, "toml").map(move |t| (path, t))).collect();
    assert!(!examples.is_empty());
    for (path, example) in examples {
        let file = scratch.write("settings.toml", example.as_bytes());
        let mut command = program(&["healthcheck", "--listen=127.0.0.1:1", "--config"]);
        let output = command.arg(file).output().expect("the program starts");
        // Nobody listens there, which is found out after the settings were read.
        assert_eq!(code(&output), 1, "{path}: {}", stderr(&output));
    }
}

// The API

#[test]
fn every_problem_type_is_listed_with_its_status() {
    let page = read(&format!("{MANUAL}/errors.md"));
    let listed: BTreeMap<String, String> =
        rows(&page).iter().map(|cells| (cells[0].trim_matches('`').to_owned(), cells[1].to_owned())).collect();
    let types = values("ProblemType");
    let slugs: BTreeSet<_> = types.iter().map(|name| name.trim_start_matches("urn:smtp-check:problem:")).collect();
    let missing: Vec<_> = slugs.iter().filter(|slug| !listed.contains_key(**slug)).collect();
    let unknown: Vec<_> = listed.keys().filter(|name| **name != "type" && !slugs.contains(name.as_str())).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
    for (name, status) in problems(&document()).iter().filter(|(_, status)| **status != 400) {
        assert_eq!(listed.get(name.as_str()), Some(&status.to_string()), "{name}");
    }
}

/// The statuses of the problems that the document shows as examples; that of the query of `/probe` differs, with 400.
fn problems(value: &Value) -> BTreeMap<String, u64> {
    let inner: Vec<&Value> = match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(elements) => elements.iter().collect(),
        _ => Vec::new(),
    };
    let mut found: BTreeMap<_, _> = inner.into_iter().flat_map(problems).collect();
    let name = value["type"].as_str().and_then(|name| name.strip_prefix("urn:smtp-check:problem:"));
    if let (Some(name), Some(status)) = (name, value["status"].as_u64()) {
        found.insert(name.to_owned(), status);
    }
    found
}

#[test]
fn every_parameter_is_listed_with_its_default() {
    let document = document();
    for (page, schema) in [("checks.md", "CheckRequest"), ("domains.md", "DomainRequest")] {
        let page = read(&format!("{MANUAL}/{page}"));
        let properties = document["components"]["schemas"][schema]["properties"].as_object().expect("parameters");
        let section = page.split("\n# ").find(|section| section.starts_with("Parameters")).expect("a section");
        assert_eq!(first_cells(section), properties.keys().cloned().collect());
        for cells in rows(section) {
            for default in quoted(cells[0]).filter_map(|name| properties.get(name)?.get("default")) {
                let written = match default {
                    Value::String(text) if !text.is_empty() => text.clone(),
                    other => other.to_string(),
                };
                assert_eq!(cells[1], format!("`{written}`"), "{}", cells[0]);
            }
        }
    }
}

#[test]
fn every_failure_is_listed() {
    let page = read(&format!("{MANUAL}/checks.md"));
    let section = page.split("\n# ").find(|section| section.starts_with("Why a check failed")).expect("a section");
    assert_eq!(first_cells(section), values("FailureKind"));
    let phases = values("Phase");
    let named: BTreeSet<_> = quoted(section).map(str::to_owned).collect();
    assert!(phases.is_subset(&named), "{:?}", phases.difference(&named));
}

#[test]
fn every_request_and_answer_that_is_shown_has_the_names_of_the_api() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let properties = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_default().into_iter();
    let known: BTreeSet<_> = schemas.values().flat_map(properties).map(|(name, _)| name).collect();
    let parameters_of = |schema: &str| properties(&schemas[schema]).map(|(name, _)| name).collect::<BTreeSet<_>>();
    let (of_check, of_domain) = (parameters_of("CheckRequest"), parameters_of("DomainRequest"));
    let (mut requests, mut answers) = (0, 0);
    for (path, text) in documents() {
        for body in text.split("-d '").skip(1).filter_map(|rest| rest.split('\'').next()) {
            requests += 1;
            let Value::Object(body) = serde_json::from_str(body).expect("JSON") else { panic!("{path}: {body}") };
            let parameters = if body.contains_key("domain") { &of_domain } else { &of_check };
            assert!(body.keys().all(|name| parameters.contains(name)), "{path}: {body:?}");
        }
        for block in blocks(&text, "jsonc").chain(blocks(&text, "json")) {
            answers += 1;
            // Keywords of EHLO are names, too.
            let names = block.split("\":").filter_map(|before| before.rsplit('"').next());
            let names = names.filter(|name| words(name, "", "_").next() == Some(name));
            let unknown: Vec<_> =
                names.filter(|name| **name != name.to_uppercase() && !known.contains(*name)).collect();
            assert!(unknown.is_empty(), "{path}: {unknown:?}");
        }
    }
    assert!(requests > 2 && answers > 1, "{requests} {answers}");
}

// Metrics

/// The metrics that a text announces.
fn announced(exposition: &str) -> BTreeSet<String> {
    let types = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    types.map(str::to_owned).collect()
}

#[test]
fn every_metric_is_listed_and_every_listed_metric_is_exposed() {
    let scratch = TempDir::new();
    let printed = scratch.write("printed", b"");
    let modules =
        b"[modules.good]\nstarttls = true\n[modules.bad]\nstarttls = true\ntls_server_name = \"other.test\"\n\
        [modules.domain]\nkind = \"domain\"\ntimeout_ms = 500\n";
    let mut command = program(&["demo", "--listen=127.0.0.1:0", "--config"]);
    command.arg(scratch.write("settings.toml", modules));
    let served = ServiceProcess::start_printing_to(command, fs::File::create(&printed).expect("writable").into());
    let printed = fs::read_to_string(printed).expect("UTF-8");
    let port = printed.split("listens on 127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port");
    let probe = |module: &str| {
        served.get(&format!("/probe?target=127.0.0.1:{port}&module={module}&to=nobody@sandbox.test"), "")
    };
    let domain = served.get("/probe?target=domain.invalid&module=domain", "");
    let answers = [probe("good"), probe("bad"), domain, served.get("/metrics", "")];
    let exposed: BTreeSet<_> = answers.iter().flat_map(|answer| announced(answer)).collect();
    let page = read(&format!("{MANUAL}/metrics.md"));
    let starts = ["probe_", "process_", "smtp_check_"];
    let is_metric = |name: &&str| starts.iter().any(|start| name.starts_with(start));
    let listed: BTreeSet<_> = first_cells(&page)
        .iter()
        .filter_map(|cell| cell.split('{').next())
        .filter(is_metric)
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, exposed);
    for (path, text) in documents() {
        let prose = prose(&text);
        for name in quoted(&prose).flat_map(|span| starts.iter().flat_map(move |start| words(span, start, "_"))) {
            assert!(exposed.contains(name), "{path}: nothing exposes {name}");
        }
    }
}
