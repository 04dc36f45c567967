//! A real Prometheus, and its promtool.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use axum::http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use url::form_urlencoded::byte_serialize;

use super::{port::Port, temp_dir::TempDir};

/// Timeout for what depends on scrapes, of which there are several per second.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval between two queries: a scrape sends no notification.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The shipped files.
pub(crate) fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// A sample: its labels and its value.
pub(crate) type Sample = (BTreeMap<String, String>, f64);

/// A Prometheus with the shipped files, except for addresses and intervals. Dropping it ends it.
pub(crate) struct Prometheus {
    child: Child,
    port: u16,
    home: TempDir,
}

impl Prometheus {
    /// Scrapes this service with this token, and probes these of the shipped targets, each at a local address.
    pub(crate) async fn start(service: &str, token: &str, targets: &[(&str, &str)]) -> Self {
        let (home, port) = (TempDir::new(), Port::new().number());
        let settings = fs::read_to_string(shipped().join("prometheus.yml")).expect("it is shipped");
        // The timeout of a check is half a second below that of the scrape.
        let settings = [("smtp-check:2580", service), (": 15s", ": 200ms"), (": 1m", ": 1s"), (": 30s", ": 1s")]
            .into_iter()
            .fold(settings, |settings, (shipped, ours)| {
                assert!(settings.contains(shipped), "{shipped} is no longer in it");
                settings.replace(shipped, ours)
            });
        home.write("prometheus.yml", settings.as_bytes());
        home.write("token", token.as_bytes());
        home.write("targets.yml", moved(targets).as_bytes());
        fs::copy(shipped().join("rules.yml"), home.path().join("rules.yml")).expect("it is shipped");
        let log = fs::File::create(home.path().join("log")).expect("a file");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", home.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus, which tests/install brings");
        let prometheus = Self { child, port, home };
        let ready = async {
            while prometheus.get("/-/ready").await.is_none_or(|(status, _)| status != 200) {
                sleep(POLL_INTERVAL).await;
            }
        };
        let started = timeout(WAIT_TIMEOUT, ready).await;
        assert!(started.is_ok(), "{}", prometheus.log());
        prometheus
    }

    /// The current value of this expression.
    ///
    /// # Errors
    /// The error message of Prometheus.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<Sample>, String> {
        let query: String = byte_serialize(expression.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={query}")).await;
        let (_, body) = answer.unwrap_or_else(|| panic!("it is gone: {}", self.log()));
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        match answer["data"]["result"].as_array() {
            Some(samples) => Ok(samples.iter().map(sample).collect()),
            None => Err(answer["error"].to_string()),
        }
    }

    /// Waits until this expression has samples.
    pub(crate) async fn eventually(&self, expression: &str) -> Vec<Sample> {
        let found = async {
            loop {
                let samples = self.query(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"));
                if !samples.is_empty() {
                    break samples;
                }
                sleep(POLL_INTERVAL).await;
            }
        };
        let found = timeout(WAIT_TIMEOUT, found).await;
        found.unwrap_or_else(|_| panic!("{expression} gives nothing: {}", self.log()))
    }

    async fn get(&self, path: &str) -> Option<(u16, Bytes)> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header("host", "test").body(Full::<Bytes>::default()).expect("a request");
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        connection.abort();
        Some((status, body))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The shipped list of targets, with those examples enabled that have a local address here.
fn moved(targets: &[(&str, &str)]) -> String {
    if targets.is_empty() {
        return "[]".to_owned();
    }
    let shipped = fs::read_to_string(shipped().join("targets.yml")).expect("it is shipped");
    targets.iter().fold(shipped, |list, (theirs, ours)| {
        let line = list.lines().find(|line| line.contains(theirs)).unwrap_or_else(|| panic!("{theirs} is not in it"));
        list.replace(line, &line.trim_start_matches('#').replace(theirs, ours))
    })
}

fn sample(sample: &Value) -> Sample {
    let labels = sample["metric"].as_object().expect("labels").iter();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    (labels.collect(), sample["value"][1].as_str().and_then(|value| value.parse().ok()).expect("a number"))
}

/// Runs promtool on the shipped files, or on a text.
pub(crate) fn promtool(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(shipped())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which tests/install brings");
    child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}
