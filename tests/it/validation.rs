//! Validation: every invalid body and parameter is reported at its place, before any connection is made.

use std::net::TcpListener;

use axum::http::{HeaderValue, Request, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::{
    app::{TestApp, TestResponse},
    smtpd::{Script, SmtpServer},
};

/// A service, and a mail server that no request of these tests may reach.
struct Guarded {
    app: TestApp,
    /// Nothing is accepted here: a connection would wait in the backlog, and is found at the end.
    untouched: TcpListener,
}

impl Guarded {
    async fn start() -> Self {
        let untouched = TcpListener::bind("127.0.0.1:0").expect("a port");
        untouched.set_nonblocking(true).expect("settable");
        Self { app: TestApp::builder().max_body(64 * 1024).start().await, untouched }
    }

    /// A valid check, with these parameters added or replaced.
    fn parameters(&self, more: &Value) -> Value {
        let port = self.untouched.local_addr().expect("bound").port();
        let mut all = json!({"to": "a@example.test", "target": "127.0.0.1", "port": port, "timeout_ms": 500});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        all
    }

    async fn post(&self, more: Value) -> TestResponse {
        self.app.post(&self.parameters(&more)).await
    }

    async fn send(&self, content_type: Option<&'static str>, body: impl Into<Bytes>) -> TestResponse {
        let mut request = Request::post("/v1/checks/smtp").header("host", "test").body(Full::new(body.into()));
        let request = request.as_mut().expect("a request");
        if let Some(content_type) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        self.app.send(request.clone()).await
    }

    fn assert_untouched(&self) {
        assert!(self.untouched.accept().is_err(), "the target was connected to");
    }
}

#[track_caller]
fn assert_problem(answer: &TestResponse, status: u16, slug: &str) -> Value {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:smtp-check:problem:{slug}"));
    assert_eq!(problem["status"], status);
    problem
}

/// A string with this character in the middle, for each field that is sent to the server.
fn on_the_wire(character: char) -> Vec<(&'static str, Value)> {
    let c = character;
    vec![
        ("to", json!({"to": format!("a{c}b@example.test")})),
        ("to", json!({"to": format!("a@example{c}.test")})),
        ("to", json!({"to": format!("\"a{c}b\"@example.test")})),
        ("to", json!({"to": format!("a@example.test{c}")})),
        ("from", json!({"from": format!("a{c}b@example.test")})),
        ("from", json!({"from": format!("{c}")})),
        ("ehlo", json!({"ehlo": format!("mail{c}.example.test")})),
        ("ehlo", json!({"ehlo": format!("[127.0.0.1{c}]")})),
        ("target", json!({"target": format!("mail{c}.example.test")})),
        ("target", json!({"target": format!("127.0.0.1{c}")})),
        ("tls_server_name", json!({"starttls": true, "tls_server_name": format!("mail{c}.example.test")})),
        ("sasl_user", json!({"sasl_user": format!("pro{c}be")})),
        ("sasl_password", json!({"sasl_password": format!("open{c}sesame")})),
        ("sasl_auth_id", json!({"sasl_auth_id": format!("bo{c}ss")})),
        ("proxy_source_address", json!({"proxy_source_address": format!("192.0.2.1{c}")})),
        ("proxy_dest_address", json!({"proxy_dest_address": format!("192.0.2{c}.1")})),
        ("message/subject", json!({"message": {"subject": format!("a{c}b"), "html": "", "from": "a@b.test"}})),
        ("message/from", json!({"message": {"from": format!("a{c} <a@b.test>"), "html": ""}})),
        ("message/to", json!({"message": {"to": format!("{c}a@b.test"), "html": "", "from": "a@b.test"}})),
        ("message/reply_to", json!({"message": {"reply_to": format!("a@b.test{c}"), "html": "", "from": "a@b.test"}})),
        (
            "message/headers/X-A",
            json!({"message": {"headers": {"X-A": format!("a{c}b")}, "html": "", "from": "a@b.test"}}),
        ),
        ("proxy_source_address", json!({"proxy_version": 2, "proxy_source_address": format!("192.0.2.1{c}")})),
    ]
}

#[tokio::test]
async fn control_characters_are_rejected_in_every_field_sent_to_the_server() {
    let guarded = Guarded::start().await;
    let login = json!({"sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "p", "proxy_protocol": true});
    for character in ['\0', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}'] {
        for (field, parameters) in on_the_wire(character) {
            let mut all = login.clone();
            all.as_object_mut().expect("an object").extend(parameters.as_object().expect("an object").clone());
            let answer = guarded.post(all).await;
            assert_problem(&answer, 422, "invalid-parameters");
            assert_eq!(answer.pointers(), [format!("/{field}")], "{character:?} in {parameters}: {:?}", answer.body);
        }
    }
    for payload in ["a\rb", "\r", "a\r\r\nb", "a\0b", ".", "a\n.\nMAIL FROM:<>", "a\r\n.\r\nQUIT", ".\nb", "a\n."] {
        let answer = guarded.post(json!({"payload": payload})).await;
        assert_problem(&answer, 422, "invalid-parameters");
        assert_eq!(answer.pointers(), ["/payload"], "{payload:?}");
    }
    guarded.assert_untouched();
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_rejected_at_its_field() {
    let guarded = Guarded::start().await;
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).expect("JSON");
    let properties = document.pointer("/components/schemas/CheckRequest/properties").expect("the parameters");
    for (name, property) in properties.as_object().expect("properties") {
        let is = |kind: &str| property["type"][0] == kind;
        let mut wrong = vec![json!([]), json!({}), json!([25]), json!(-1), json!(0.5), json!(1e300), json!("\u{0}")];
        if !is("boolean") {
            wrong.extend([json!(true), json!(false)]);
        }
        if is("integer") {
            wrong.extend(
                ["", " ", "0x19", "+25", "-25", "2 5", "25.0", "1e2", "٢٥", "25\n", "99999999999999999999"]
                    .map(Value::from),
            );
        } else if is("boolean") {
            wrong.extend(["", "yes", "no", "1", "0", "TRUE", "On", " true"].map(Value::from));
            wrong.extend([json!(0), json!(1)]);
        }
        for value in wrong {
            // With this, no field is ignored.
            let mut all =
                json!({"proxy_protocol": true, "sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "p"});
            all["from"] = json!("a@b.test");
            all[name] = value.clone();
            let answer = guarded.post(all).await;
            assert_problem(&answer, 422, "invalid-parameters");
            assert_eq!(answer.pointers(), [format!("/{name}")], "{value}: {:?}", answer.body);
        }
    }
    guarded.assert_untouched();
}

#[tokio::test]
async fn strings_are_accepted_for_numbers_and_booleans() {
    let app = TestApp::start().await;
    let server = SmtpServer::serve(Script::compliant().expecting_proxy_header());
    let report = app
        .check(json!({
            "port": server.port().to_string(), "starttls": "off", "implicit_tls": "false", "transcript": "on",
            "proxy_protocol": "true", "proxy_version": "1", "proxy_source_port": "0", "proxy_dest_port": "0025",
            "proxy_source_address": "192.0.2.1", "proxy_dest_address": "192.0.2.2", "timeout_ms": "5000",
        }))
        .await;
    assert_eq!((&report["outcome"], report["transcript"].is_array()), (&json!("delivered"), true), "{report:#}");
    let header = server.next_session().await.proxy_header;
    assert_eq!(header.as_deref(), Some(&b"PROXY TCP4 192.0.2.1 192.0.2.2 0 25\r\n"[..]));
}

#[tokio::test]
async fn all_violations_are_in_one_response() {
    let guarded = Guarded::start().await;
    let answer = guarded
        .post(json!({
            "to": "nobody", "target": null, "port": 0, "ehlo": "", "from": "x", "starttls": "y", "sasl_authentication": "plain",
            "payload": "\r", "proxy_protocol": true, "proxy_source_address": " ", "tls_verify": "no", "ip_family": "5",
            "stop_after": "body", "timeout_ms": 99, "transcript": 1, "recipient": "a@b.test", "prot": 25, "a/b~c": 1,
        }))
        .await;
    let problem = assert_problem(&answer, 422, "invalid-parameters");
    let mut pointers = answer.pointers();
    pointers.sort();
    let expected = [
        "/a~1b~0c",
        "/ehlo",
        "/from",
        "/ip_family",
        "/payload",
        "/port",
        "/prot",
        "/proxy_source_address",
        "/recipient",
        "/sasl_password",
        "/sasl_user",
        "/starttls",
        "/stop_after",
        "/timeout_ms",
        "/tls_verify",
        "/to",
        "/transcript",
    ];
    assert_eq!(pointers, expected, "{problem:#}");
    assert_eq!(problem["detail"], format!("{} parameters are invalid", expected.len()));
    let prot = problem["errors"].as_array().expect("errors").iter().find(|error| error["pointer"] == "/prot");
    assert!(prot.is_some_and(|error| error["detail"].as_str().is_some_and(|detail| detail.contains("`port`"))));
    guarded.assert_untouched();
}

#[tokio::test]
async fn a_duplicate_parameter_is_rejected() {
    let guarded = Guarded::start().await;
    let good = guarded.parameters(&json!({})).to_string();
    for (more, pointers) in [
        (r#""to": "b@example.test""#, &["/to"][..]),
        (r#""port": null, "port": 25"#, &["/port", "/port"]),
        (r#""t\u006f": "b@example.test""#, &["/to"]),
        (r#""x": 1, "x": 1"#, &["/x", "/x"]),
    ] {
        let answer = guarded.send(Some("application/json"), good.replacen('}', &format!(", {more}}}"), 1)).await;
        assert_problem(&answer, 422, "invalid-parameters");
        assert_eq!(answer.pointers(), pointers, "{more}");
    }
    guarded.assert_untouched();
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_rejected() {
    let guarded = Guarded::start().await;
    let good = guarded.parameters(&json!({})).to_string();
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    for (body, status, slug) in [
        (String::new(), 400, "malformed-json"),
        (good[..good.len() - 1].to_owned(), 400, "malformed-json"),
        (good.clone() + "}", 400, "malformed-json"),
        (good.clone() + &good, 400, "malformed-json"),
        (format!("\u{feff}{good}"), 400, "malformed-json"),
        (good.replace('"', "'"), 400, "malformed-json"),
        (good.replace('}', ",}"), 400, "malformed-json"),
        (good.replace("500", "NaN"), 400, "malformed-json"),
        (good.replace("500", "0500"), 400, "malformed-json"),
        (format!("/* a check */{good}"), 400, "malformed-json"),
        (good.replace("a@", "a\n@"), 400, "malformed-json"),
        (good.replace("a@", "\\udfff@"), 400, "malformed-json"),
        (good.replace("500", &deep("[", "]")), 400, "malformed-json"),
        (good.replace("500", &deep("{\"a\":", "}").replace(":}", ":1}")), 400, "malformed-json"),
        (deep("[", ""), 400, "malformed-json"),
        ("null".to_owned(), 422, "invalid-parameters"),
        (format!("[{good}]"), 422, "invalid-parameters"),
        (json!(good).to_string(), 422, "invalid-parameters"),
        ("{}".to_owned(), 422, "invalid-parameters"),
    ] {
        let answer = guarded.send(Some("application/json"), body.clone()).await;
        let problem = assert_problem(&answer, status, slug);
        assert_eq!(problem.get("errors").is_some(), status == 422, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() < 200), "{problem}");
    }
    let latin1 = good.replace("a@", "\u{e4}@").chars().map(|character| character as u8).collect::<Vec<_>>();
    assert_problem(&guarded.send(Some("application/json"), latin1).await, 400, "malformed-json");
    // No level of it is parsed, however deep it is.
    let array = guarded.send(Some("application/json"), deep("[", "]")).await;
    assert!(array.status == 400 || array.status == 422, "{array:?}");
    guarded.assert_untouched();
}

#[tokio::test]
async fn a_body_without_json_content_type_is_rejected() {
    let guarded = Guarded::start().await;
    let good = guarded.parameters(&json!({})).to_string();
    for content_type in
        [None, Some(""), Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
    {
        assert_problem(&guarded.send(content_type, good.clone()).await, 415, "unsupported-media-type");
    }
    guarded.assert_untouched();
    let taken = guarded.send(Some("application/json;charset=UTF-8"), good).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(guarded.untouched.accept().is_ok(), "what the tests above ask for would have been seen");
}

#[tokio::test]
async fn a_body_over_the_limit_is_rejected_with_length_and_with_chunks() {
    const HEAD: &str =
        "POST /v1/checks/smtp HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let guarded = Guarded::start().await;
    let limit = 64 * 1024;
    let body = |length: usize| {
        let good = guarded.parameters(&json!({})).to_string();
        good.clone() + &" ".repeat(length - good.len())
    };
    let large = body(limit + 1);
    let chunks: String = large
        .as_bytes()
        .chunks(1000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)))
        .collect();
    for (what, request) in [
        ("announced and sent", format!("{HEAD}Content-Length: {}\r\n\r\n{large}", large.len())),
        ("announced, and nothing of it sent", format!("{HEAD}Content-Length: {}\r\n\r\n", 1_u64 << 40)),
        ("announced, asking first", format!("{HEAD}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")),
        ("in chunks", format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")),
        ("in chunks without an end", format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}")),
    ] {
        let mut caller = TcpStream::connect(guarded.app.addr()).await.expect("a connection");
        caller.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 413 "), "{what}: {answer}");
        assert!(
            answer.contains("urn:smtp-check:problem:payload-too-large") && answer.contains("65536 bytes"),
            "{answer}"
        );
    }
    guarded.assert_untouched();
    let at_the_limit = guarded.send(Some("application/json"), body(limit)).await;
    assert_eq!(at_the_limit.status, 200, "{at_the_limit:?}");
}

#[tokio::test]
async fn no_value_is_repeated_in_an_error() {
    let guarded = Guarded::start().await;
    for parameters in [
        json!({"sasl_authentication": "plain", "sasl_user": "u", "sasl_password": "hunter2\n"}),
        json!({"sasl_authentication": "plain", "sasl_user": "hunter2\0", "sasl_password": "hunter2\u{7f}"}),
        json!({"sasl_authentication": "hunter2", "sasl_password": ["hunter2"], "sasl_auth_id": {"hunter2": 1}}),
        json!({"port": "hunter2", "starttls": "hunter2", "stop_after": "hunter2", "timeout_ms": "hunter2"}),
        json!({"sasl_pasword": "hunter2", "to": "hunter2 ", "target": "hunter2 x", "ehlo": "hunter2\t", "from": "hunter2"}),
    ] {
        let answer = guarded.post(parameters.clone()).await;
        assert_problem(&answer, 422, "invalid-parameters");
        assert!(!String::from_utf8_lossy(&answer.body).contains("hunter2"), "{parameters}: {:?}", answer.body);
    }
    let malformed = guarded.send(Some("application/json"), r#"{"sasl_password": hunter2}"#).await;
    assert!(!String::from_utf8_lossy(&malformed.body).contains("hunter2"), "{malformed:?}");
    guarded.assert_untouched();
}

#[tokio::test]
async fn many_unknown_fields_get_a_short_response() {
    let guarded = Guarded::start().await;
    let many: serde_json::Map<String, Value> = (0..3000).map(|number| (format!("field{number}"), json!(1))).collect();
    let answer = guarded.post(Value::Object(many)).await;
    assert_problem(&answer, 422, "invalid-parameters");
    let long = guarded.post(json!({"x".repeat(50_000): 1})).await;
    assert_problem(&long, 422, "invalid-parameters");
    assert!(answer.body.len() < 8 * 1024 && long.body.len() < 1024, "{} {}", answer.body.len(), long.body.len());
    guarded.assert_untouched();
}
