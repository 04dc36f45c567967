//! Memory that callers make the service hold. With the program itself; `benches/memory` has more, and worse.

use std::{convert::Infallible, fs, net::SocketAddr};

use axum::body::{Body, Bytes};
use futures_util::stream::{self, StreamExt};
use hyper::{Request, StatusCode, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet};

use super::support::program::{ServiceProcess, program};

const CONNECTIONS: usize = 128;
/// Of each connection, as many as the service allows or fewer.
const STREAMS: usize = 30;
/// Bytes of a body that come. The rest does not.
const BEGUN_SIZE: usize = 120_000;
/// 32 MiB of the budget for other than checks, and what the connections and their streams take themselves. It is 65 to
/// 85 MiB in all; without the budget, 700 MiB.
const MAX_GROWTH_KIB: u64 = 128 * 1024;

/// A figure of `/proc/<pid>/status`, in KiB.
fn memory(served: &ServiceProcess, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", served.id())).expect("the process lives");
    let figure = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
    figure.and_then(|figure| figure.parse().ok()).expect("a figure in kB")
}

type Answers = JoinSet<Option<StatusCode>>;

async fn begin_bodies(address: SocketAddr, answers: &mut Answers) {
    let tcp = TcpStream::connect(address).await.expect("it listens");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await;
    let (sender, connection) = handshake.expect("a connection");
    tokio::spawn(connection);
    for _ in 0..STREAMS {
        let begun = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; BEGUN_SIZE]))]);
        let request =
            Request::post(format!("http://{address}/v1/checks/smtp")).header("content-type", "application/json");
        let request = request.body(Body::from_stream(begun.chain(stream::pending()))).expect("a request");
        let mut sender = sender.clone();
        answers.spawn(async move { sender.send_request(request).await.ok().map(|response| response.status()) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_end_take_no_more_than_the_budget_over_http2() {
    let arguments = ["--listen=127.0.0.1:0", "--max-checks=1", "--max-connections=200", "--body-timeout=3s"];
    let served = ServiceProcess::start(program(&arguments));
    let before = memory(&served, "VmRSS:");
    let mut answers = Answers::new();
    for _ in 0..CONNECTIONS {
        begin_bodies(served.address, &mut answers).await;
    }
    // Each is refused, reset or timed out.
    let answers = answers.join_all().await;
    assert!(answers.iter().all(|status| !status.is_some_and(|status| status.is_success())), "{answers:?}");
    let growth = memory(&served, "VmHWM:") - before;
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB");
    assert!(served.get("/healthz", "").starts_with("HTTP/1.1 200 "));
}
