//! A check as a stream of server-sent events.

use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, header::ACCEPT, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use super::app::{TestApp, TestResponse, with_defaults};

/// Timeout for each event.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

/// A live check. Dropping it disconnects.
pub(crate) struct Events {
    pub(crate) headers: HeaderMap,
    body: Incoming,
    unread: Vec<u8>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Events {
    /// Requests the events of a check. Parameters: see [`with_defaults`].
    ///
    /// # Errors
    /// The response that came instead of a stream.
    pub(crate) async fn of(app: &TestApp, parameters: Value) -> Result<Self, TestResponse> {
        Self::of_path(app, "/v1/checks/smtp", &with_defaults(parameters)).await
    }

    /// Requests the events of a check by this path.
    ///
    /// # Errors
    /// The response that came instead of a stream.
    pub(crate) async fn of_path(app: &TestApp, path: &str, parameters: &Value) -> Result<Self, TestResponse> {
        let stream = TcpStream::connect(app.addr()).await.expect("a connection");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        let connection = tokio::spawn(connection);
        let request = Request::builder().method(Method::POST).uri(path).header("host", "test");
        let request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "text/event-stream");
        let body = Full::<Bytes>::from(parameters.to_string());
        let answer = sender.send_request(request.body(body).expect("a request"));
        let (head, body) = timeout(WAIT_TIMEOUT, answer).await.expect("in time").expect("an answer").into_parts();
        let (status, headers) = (head.status, head.headers);
        if headers[CONTENT_TYPE] != "text/event-stream" {
            let body = body.collect().await.expect("a body").to_bytes();
            return Err(TestResponse { status, headers, body });
        }
        assert_eq!(status, 200);
        Ok(Self { headers, body, unread: Vec::new(), connection })
    }

    /// The next event: name and data; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.unread.drain(..end + 2).collect();
                let event = String::from_utf8(event).expect("UTF-8");
                if event.starts_with(':') {
                    continue;
                }
                let lines: Vec<&str> = event.trim_end().lines().collect();
                let [name, data] = lines[..] else { panic!("neither name nor data: {event:?}") };
                let name = name.strip_prefix("event: ").expect("a name").to_owned();
                let data = data.strip_prefix("data: ").expect("data");
                return Some((name, serde_json::from_str(data).expect("JSON")));
            }
            let frame = timeout(WAIT_TIMEOUT, self.body.frame()).await.expect("an event in time");
            let Some(frame) = frame else {
                assert!(self.unread.is_empty(), "half an event");
                return None;
            };
            self.unread.extend_from_slice(&frame.expect("no error").into_data().unwrap_or_default());
        }
    }

    /// All remaining events.
    pub(crate) async fn rest(mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The data of all events with this name, as an array.
pub(crate) fn named(events: &[(String, Value)], name: &str) -> Value {
    events.iter().filter(|(event, _)| event == name).map(|(_, data)| data).cloned().collect::<Vec<_>>().into()
}

/// The report at the end of the stream, whose phases are those of the phase events.
#[track_caller]
pub(crate) fn report_of(events: &[(String, Value)]) -> Value {
    let Some((last, report)) = events.last() else { panic!("no event") };
    assert_eq!(last, "report", "{report:#}");
    assert_eq!(named(events, "report"), json!([report]));
    assert_eq!(named(events, "phase"), report["phases"], "{report:#}");
    report.clone()
}
