//! The OpenAPI document is true: responses match their schemas, and the examples are real.

mod cases;

use std::{collections::BTreeSet, time::Duration};

use jsonschema::Validator;
use serde_json::{Value, json};
use smtp_check::{
    check::{CheckSettings, ClientCertificate, DkimAlgorithm, DkimKey, SourceAddresses},
    http::TokenStore,
};

use super::support::{
    app::{TestApp, TestResponse, failure},
    dkim::{DkimKeys, KeyForm},
    dns::{DnsServer, Zone},
    pki::{Ca, Leaf},
    port::Port,
    smtpd::{Action, Script, SmtpServer, Step},
    temp_dir::TempDir,
};

const CHECKS: &str = "/paths/~1v1~1checks~1smtp/post";
fn settings() -> CheckSettings {
    let mut settings = CheckSettings::new(Duration::from_secs(60));
    let certificate = ClientCertificate::new("partner".to_owned(), Vec::new(), Vec::new().into());
    settings.client_certificates.insert("partner".to_owned(), certificate);
    let key = DkimKey::new("ours".to_owned(), "example.org", "s1", DkimAlgorithm::Ed25519, Vec::new().into());
    settings.dkim.insert("ours".to_owned(), key.expect("a key"));
    settings.source_addresses = SourceAddresses::Any;
    settings
}

const PROBE: &str = "/paths/~1probe/get";

fn document() -> Value {
    serde_json::from_str(include_str!("../../../openapi/openapi.json")).expect("JSON")
}

/// Validates against a schema of the document; the formats `date-time` and `uuid` are checked.
fn schema(name: &str) -> Validator {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{name}"),
    });
    schema["components"] = document()["components"].clone();
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

#[track_caller]
fn assert_valid(schema: &Validator, value: &Value) {
    let errors: Vec<String> =
        schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?} in {value:#}");
}

/// The same as `schema`, without properties that the document does not name.
fn sealed(name: &str) -> Validator {
    let mut components = document()["components"].clone();
    for schema in components["schemas"].as_object_mut().expect("schemas").values_mut() {
        if schema.get("properties").is_some() {
            schema["additionalProperties"] = json!(false);
        }
    }
    let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": components});
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
}

#[tokio::test]
async fn openapi_json_is_the_served_document() {
    let served = TestApp::start().await.get("/openapi.json").await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    let text = std::str::from_utf8(&served.body).expect("UTF-8");
    let again = "cargo run -- openapi >openapi/openapi.json";
    assert!(served.json() == document(), "the API has changed; if it was meant to: {again}");
    // In the same order too: readers see it.
    assert_eq!(text, document().to_string(), "{again}");
}

#[tokio::test]
async fn every_report_matches_its_schema() {
    let ca = Ca::new("Example Root");
    let zone = Zone::new()
        .nxdomain("nowhere.test")
        .servfail("broken.test")
        .null_mx("nomail.test")
        .mx("example.test", 10, "mx1.example.test")
        .mx("example.test", 20, "mx2.example.test")
        .nxdomain("mx1.example.test")
        .a("mx2.example.test", [127, 0, 0, 1].into());
    let dns = DnsServer::serve(zone);
    let scratch = TempDir::new();
    let keys = DkimKeys::make(&scratch, "s1", KeyForm::Ed25519);
    let app = TestApp::builder().trust(&ca).dns_server(dns.addr()).dkim_key("ours", &keys).start().await;
    let (open, sealed) = (schema("Report"), sealed("Report"));
    let mut seen = BTreeSet::new();
    for (script, mut parameters, outcome, phase, kind) in cases::cases(&ca) {
        let server = SmtpServer::serve(script);
        let port = server.port().into();
        parameters.as_object_mut().expect("an object").entry("port").or_insert(port);
        let report = app.check(parameters.clone()).await;
        assert_valid(&open, &report);
        assert_valid(&sealed, &report);
        assert_eq!(report["outcome"], outcome, "{parameters}: {report:#}");
        let (found_phase, found_kind, _) = failure(&report);
        assert_eq!((found_phase, found_kind), (phase, kind), "{parameters}: {report:#}");
        properties(&report, "", &mut seen);
    }
    // A property that no check above has shown is not proven.
    let unseen: Vec<String> = promised("Report").difference(&seen).cloned().collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// The paths of the properties in a value; an element of a list is `*`.
fn properties(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = format!("{path}/{name}");
                properties(member, &path, into);
                into.insert(path);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| properties(element, &format!("{path}/*"), into)),
        _ => {}
    }
}

/// The paths of the properties in the schemas of the document.
fn promised(name: &str) -> BTreeSet<String> {
    fn walk(document: &Value, schema: &Value, path: &str, into: &mut BTreeSet<String>) {
        if let Some(named) = schema["$ref"].as_str() {
            walk(document, document.pointer(named.trim_start_matches('#')).expect("it is there"), path, into);
        }
        for one in schema["oneOf"].as_array().into_iter().flatten() {
            walk(document, one, path, into);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            walk(document, property, &path, into);
            into.insert(path);
        }
        if schema["items"].is_object() {
            walk(document, &schema["items"], &format!("{path}/*"), into);
        }
    }
    let (document, mut paths) = (document(), BTreeSet::new());
    walk(&document, &document["components"]["schemas"][name], "", &mut paths);
    paths
}

#[tokio::test]
async fn every_problem_matches_its_schema() {
    let silent = SmtpServer::serve(Script::new().with_greeting(Action::silence()));
    let mut app = TestApp::builder().max_checks_per_target(1).deny(&["127.9.0.0/16"]).start().await;
    let guard = TokenStore::new(format!("one:{}", "0".repeat(64)).parse().expect("tokens"));
    let guarded = TestApp::builder().tokens(guard).start().await;

    let held = json!({"to": "a@example.test", "target": "127.0.0.1", "port": silent.port(), "timeout_ms": 60_000});
    let caller = app.start_check(held).await;
    silent.wait_for_open(1).await;

    let problem = sealed("Problem");
    let check = |parameters: Value| {
        let mut all = json!({"to": "a@example.test", "target": "127.0.0.1", "port": silent.port()});
        all.as_object_mut().expect("an object").extend(parameters.as_object().expect("an object").clone());
        all
    };
    let mut answers = vec![
        (404, app.get("/nothing").await),
        (405, app.get("/v1/checks/smtp").await),
        (401, guarded.get("/docs/").await),
        (400, app.send(json_request("{")).await),
        (413, app.send(json_request(&"x".repeat(1 + (1 << 20)))).await),
        (415, app.send(without_type("{}")).await),
        (422, app.post(&json!({"port": 0, "prot": 1})).await),
        (403, app.post(&check(json!({"target": "127.9.9.9"}))).await),
        (429, app.post(&check(json!({}))).await),
    ];
    app.shut_down();
    app.lifecycle.draining().await;
    answers.push((503, app.post(&check(json!({}))).await));
    answers.push((503, app.get("/readyz").await));
    for (status, answer) in answers {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        assert_valid(&problem, &answer.json());
        assert_eq!(answer.json()["status"], status);
    }
    drop(caller);
}

fn without_type(body: &str) -> axum::http::Request<http_body_util::Full<hyper::body::Bytes>> {
    let request = axum::http::Request::post("/v1/checks/smtp").header("host", "test");
    request.body(body.to_owned().into()).expect("a request")
}

fn json_request(body: &str) -> axum::http::Request<http_body_util::Full<hyper::body::Bytes>> {
    let mut request = without_type(body);
    request.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("application/json"));
    request
}

#[tokio::test]
async fn other_routes_match_their_schemas() {
    let app = TestApp::start().await;
    for (path, name) in [("/healthz", "Status"), ("/readyz", "Status"), ("/version", "Version")] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 200);
        assert_valid(&sealed(name), &answer.json());
        assert_eq!(keys(&answer.json()), promised(name).iter().map(|path| path[1..].to_owned()).collect(), "{path}");
    }
}

#[test]
fn examples_match_their_schemas() {
    let document = document();
    let operation = document.pointer(CHECKS).expect("the main route");
    let request = sealed("CheckRequest");
    let examples = operation.pointer("/requestBody/content/application~1json/examples").expect("examples");
    for (name, example) in examples.as_object().expect("named") {
        assert_valid(&request, &example["value"]);
        let parameters = example["value"].as_object().expect("an object").clone().into_iter().collect();
        let check = smtp_check::check::Check::parse(parameters, &settings());
        assert!(check.is_ok(), "{name}: {check:?}");
    }

    let report = sealed("Report");
    let examples = operation.pointer("/responses/200/content/application~1json/examples").expect("examples");
    for (name, outcome, failed) in [
        ("delivered", "delivered", Value::Null),
        ("rejected", "failed", json!("rejected")),
        ("bad_certificate", "failed", json!("certificate")),
    ] {
        let example = &examples[name]["value"];
        assert_valid(&report, example);
        assert_eq!((&example["outcome"], &example["failure"]["kind"]), (&json!(outcome), &failed), "{name}");
        assert_plausible(example);
    }
}

#[test]
fn examples_of_domains_match_their_schemas() {
    let document = document();
    let operation = document.pointer("/paths/~1v1~1checks~1domain/post").expect("the route");
    let examples = operation.pointer("/requestBody/content/application~1json/examples").expect("examples");
    for (name, example) in examples.as_object().expect("named") {
        assert_valid(&sealed("DomainRequest"), &example["value"]);
        let parameters = example["value"].as_object().expect("an object").clone().into_iter().collect();
        let check = smtp_check::check::DomainCheck::parse(parameters, &settings());
        assert!(check.is_ok(), "{name}: {check:?}");
    }
    let content = operation.pointer("/responses/200/content").expect("content");
    let report = &content["application/json"]["example"];
    assert_valid(&schema("DomainReport"), report);
    assert_plausible(&report["hosts"][0]["addresses"][0]["report"]);
    let stream = content["text/event-stream"]["example"].as_str().expect("a stream");
    let names: Vec<_> = stream.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["record", "record", "record", "record", "record", "record", "server", "report"]);
    let last = stream.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().expect("data");
    assert_eq!(&serde_json::from_str::<Value>(last).expect("JSON"), report);
}

/// Invariants of every report.
fn assert_plausible(report: &Value) {
    let phases = report["phases"].as_array().expect("phases");
    let metrics = report["metrics"].as_object().expect("metrics");
    let duration = metrics["duration"].as_f64().expect("a duration");
    let mut ended = 0.0;
    for phase in phases {
        let (name, time) = (phase["name"].as_str().expect("a name"), phase["time_ms"].as_f64().expect("it ended"));
        let end = phase["started_ms"].as_f64().expect("it began") + time;
        // Each figure is rounded separately.
        assert!(ended <= end + 0.002 && end <= duration + 0.002, "{name} ends at {end}, after {ended}, of {duration}");
        ended = end;
        assert_eq!(metrics[&format!("{name}_time")], phase["time_ms"], "{name}");
    }
    let times = metrics.keys().filter(|name| name.ends_with("_time")).count();
    assert_eq!(times, phases.len());
    assert_eq!(report["success"], report["failure"].is_null());
    assert_eq!(report["capabilities"]["before_tls"].is_object(), metrics.contains_key("ehlo_time"));
    assert_eq!(report["capabilities"]["after_tls"].is_object(), metrics.contains_key("ehlo_tls_time"));
    assert_eq!(report["tls"].is_object(), metrics.contains_key("cert_end"));
    if let Some(chain) = report["tls"]["chain"].as_array() {
        assert_eq!(chain[0]["subject"], metrics["cert_subject"]);
        assert_eq!(chain[0]["issuer"], metrics["cert_issuer"]);
        assert_eq!(report["tls"]["errors"] == json!([]), metrics["cert_error"].is_null());
        let end = i64::from(metrics["cert_end"].as_i64() > metrics["cert_start"].as_i64());
        assert_eq!(end, 1, "it ends after it began");
    }
}

#[tokio::test]
async fn problem_examples_are_real_responses() {
    let document = document();
    let responses_of = |route| document.pointer(route).expect("a route")["responses"].as_object().expect("responses");
    let (responses, problem) = (responses_of(CHECKS), sealed("Problem"));
    for (status, response) in responses.iter().chain(responses_of(PROBE)).filter(|(status, _)| *status != "200") {
        let content = &response["content"]["application/problem+json"];
        let alone = content.get("example").into_iter();
        let named = content["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
        let examples: Vec<&Value> = alone.chain(named).collect();
        assert!(!examples.is_empty(), "{status} has no example");
        for example in examples {
            assert_valid(&problem, example);
            assert_eq!(example["status"].to_string(), *status, "{example:#}");
        }
        assert_eq!(response["headers"].get("Retry-After").is_some(), matches!(status.as_str(), "429" | "503"));
    }

    let app = TestApp::start().await;
    let shown = |status: &str| responses[status]["content"]["application/problem+json"]["example"].clone();
    let same = |answer: TestResponse, status: &str| assert_eq!(answer.json(), shown(status));
    same(app.send(json_request("{\"to\": }")).await, "400");
    same(app.send(json_request(&" ".repeat(1 + (1 << 20)))).await, "413");
    same(app.send(without_type("{}")).await, "415");
    same(app.post(&json!({"to": "probe@example.com", "timeout_ms": 50, "prot": 587})).await, "422");
}

#[test]
fn every_parameter_is_described() {
    let request = &document()["components"]["schemas"]["CheckRequest"];
    for (name, property) in request["properties"].as_object().expect("properties") {
        let own = property["description"].as_str();
        let named = || property["oneOf"].as_array()?.iter().find_map(|one| one["description"].as_str());
        assert!(own.or_else(named).is_some_and(|text| text.len() > 10), "{name}: {property:#}");
    }
    assert_eq!(request["additionalProperties"], false);
    assert_eq!(request.get("required"), None, "`to` may be left out where `stop_after` ends before it is needed");
}

#[tokio::test]
async fn the_document_and_the_parser_have_the_same_parameters() {
    let app = TestApp::start().await;
    let names = keys(&document()["components"]["schemas"]["CheckRequest"]["properties"]);
    assert_eq!(names.len(), 33, "as many as the contract has");
    // A list is invalid for every parameter: one violation for each known field, and none says that the field is
    // unknown.
    let all: serde_json::Map<String, Value> = names.iter().map(|name| (name.clone(), json!([]))).collect();
    let answer = app.post(&Value::Object(all)).await;
    assert_eq!(
        answer.pointers().into_iter().collect::<BTreeSet<_>>(),
        names.iter().map(|name| format!("/{name}")).collect()
    );
    for error in answer.json()["errors"].as_array().expect("errors") {
        assert!(error["detail"].as_str().is_some_and(|detail| detail.starts_with("must be ")), "{error}");
    }
}

#[tokio::test]
async fn documented_defaults_are_the_real_ones() {
    let request = &document()["components"]["schemas"]["CheckRequest"];
    let defaults: serde_json::Map<String, Value> = request["properties"]
        .as_object()
        .expect("properties")
        .iter()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect();
    let parse = |fields: serde_json::Map<String, Value>| {
        let fields = fields.into_iter().chain([("to".to_owned(), json!("a@example.test"))]).collect();
        let check = smtp_check::check::Check::parse(fields, &settings());
        format!("{:?}", check.expect("a check"))
    };
    assert_eq!(parse(defaults.clone()), parse(serde_json::Map::new()), "{defaults:?}");
    assert_eq!(defaults.len(), 16, "{defaults:?}");
}

#[test]
fn documented_number_limits_are_the_real_ones() {
    let request = &document()["components"]["schemas"]["CheckRequest"];
    for (name, property) in request["properties"].as_object().expect("properties") {
        let limits = [("minimum", -1), ("maximum", 1)].map(|(key, step)| (property[key].as_i64(), step));
        for (limit, step) in limits.into_iter().filter_map(|(limit, step)| Some((limit?, step))) {
            for (number, is_within) in [(limit, true), (limit + step, false)] {
                for value in [json!(number), json!(number.to_string())] {
                    let fields = vec![("to".to_owned(), json!("a@example.test")), (name.clone(), value)];
                    let check = smtp_check::check::Check::parse(fields, &settings());
                    assert_eq!(check.is_ok(), is_within, "{name}: {number}");
                }
            }
        }
    }
}
