//! The log of the program, when nobody reads it.

use std::io::Read;

use serde_json::{Value, json};

use super::support::{
    program::{ServiceProcess, WAIT_TIMEOUT, program},
    smtpd::{Script, SmtpServer},
    temp_dir::TempDir,
};

/// The number of dropped lines so far.
fn lost(served: &ServiceProcess) -> u64 {
    let metrics = served.get("/metrics", "");
    let count = metrics.lines().find_map(|line| line.strip_prefix("smtp_check_log_lines_lost_total "));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no figure: {metrics}"))
}

#[test]
fn a_log_that_nobody_reads_does_not_block_the_service() {
    let mut command = program(&["serve", "--listen=127.0.0.1:0"]);
    // More than the pipe and the queue of log lines can hold.
    command.env("RUST_LOG", "trace");
    let served = ServiceProcess::start_unread(command);
    while lost(&served) == 0 {
        assert!(served.get("/healthz", "").starts_with("HTTP/1.1 200 "));
    }
    served.signal("TERM");
    assert_eq!(served.end(), 0);
}

/// The next line of each kind; a live check may be answered before it ends.
fn checked_and_answered(served: &ServiceProcess) -> (Value, Value) {
    let lines = std::iter::repeat_with(|| served.log.recv_timeout(WAIT_TIMEOUT).expect("a line"));
    let lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    let mut found = (None, None);
    for line in lines {
        match line["message"].as_str() {
            Some("checked") => found.0 = Some(line),
            Some("answered") => found.1 = Some(line),
            _ => {}
        }
        if let (Some(checked), Some(answered)) = &found {
            return (checked.clone(), answered.clone());
        }
    }
    unreachable!("the lines never end")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_request_has_the_ids_of_its_check_and_of_its_trace() {
    let server = SmtpServer::serve(Script::compliant());
    let port = server.port();
    tokio::task::spawn_blocking(move || {
        let served =
            ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0", "--target-ports", &port.to_string()]));
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let traceparent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
        let check = json!({"target": "127.0.0.1", "port": port, "stop_after": "ehlo"});
        let (_, report) = served.post(&traceparent, &check);
        let checked = served.wait_for_log("checked");
        assert_eq!((&checked["id"], &checked["trace"]), (&report["id"], &json!(trace)));
        assert_eq!((&checked["target"], &checked["module"]), (&json!("127.0.0.1"), &json!("smtp_check::probe::log")));
        let answered = served.wait_for_log("answered");
        assert_eq!((&answered["id"], &answered["trace"]), (&report["id"], &json!(trace)), "{answered}");
        assert_eq!(answered.get("target"), None, "{answered}");
        // Live, by /probe, and refused: each is a check.
        let mut stream = served.start_check("Accept: text/event-stream\r\n", &check);
        stream.read_to_end(&mut Vec::new()).expect("events");
        let (checked, answered) = checked_and_answered(&served);
        assert_eq!(checked["id"], answered["id"]);
        assert_eq!(answered.get("trace"), None, "no trace: {answered}");
        served.get(&format!("/probe?target=127.0.0.1:{port}"), "");
        let (checked, answered) = checked_and_answered(&served);
        assert_eq!(checked["id"], answered["id"]);
        let (status, _) = served.post(&traceparent, &json!({"target": "127.0.0.1", "port": 1, "stop_after": "ehlo"}));
        assert_eq!(status, 403);
        let (refused, answered) = (served.wait_for_log("refused"), served.wait_for_log("answered"));
        assert_eq!((&refused["id"], &refused["target"]), (&answered["id"], &json!("127.0.0.1")));
        assert_eq!((&refused["trace"], &answered["trace"]), (&json!(trace), &json!(trace)));
        served.get("/healthz", "");
        assert_eq!(served.wait_for_log("answered").get("id"), None);
    })
    .await
    .expect("no panic");
}

/// A caller finds its request by the trace, whether a check ran or not.
#[test]
fn a_request_without_a_check_has_its_trace_in_the_log() {
    let scratch = TempDir::new();
    let digest = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8";
    let tokens = scratch.write("tokens", format!("monitoring:{digest}\n").as_bytes());
    let tokens = tokens.to_str().expect("UTF-8");
    let served = ServiceProcess::start(program(&["serve", "--listen=127.0.0.1:0", "--tokens-file", tokens]));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
    let with_token = format!("{traceparent}Authorization: Bearer alpha\r\n");
    for (path, headers, status) in [
        ("/probe?target=127.0.0.1&module=none", &with_token, 400),
        ("/probe?target=127.0.0.1", &traceparent, 401),
        ("/nothing", &with_token, 404),
        ("/metrics", &with_token, 200),
        ("/healthz", &traceparent, 200),
    ] {
        served.get(path, headers);
        let answered = served.wait_for_log("answered");
        assert_eq!((&answered["status"], &answered["trace"]), (&json!(status), &json!(trace)), "{answered}");
    }
    assert_eq!(served.post(&with_token, &json!({})).0, 422);
    assert_eq!(served.wait_for_log("answered")["trace"], json!(trace));
    // The specification says to ignore a malformed header.
    served.get("/healthz", "traceparent: of another form\r\n");
    assert_eq!(served.wait_for_log("answered").get("trace"), None);
}
