//! Tests with real mail servers, Prometheus and Chromium. `tests/run` leaves `real::` out where they cannot be
//! installed.

mod certificates;
mod dkim;
mod docs;
mod domain;
mod exim;
mod explanations;
mod fixtures;
mod glibc;
mod lmtp;
mod odd_certificates;
mod postfix;
mod prometheus;
mod promtool;
mod reproduce;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::support::{
    mta::{HOST, PASSWORD, USER},
    pki::{Ca, Leaf, PemFiles},
    temp_dir::TempDir,
};

/// A server's certificate as files, and its authority.
struct Certificate {
    ca: Ca,
    files: PemFiles,
    _directory: TempDir,
}

impl Certificate {
    /// A valid one, for the name of every server here.
    fn valid() -> Self {
        Self::of(Leaf::for_name(HOST))
    }

    fn of(leaf: Leaf) -> Self {
        let (ca, directory) = (Ca::new("smtp-check test CA"), TempDir::new());
        let files = ca.issue(leaf).write_pem(directory.path());
        Self { ca, files, _directory: directory }
    }
}

/// The members of both objects; those of the second one win.
fn with(mut parameters: Value, more: Value) -> Value {
    let (Value::Object(all), Value::Object(more)) = (&mut parameters, more) else { panic!("two objects") };
    all.extend(more);
    parameters
}

/// The parameters to log in as the known user, by STARTTLS, with a transcript.
fn login(port: u16, mechanism: &str) -> Value {
    json!({
        "port": port, "starttls": true, "tls_server_name": HOST, "transcript": true,
        "sasl_authentication": mechanism, "sasl_user": USER, "sasl_password": PASSWORD,
    })
}

/// The failure of a report: phase, kind, `temporary`, code and enhanced code.
fn rejection(report: &Value) -> Value {
    let failure = &report["failure"];
    json!([failure["phase"], failure["kind"], failure["temporary"], failure["code"], failure["enhanced_code"]])
}

/// The lines that the client wrote.
fn client_lines(report: &Value) -> Vec<&str> {
    let lines = report["transcript"].as_array().expect("a transcript").iter();
    lines.filter(|line| line["from"] == "client").filter_map(|line| line["text"].as_str()).collect()
}

fn metric_names(report: &Value) -> Vec<&str> {
    report["metrics"].as_object().expect("metrics").keys().map(String::as_str).collect()
}

/// Phases that failed or never ended.
fn not_ok(report: &Value) -> Vec<&str> {
    let phases = report["phases"].as_array().expect("phases").iter();
    phases.filter(|phase| phase["ok"] != true).filter_map(|phase| phase["name"].as_str()).collect()
}

/// No form of the password is anywhere in the report.
fn assert_no_secret(report: &Value, password: &str) {
    let text = report.to_string();
    let plain = |identity: &str| STANDARD.encode(format!("{identity}\0{USER}\0{password}"));
    for secret in [password.to_owned(), STANDARD.encode(password), plain(""), plain(USER), plain("someone")] {
        assert!(!text.contains(&secret), "{secret}: {report:#}");
    }
}
