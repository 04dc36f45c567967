//! A check as a stream of server-sent events (HTML Living Standard, section 9.2): each phase as it ends, and then the report.

use std::time::Duration;

use axum::{
    http::header::CACHE_CONTROL,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;
use tracing::Instrument;

use crate::{
    http::{problem::Problem, server::Running},
    phase::Phase,
    probe::{CheckJob, Probe},
    report::{PhaseEvent, PhaseListener, PhaseReport, PhaseStart, Report},
};

/// How often a stream says something, for those on the way who close what is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long the head of the answer waits for the check to connect. Names are mostly resolved in less; and whoever watches a slow name
/// server is to see that something is going on.
const HEAD: Duration = Duration::from_millis(500);

/// Runs a check and answers with its events.
///
/// The head of the answer waits until the check connects, if that is soon: nearly all that can refuse it lies before, and is told by
/// its status.
///
/// # Errors
/// The check was refused before that.
pub(super) async fn run(probe: Probe, order: CheckJob, running: Running) -> Result<Response, Problem> {
    let mut check = LiveCheck::begin(probe, order, running);
    let (mut told, head) = (Vec::new(), Instant::now() + HEAD);
    while let Ok(next) = timeout_at(head, check.next()).await {
        match next {
            LiveEvent::Refused(problem) => return Err(problem),
            next => told.push(next),
        }
        if let Some(LiveEvent::Began(PhaseStart { name: Phase::Connect, .. }) | LiveEvent::Report(_)) = told.last() {
            break;
        }
    }
    let is_over = matches!(told.last(), Some(LiveEvent::Report(_)));
    let rest = stream::unfold((!is_over).then_some(check), async |check| {
        let mut check = check?;
        let told = check.next().await;
        let is_over = matches!(told, LiveEvent::Report(_) | LiveEvent::Refused(_));
        Some((told, (!is_over).then_some(check)))
    });
    let events = stream::iter(told).chain(rest).map(LiveEvent::into_event);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    // nginx gathers an answer before it hands it on, unless it is told not to.
    let headers = [(CACHE_CONTROL.as_str(), "no-store"), ("x-accel-buffering", "no")];
    Ok((headers, Sse::new(events).keep_alive(keep_alive)).into_response())
}

/// A running check; dropped, it ends.
#[derive(Debug)]
struct LiveCheck {
    told: mpsc::UnboundedReceiver<LiveEvent>,
    _task: AbortOnDropHandle<()>,
}

/// What is told of a check.
#[derive(Debug)]
enum LiveEvent {
    Began(PhaseStart),
    Ended(PhaseReport),
    Report(Box<Report>),
    Refused(Problem),
}

impl LiveCheck {
    /// Runs the check in a task of its own, so that a caller who reads slowly doesn't slow it down. What is told is bounded by the
    /// number of phases and addresses, and so the channel need not be.
    fn begin(probe: Probe, order: CheckJob, running: Running) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let teller = sender.clone();
        // Whoever does not listen any more has hung up, and the check is about to end.
        let order = order.with_observer(PhaseListener::new(move |news| drop(teller.send(news.into()))));
        let check = async move {
            let _running = running;
            let last = match probe.oneshot(order).await {
                Ok(report) => LiveEvent::Report(Box::new(report)),
                Err(refusal) => LiveEvent::Refused(refusal.into()),
            };
            drop(sender.send(last));
        };
        Self { told, _task: AbortOnDropHandle::new(tokio::spawn(check.in_current_span())) }
    }

    /// What is told next. A check that ends without a last word has panicked.
    async fn next(&mut self) -> LiveEvent {
        self.told.recv().await.unwrap_or_else(|| LiveEvent::Refused(Problem::fault()))
    }
}

impl From<PhaseEvent> for LiveEvent {
    fn from(news: PhaseEvent) -> Self {
        match news {
            PhaseEvent::Began(start) => Self::Began(start),
            PhaseEvent::Ended(phase) => Self::Ended(phase),
        }
    }
}

impl LiveEvent {
    fn into_event(self) -> Result<Event, axum::Error> {
        let event = Event::default();
        match self {
            Self::Began(start) => event.event("begin").json_data(start),
            Self::Ended(phase) => event.event("phase").json_data(phase),
            Self::Report(report) => event.event("report").json_data(report),
            Self::Refused(problem) => event.event("problem").json_data(problem),
        }
    }
}

/// The stream that a report's check would have been, as the document shows it.
pub(super) fn example(report: &Value) -> String {
    let event = |name: &str, data: &Value| format!("event: {name}\ndata: {data}\n\n");
    let phases = report["phases"].as_array().into_iter().flatten().map(|phase| {
        let start = serde_json::json!({"name": phase["name"], "started_ms": phase["started_ms"]});
        event("begin", &start) + &event("phase", phase)
    });
    phases.chain([event("report", report)]).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use http_body_util::BodyExt;
    use tokio::sync::Notify;
    use tower::service_fn;

    use super::*;
    use crate::{check::Check, http::server::Lifecycle, probe::Refusal};

    /// An answer by a probe that tells these news, then waits so long, and then ends so.
    async fn answer(
        news: Vec<PhaseEvent>,
        wait: Duration,
        end: impl Fn() -> Refusal + Clone + Send + Sync + 'static,
    ) -> Result<Body, Problem> {
        let probe = Probe::new(service_fn(move |order: CheckJob| {
            let (news, end) = (news.clone(), end.clone());
            async move {
                let listener = order.listener.expect("somebody listens");
                news.into_iter().for_each(|news| listener.tell(news));
                tokio::time::sleep(wait).await;
                Err::<Report, _>(end())
            }
        }));
        let check =
            Check::parse(vec![("to".into(), "a@example.com".into())], Duration::from_secs(60)).expect("a check");
        let running = Lifecycle::default().begin().expect("open");
        run(probe, CheckJob::new(check), running).await.map(Response::into_body)
    }

    fn begin(name: Phase) -> PhaseEvent {
        PhaseEvent::Began(PhaseStart { name, started_ms: 0.5 })
    }

    fn panicking() -> Refusal {
        panic!("the password is hunter2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_kept_alive() {
        let begun = Instant::now();
        let body = answer(vec![begin(Phase::Connect)], Duration::from_secs(12), || Refusal::Internal).await;
        let mut body = body.expect("a stream");
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            let bytes = frame.expect("no error").into_data().expect("data");
            frames.push((begun.elapsed().as_secs(), String::from_utf8_lossy(&bytes).lines().next().map(str::to_owned)));
        }
        let expected = [(0, "event: begin"), (5, ": keep-alive"), (10, ": keep-alive"), (12, "event: problem")];
        assert_eq!(frames, expected.map(|(at, line)| (at, Some(line.to_owned()))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_waits_for_no_reader() {
        let over = Arc::new(Notify::new());
        let end = {
            let over = over.clone();
            move || {
                over.notify_one();
                Refusal::Internal
            }
        };
        let unread = answer(vec![begin(Phase::Connect)], Duration::from_secs(9), end).await.expect("a stream");
        over.notified().await;
        drop(unread);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_refused_before_it_connects_is_no_stream() {
        let news = vec![begin(Phase::Dns)];
        for (end, status) in [((|| Refusal::TargetBusy) as fn() -> Refusal, 429), (panicking, 500)] {
            let problem = answer(news.clone(), HEAD / 2, end).await.expect_err("refused");
            assert_eq!(problem.into_response().status(), status);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_slow_to_resolve_is_told_of_meanwhile() {
        let begun = Instant::now();
        let body = answer(vec![begin(Phase::Dns)], Duration::from_secs(9), || Refusal::TargetBusy).await;
        let body = body.expect("a stream");
        assert_eq!(begun.elapsed(), HEAD);
        let stream = body.collect().await.expect("no error").to_bytes();
        let stream = String::from_utf8_lossy(&stream);
        assert!(stream.starts_with("event: begin\ndata: {\"name\":\"dns\""), "{stream}");
        assert!(stream.contains("event: problem\n") && stream.contains("target-busy"), "{stream}");
    }

    #[tokio::test]
    async fn a_panic_in_the_middle_is_a_problem_that_tells_nothing() {
        let body = answer(vec![begin(Phase::Dns), begin(Phase::Connect)], Duration::ZERO, panicking).await;
        let stream = body.expect("a stream").collect().await.expect("no error").to_bytes();
        let stream = String::from_utf8_lossy(&stream);
        let events: Vec<_> = stream.lines().filter(|line| line.starts_with("event: ")).collect();
        assert_eq!(events, ["event: begin", "event: begin", "event: problem"]);
        assert!(stream.contains("urn:smtp-check:problem:internal") && !stream.contains("hunter2"), "{stream}");
    }
}
