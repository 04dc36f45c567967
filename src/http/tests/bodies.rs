//! Request bodies: which are accepted, and how the others are refused.

use super::*;

#[tokio::test]
async fn an_encoded_body_is_refused() {
    let mut encoded = json_body("{}");
    encoded.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_problem(&answer(test_routes(app_state()), encoded).await, 415, "unsupported-media-type");
}

#[tokio::test]
async fn deep_and_huge_json_is_refused() {
    let size = 1 << 20;
    let large = || {
        let limits = BodyLimits::new(size, Duration::from_secs(20), ByteBudget::new(100, size));
        test_routes(AppState { body_limits: limits, ..app_state() })
    };
    let many: String = (0..80_000).map(|number| format!("\"k{number}\":1,")).collect();
    for (body, status, slug) in [
        ("[".repeat(100_000) + &"]".repeat(100_000), 422, "invalid-parameters"),
        ("[".repeat(100_000), 400, "malformed-json"),
        ("{\"a\":".repeat(size / 5 - 1), 400, "malformed-json"),
        (format!("{{\"to\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)), 400, "malformed-json"),
        (format!("{{{many}\"k\":1}}"), 422, "invalid-parameters"),
        (format!("{{{}\"a\":1}}", "\"a\":1,".repeat(100)), 422, "invalid-parameters"),
        (" ".repeat(size + 1), 413, "payload-too-large"),
    ] {
        let problem = assert_problem(&answer(large(), json_body(body)).await, status, slug);
        assert!(problem.to_string().len() < 1000, "a short answer");
    }
    let max = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(99));
    assert_eq!(answer(large(), json_body(max)).await.0.status, 200);
}

#[tokio::test]
async fn a_body_needs_a_json_content_type() {
    for (content_type, good) in [
        (Some("application/json"), true),
        (Some("Application/JSON; charset=utf-8"), true),
        (Some("application/vnd.check+json"), true),
        (None, false),
        (Some("text/plain"), false),
        (Some("application/x-www-form-urlencoded"), false),
        (Some("text/json"), false),
    ] {
        let mut request = request(Method::POST, "/echo").body(Body::from("{}")).expect("a request");
        if let Some(content_type) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let answer = answer(test_routes(app_state()), request).await;
        if good {
            assert_eq!(answer.0.status, 200, "{content_type:?}");
        } else {
            let problem = assert_problem(&answer, 415, "unsupported-media-type");
            assert!(
                problem["detail"].as_str().is_some_and(|detail| detail.contains("`Content-Type: application/json`"))
            );
        }
    }
}

#[tokio::test]
async fn malformed_json_is_refused_with_line_and_column() {
    let deep = format!("{{\"to\":{}}}", "[".repeat(400));
    for (body, place) in [
        ("", "line 1 column 0"),
        ("{\n \"to\": }", "line 2 column 8"),
        ("{} {}", "line 1 column 4"),
        ("{\"port\": 1e999}", "line 1 column 14"),
        ("{'to': 1}", "line 1 column 2"),
        (&deep, "recursion limit exceeded at line 1"),
        ("{\"to\": \"\\ud800\"}", "line 1"),
        ("{\"to\": \"\u{1}\"}", "line 1"),
    ] {
        let problem =
            assert_problem(&answer(test_routes(app_state()), json_body(body.to_owned())).await, 400, "malformed-json");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(place), "{body}: {detail}");
    }
    let not_utf8 = answer(test_routes(app_state()), json_body(&b"{\"to\": \"\xff\"}"[..])).await;
    assert_problem(&not_utf8, 400, "malformed-json");
}

#[tokio::test]
async fn json_that_is_not_an_object_is_refused() {
    for (body, kind) in [
        ("[1, [2]]", "an array"),
        ("null", "null"),
        ("1", "a number"),
        ("-1.5", "a number"),
        ("\"x\"", "a string"),
        ("true", "a boolean"),
    ] {
        let problem =
            assert_problem(&answer(test_routes(app_state()), json_body(body)).await, 422, "invalid-parameters");
        assert_eq!(problem["errors"], json!([{"pointer": "", "detail": format!("must be an object, not {kind}")}]));
    }
}

#[test]
fn members_keep_their_order_and_their_duplicates() {
    let JsonObject(members) = JsonObject::parse(br#" {"to": "a", "port": 25, "to": null} "#).expect("an object");
    assert_eq!(
        members,
        [("to".to_owned(), json!("a")), ("port".to_owned(), json!(25)), ("to".to_owned(), Value::Null)]
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let body = |length: usize| format!("{{\"to\":\"{}\"}}", "x".repeat(length - 9));
    assert_eq!(answer(test_routes(app_state()), json_body(body(MAX_BODY_SIZE))).await.0.status, 200);
    let problem = assert_problem(
        &answer(test_routes(app_state()), json_body(body(MAX_BODY_SIZE + 1))).await,
        413,
        "payload-too-large",
    );
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("1000 bytes")), "{problem}");

    // By its `Content-Length`: the body is never read.
    let unread = Body::from_stream(
        tokio_test::stream_mock::StreamMockBuilder::<Result<&str, std::io::Error>>::new().wait(Duration::MAX).build(),
    );
    let mut declared = json_body(unread);
    declared.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1001"));
    assert_problem(&answer(test_routes(app_state()), declared).await, 413, "payload-too-large");
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_times_out_or_is_refused_while_draining() {
    let slow = || {
        let chunks = tokio_test::stream_mock::StreamMockBuilder::<Result<&str, std::io::Error>>::new();
        json_body(Body::from_stream(chunks.wait(Duration::from_secs(6)).build()))
    };
    let started = tokio::time::Instant::now();
    let refused = answer(test_routes(app_state()), slow()).await;
    assert_problem(&refused, 408, "request-timeout");
    assert_eq!(refused.0.headers["connection"], "close");
    assert_eq!(started.elapsed().as_secs(), 5);

    let app_state = app_state();
    app_state.lifecycle.drain();
    let started = tokio::time::Instant::now();
    assert_problem(&answer(test_routes(app_state), slow()).await, 503, "shutting-down");
    assert_eq!(started.elapsed(), Duration::ZERO);
}
