//! Traces: what a collector receives about a check.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    thread,
};

use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use serde_json::{Value, json};

use super::support::{
    collector::{Collector, texts},
    program::{ServiceProcess, program, stderr},
    smtpd::{Script, SmtpServer, Step},
    temp_dir::TempDir,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    texts(span.attributes.clone()).collect()
}

fn failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32)
}

/// Runs one check by a service that exports traces to a collector, ends both, and returns the report and what the
/// collector received.
async fn traced(headers: &str, parameters: Value) -> (Value, BTreeMap<String, String>, Vec<Span>) {
    traced_with(&[], headers, parameters).await
}

/// The same with these variables in its environment.
async fn traced_with(
    variables: &[(&str, &str)],
    headers: &str,
    parameters: Value,
) -> (Value, BTreeMap<String, String>, Vec<Span>) {
    let mut collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let mut command = program(&["serve", "--listen", "127.0.0.1:0", "--log-format=json", "--otlp-endpoint", &endpoint]);
    command.envs(variables.iter().copied());
    let served = ServiceProcess::start(command);
    let headers = headers.to_owned();
    let report = tokio::task::spawn_blocking(move || {
        let (_, report) = served.post(&headers, &parameters);
        // The rest is exported at shutdown.
        served.signal("TERM");
        assert_eq!(served.end(), 0);
        report
    });
    let report = report.await.expect("no panic");
    let (resource, spans) = collector.next().await;
    (report, resource, spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_and_its_phases_are_spans_of_the_callers_trace() {
    let server = SmtpServer::serve(Script::compliant());
    let headers = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\n");
    let parameters = json!({"to": "a@example.test", "target": "127.0.0.1", "port": server.port()});
    let (report, resource, spans) = traced(&headers, parameters).await;

    assert_eq!(resource["service.name"], "smtp-check");
    let check = spans.iter().find(|span| span.name == "smtp check").expect("the check's span");
    assert_eq!((hex(&check.trace_id), hex(&check.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    let facts = attributes(check);
    assert_eq!(facts["smtp_check.id"], report["id"].as_str().expect("an id"));
    assert_eq!((&*facts["smtp_check.outcome"], &*facts["server.port"]), ("delivered", &*server.port().to_string()));
    assert!(!failed(check));

    let phases = report["phases"].as_array().expect("phases");
    assert_eq!(spans.len(), 1 + phases.len());
    for phase in phases {
        let name = format!("smtp {}", phase["name"].as_str().expect("a name"));
        let span = spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"));
        assert_eq!((&span.trace_id, &span.parent_span_id), (&check.trace_id, &check.span_id), "{name}");
        let nanos = (span.end_time_unix_nano - span.start_time_unix_nano) as f64;
        let reported = phase["time_ms"].as_f64().expect("ended");
        assert!((nanos / 1e6 - reported).abs() < 0.002, "{name}: {nanos} ns, reported {reported} ms");
        if let Some(code) = phase["code"].as_u64() {
            assert_eq!(attributes(span)["smtp.reply.code"], code.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_marks_the_check_and_the_phase() {
    let server = SmtpServer::serve(Script::compliant().on(Step::RcptTo, "550 5.1.1 no such user\r\n"));
    let parameters = json!({"to": "a@example.test", "target": "127.0.0.1", "port": server.port()});
    // An invalid header is ignored.
    let (_, _, spans) = traced("traceparent: nonsense\r\n", parameters).await;
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"));
    let (check, phase) = (span("smtp check"), span("smtp rcptto"));
    assert!(check.parent_span_id.is_empty());
    for span in [check, phase] {
        assert!(failed(span), "{span:?}");
        assert_eq!(attributes(span)["error.type"], "rejected");
    }
    assert_eq!(attributes(phase)["smtp.reply.enhanced_code"], "5.1.1");
    assert!(!failed(span("smtp mailfrom")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_check_has_a_span() {
    let parameters = json!({"to": "a@example.test", "target": "169.254.169.254"});
    let (_, _, spans) = traced("", parameters).await;
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["smtp check"]);
    assert_eq!(attributes(&spans[0])["smtp_check.outcome"], "refused");
    assert!(failed(&spans[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn otel_variables_apply_unless_the_service_overrides_them() {
    let server = SmtpServer::serve(Script::compliant());
    let parameters = json!({"to": "a@example.test", "target": "127.0.0.1", "port": server.port()});
    let variables = [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0"),
        ("OTEL_SERVICE_NAME", "another"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let (_, resource, spans) = traced_with(&variables, "", parameters).await;
    assert_eq!(resource["service.name"], "smtp-check");
    assert!(spans.iter().all(|span| span.attributes.is_empty()), "{spans:?}");
}

/// Needs the right to become another user: the system does not limit the threads of root. Without it, there is nothing
/// to test.
#[test]
fn without_a_thread_for_the_exporter_the_service_says_so() {
    let id = Command::new("id").arg("-u").output().expect("`id` is there");
    if id.stdout != b"0\n" {
        return;
    }
    let folder = TempDir::new();
    let copy = folder.path().join("smtp-check");
    fs::copy(env!("CARGO_BIN_EXE_smtp-check"), &copy).expect("a copy that every user may start");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("ours");
    // The first thread, those of the runtime, and that of the log.
    let threads = 2 + thread::available_parallelism().expect("a number").get();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=64997", "--regid=64997", "--clear-groups", "prlimit", &format!("--nproc={threads}")]);
    command.arg(copy).args(["--listen=127.0.0.1:0", "--otlp-endpoint=http://127.0.0.1:9"]);
    let output = command.stdin(Stdio::null()).output().expect("`setpriv` is there");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--otlp-endpoint: the thread of the exporter does not start"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}
