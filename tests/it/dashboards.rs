//! The files for Grafana and Prometheus match each other and the metrics of the service. There is no package of Grafana
//! to test with; `real::prometheus` tests the expressions with Prometheus.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    dkim::{DkimKeys, KeyForm},
    pki::{Ca, Leaf},
    program::{ServiceProcess, program},
    smtpd::{Script, SmtpServer, Step},
    temp_dir::TempDir,
};

fn shipped(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&shipped("grafana/dashboards/smtp-check.json")).expect("JSON")
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().expect("panels")
}

fn variables(dashboard: &Value) -> &Vec<Value> {
    dashboard["templating"]["list"].as_array().expect("variables")
}

/// The expressions of the panels with this title, as they are in the file.
fn written(has_title: impl Fn(&str) -> bool) -> Vec<String> {
    let dashboard = dashboard();
    let panels = panels(&dashboard).iter().filter(|panel| panel["title"].as_str().is_some_and(&has_title));
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

/// With the values that Grafana puts in for its variables when this mail server is selected.
fn with_variables(expression: &str, target: &str) -> String {
    let variables = [("$job", "smtp"), ("$target", target), ("$service", ".*"), ("$__rate_interval", "1m")];
    variables.iter().fold(expression.to_owned(), |expression, (name, value)| expression.replace(name, value))
}

/// The expressions of all panels, about all mail servers.
pub(crate) fn expressions() -> Vec<String> {
    written(|_| true).iter().map(|expression| with_variables(expression, ".*")).collect()
}

/// The only expression of this panel, about this mail server.
pub(crate) fn expression(title: &str, target: &str) -> String {
    let written = written(|of_a_panel| of_a_panel == title);
    assert_eq!(written.len(), 1, "{title}");
    with_variables(&written[0], target)
}

/// For each variable that queries Prometheus: the label, and an expression that has it.
pub(crate) fn choices() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let queries = variables(&dashboard).iter().filter_map(|variable| variable["query"]["query"].as_str());
    let choice = |query: &str| {
        let series_and_label = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (series, label) = series_and_label.and_then(|both| both.rsplit_once(", ")).expect("a label of series");
        (label.to_owned(), format!("group by ({label}) ({})", with_variables(series, ".*")))
    };
    queries.map(choice).collect()
}

/// Words that begin like the names of our metrics. The names of recording rules contain a colon and are left out.
fn metrics_named_in(text: &str) -> BTreeSet<String> {
    let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    let words = text.split(|c| !is_of_a_word(c)).filter(|word| !word.contains(':'));
    let ours = words.filter(|word| ["smtp_check_", "process_", "probe_"].iter().any(|start| word.starts_with(start)));
    ours.map(str::to_owned).collect()
}

/// The names of all samples in an exposition.
fn samples(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned)).collect()
}

#[tokio::test]
async fn every_service_metric_used_by_panels_and_alerts_is_exported() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 5.1.1 nobody\r\n"));
    app.check(json!({"port": server.port()})).await;
    // A request is counted after its response.
    app.get("/metrics").await;
    let answer = app.get("/metrics").await;
    let written = samples(str::from_utf8(&answer.body).expect("UTF-8"));
    let files = ["prometheus/rules.yml", "prometheus/rules.test.yml", "kubernetes/smtp-check.yaml"].map(shipped);
    for text in files.into_iter().chain([expressions().join("\n")]) {
        let named = metrics_named_in(&text);
        let of_the_service: Vec<_> = named.iter().filter(|name| !name.starts_with("probe_")).collect();
        assert!(!of_the_service.is_empty(), "{text}");
        for name in of_the_service {
            assert!(written.contains(name), "nobody writes {name}: {written:#?}");
        }
    }
}

#[test]
fn every_probe_metric_used_by_panels_and_alerts_is_in_the_example_response() {
    // The check of the example has a good certificate.
    let written: BTreeSet<_> = samples(&shipped("../openapi/examples/probe.prom"))
        .into_iter()
        .chain(["probe_smtp_certificate_error_info".to_owned()])
        .collect();
    let text = expressions().join("\n") + &shipped("prometheus/rules.yml") + &shipped("prometheus/rules.test.yml");
    for name in metrics_named_in(&text).iter().filter(|name| name.starts_with("probe_")) {
        assert!(written.contains(name), "nobody writes {name}: {written:#?}");
    }
}

/// The blackbox_exporter's metrics have the same names, and its failures are not failures of a mail server.
#[test]
fn panels_and_alerts_select_only_our_probes() {
    let rules = shipped("prometheus/rules.yml");
    let is_prose =
        |line: &&str| ["#", "summary:", "description:"].iter().any(|start| line.trim_start().starts_with(start));
    let rules: Vec<_> = rules.lines().filter(|line| !is_prose(line)).collect();
    let choices = choices().into_iter().filter(|(label, _)| label != "job").map(|(_, expression)| expression);
    let texts: Vec<_> = expressions().into_iter().chain(choices).chain([rules.join("\n")]).collect();
    let mut found = 0;
    for text in &texts {
        for (start, _) in text.match_indices("probe_").filter(|(start, _)| !text[..*start].ends_with(':')) {
            let rest = &text[start..];
            let labels =
                rest.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
            let is_ours = labels.starts_with("job=\"smtp\"") || labels.starts_with("job=~\"smtp\"");
            assert!(is_ours, "whose is {}", rest.lines().next().unwrap_or_default());
            found += 1;
        }
    }
    assert!(found > 10, "{texts:#?}");
}

#[test]
fn every_panel_has_an_id_a_position_and_the_datasource_variable() {
    let dashboard = dashboard();
    let datasource = shipped("grafana/provisioning/datasources/prometheus.yml");
    let provisioned = datasource.lines().find_map(|line| line.trim().strip_prefix("uid: ")).expect("a uid");
    let chosen = variables(&dashboard).iter().find(|variable| variable["type"] == "datasource").expect("a variable");
    assert_eq!((&chosen["name"], &chosen["current"]["value"]), (&json!("datasource"), &json!(provisioned)));
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{title}: another has its number");
        let place = |side: &str| panel["gridPos"][side].as_u64().expect("a whole number");
        let (x, y, width, height) = (place("x"), place("y"), place("w"), place("h"));
        assert!(width > 0 && height > 0 && x + width <= 24, "{title} is not within the 24 columns");
        for cell in (x..x + width).flat_map(|column| (y..y + height).map(move |line| (column, line))) {
            assert!(places.insert(cell), "{title} covers another");
        }
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{title} draws nothing");
        let references: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str()).collect();
        assert_eq!(references.len(), targets.len(), "{title}: two targets with one name");
        for source in targets.iter().chain([panel]).map(|item| &item["datasource"]["uid"]) {
            assert_eq!(source, "${datasource}", "{title}");
        }
    }
}

#[test]
fn every_variable_in_an_expression_is_declared_and_used() {
    let dashboard = dashboard();
    let declared: BTreeSet<_> =
        variables(&dashboard).iter().map(|variable| variable["name"].as_str().expect("a name")).collect();
    let panels = dashboard["panels"].to_string();
    let used: BTreeSet<_> = panels
        .split('$')
        .skip(1)
        .filter_map(|rest| rest.trim_start_matches('{').split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next())
        .filter(|name| !name.starts_with("__"))
        .collect();
    assert_eq!(declared, used);
}

#[test]
fn the_example_module_in_the_settings_file_is_valid() {
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let settings: String = shipped("smtp-check.toml").lines().map(uncommented).collect();
    assert!(settings.contains("\n[modules.submission]\n"), "{settings}");
    let directory = TempDir::new();
    let files = Ca::new("Test CA").issue(Leaf::for_name("partner.test").client_only()).write_pem(directory.path());
    // The files of the example are not on this machine.
    let keys = DkimKeys::make(&directory, "s1", KeyForm::RsaPkcs8(2048));
    let replaced = [("partner.pem", &files.chain), ("partner.key", &files.key), ("dkim.pem", &keys.file)];
    let settings = replaced.into_iter().fold(settings, |settings, (example, path)| {
        let example = format!("\"/etc/smtp-check/{example}\"");
        assert!(settings.contains(&example), "{example} in {settings}");
        settings.replace(&example, &format!("\"{}\"", path.display()))
    });
    let settings = directory.write("smtp-check.toml", settings.as_bytes());
    let settings = settings.to_str().expect("UTF-8");
    // It listens: with a bad module it would not.
    ServiceProcess::start(program(&["serve", "--listen", "127.0.0.1:0", "--config", settings]));
}

#[test]
fn names_are_found() {
    let text = "rate(smtp_check_a_total{process=\"x\"}[5m]) / probe_b and phase:smtp_check_c:p95";
    assert_eq!(metrics_named_in(text), ["probe_b".to_owned(), "smtp_check_a_total".to_owned()].into());
}
