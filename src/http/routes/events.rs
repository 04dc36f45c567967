//! A check as a stream of server-sent events (HTML Living Standard, section 9.2): what is known while it runs, then the
//! report.

use std::time::Duration;

use axum::{
    http::header::CACHE_CONTROL,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;
use tracing::Instrument;

use crate::{
    domain::{DomainEvent, DomainJob, DomainListener, DomainProbe},
    http::{json::to_json, problem::Problem, server::Running},
    phase::Phase,
    probe::{CheckJob, Probe, Refusal},
    report::{PhaseEvent, PhaseListener, PhaseStart, domain::AddressReport},
};

/// Time between comments, for proxies that close silent connections.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Time that the head of the response waits for the check to connect. Most names resolve in less; with a slow name
/// server, the caller shall see the events.
const HEAD_TIMEOUT: Duration = Duration::from_millis(500);

/// What a caller learns of a check that still runs.
pub(super) trait Progress: Send + 'static {
    /// Whether the head of the response waits for no more: a refusal after it is rare.
    fn is_enough(&self) -> bool;

    /// The event that the caller receives.
    fn into_sse(self) -> serde_json::Result<Event>;
}

/// Runs a check and responds with its events. See [`run`].
///
/// # Errors
/// The check was refused while the head of the response waited.
pub(super) async fn run_check(probe: Probe, job: CheckJob, running: Running) -> Result<Response, Problem> {
    let start = |events: EventSender<_, _>| {
        let listener = PhaseListener::new(move |event| events.send(event));
        probe.oneshot(job.with_observer(listener))
    };
    run(start, running, ()).await
}

/// Runs the check of a domain and responds with its events. See [`run`]. `kept` lives as long as they do.
///
/// # Errors
/// The check was refused while the head of the response waited.
pub(super) async fn run_domain_check(
    probe: DomainProbe,
    job: DomainJob,
    running: Running,
    kept: impl Send + 'static,
) -> Result<Response, Problem> {
    let start = |events: EventSender<_, _>| {
        let listener = DomainListener::new(move |event| events.send(event));
        probe.oneshot(DomainJob { listener: Some(listener), ..job })
    };
    run(start, running, kept).await
}

/// Runs what `start` makes of the channel for its events, and responds with these.
///
/// The head of the response waits for the first events, up to [`HEAD_TIMEOUT`]: nearly all refusals come before, and so
/// get a status of their own. `kept` lives as long as the stream.
///
/// # Errors
/// The check was refused in that time.
async fn run<E, R, F>(
    start: impl FnOnce(EventSender<E, R>) -> F,
    running: Running,
    kept: impl Send + 'static,
) -> Result<Response, Problem>
where
    E: Progress,
    R: Serialize + Send + 'static,
    F: Future<Output = Result<R, Refusal>> + Send + 'static,
{
    let mut check = LiveCheck::start(start, running);
    let (mut first, deadline) = (Vec::new(), Instant::now() + HEAD_TIMEOUT);
    while let Ok(event) = timeout_at(deadline, check.next()).await {
        if let LiveEvent::Refused(problem) = event {
            return Err(problem);
        }
        let is_enough = event.is_last() || matches!(&event, LiveEvent::Progress(progress) if progress.is_enough());
        first.push(event);
        if is_enough {
            break;
        }
    }
    let is_over = first.last().is_some_and(LiveEvent::is_last);
    let rest = stream::unfold((!is_over).then_some(check), async |check| {
        let mut check = check?;
        let event = check.next().await;
        let is_last = event.is_last();
        Some((event, (!is_last).then_some(check)))
    });
    let events = stream::iter(first).chain(rest).map(move |event| {
        let _kept = &kept;
        event.into_sse()
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL).text("keep-alive");
    // nginx buffers responses unless this header forbids it.
    let headers = [(CACHE_CONTROL.as_str(), "no-store"), ("x-accel-buffering", "no")];
    Ok((headers, Sse::new(events).keep_alive(keep_alive)).into_response())
}

/// A running check. Dropped, it ends.
#[derive(Debug)]
struct LiveCheck<E, R> {
    events: mpsc::UnboundedReceiver<LiveEvent<E, R>>,
    _task: AbortOnDropHandle<()>,
}

/// An event of a running check.
#[derive(Debug)]
enum LiveEvent<E, R> {
    Progress(E),
    Report(Box<R>),
    Refused(Problem),
}

/// Takes the events of a running check.
#[derive(Debug)]
struct EventSender<E, R>(mpsc::UnboundedSender<LiveEvent<E, R>>);

impl<E, R> EventSender<E, R> {
    /// Sending fails only after the caller has closed the connection, and then the check is ended.
    fn send(&self, event: E) {
        self.0.send(LiveEvent::Progress(event)).ok();
    }
}

impl<E, R> LiveCheck<E, R>
where
    E: Progress,
    R: Serialize + Send + 'static,
{
    /// Runs the check in a task of its own, so that a slow reader does not slow it down. The number of phases,
    /// addresses and records bounds the number of events, so the channel needs no bound.
    fn start<F>(start: impl FnOnce(EventSender<E, R>) -> F, running: Running) -> Self
    where
        F: Future<Output = Result<R, Refusal>> + Send + 'static,
    {
        let (sender, events) = mpsc::unbounded_channel();
        let check = start(EventSender(sender.clone()));
        let check = async move {
            let _running = running;
            let last = match check.await {
                Ok(report) => LiveEvent::Report(Box::new(report)),
                Err(refusal) => LiveEvent::Refused(refusal.into()),
            };
            drop(sender.send(last));
        };
        Self { events, _task: AbortOnDropHandle::new(tokio::spawn(check.in_current_span())) }
    }

    /// The next event. A check that ends without a report or a refusal has panicked.
    async fn next(&mut self) -> LiveEvent<E, R> {
        self.events.recv().await.unwrap_or_else(|| LiveEvent::Refused(Problem::internal()))
    }
}

impl<E: Progress, R: Serialize> LiveEvent<E, R> {
    fn is_last(&self) -> bool {
        matches!(self, Self::Report(_) | Self::Refused(_))
    }

    fn into_sse(self) -> serde_json::Result<Event> {
        match self {
            Self::Progress(progress) => progress.into_sse(),
            Self::Report(report) => event("report", &report),
            Self::Refused(problem) => event("problem", &problem),
        }
    }
}

fn event(name: &str, data: &impl Serialize) -> serde_json::Result<Event> {
    Ok(Event::default().event(name).data(to_json(data)?))
}

impl Progress for PhaseEvent {
    /// When it connects, the check has passed the target's policy and limits.
    fn is_enough(&self) -> bool {
        matches!(self, Self::Began(PhaseStart { name: Phase::Connect, .. }))
    }

    fn into_sse(self) -> serde_json::Result<Event> {
        match self {
            Self::Began(start) => event("begin", &start),
            Self::Ended(phase) => event("phase", &phase),
        }
    }
}

/// A member of the report's `dns` is known.
#[derive(Debug, Serialize)]
struct RecordEvent {
    name: &'static str,
    value: Value,
}

/// An address is done: an element of `addresses`, with its host.
#[derive(Debug, Serialize)]
struct ServerEvent {
    host: String,
    #[serde(flatten)]
    address: Box<AddressReport>,
}

impl Progress for DomainEvent {
    /// A domain is refused before anything is looked up.
    fn is_enough(&self) -> bool {
        true
    }

    fn into_sse(self) -> serde_json::Result<Event> {
        match self {
            Self::Record { name, value } => event("record", &RecordEvent { name, value }),
            Self::Server { host, address } => event("server", &ServerEvent { host, address }),
        }
    }
}

/// The stream of the check that this report is from, for the document.
pub(super) fn example(report: &Value) -> String {
    let event = |name: &str, data: &Value| format!("event: {name}\ndata: {data}\n\n");
    let phases = report["phases"].as_array().into_iter().flatten().map(|phase| {
        let start = serde_json::json!({"name": phase["name"], "started_ms": phase["started_ms"]});
        event("begin", &start) + &event("phase", phase)
    });
    phases.chain([event("report", report)]).collect()
}

/// The stream of the check of a domain that this report is from, for the document.
pub(super) fn domain_example(report: &Value) -> String {
    let event = |name: &str, data: &Value| format!("event: {name}\ndata: {data}\n\n");
    let records = report["dns"].as_object().into_iter().flatten();
    let records = records.map(|(name, value)| event("record", &serde_json::json!({"name": name, "value": value})));
    let servers = report["hosts"].as_array().into_iter().flatten().flat_map(|host| {
        host["addresses"].as_array().into_iter().flatten().map(move |address| {
            let mut server = address.clone();
            server["host"] = host["name"].clone();
            event("server", &server)
        })
    });
    records.chain(servers).chain([event("report", report)]).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use http_body_util::BodyExt;
    use tokio::sync::Notify;
    use tower::service_fn;

    use super::*;
    use crate::{
        check::{Check, CheckSettings},
        http::server::Lifecycle,
        report::Report,
    };

    /// The response with a probe that emits these events, then waits, then ends so.
    async fn response(
        events: Vec<PhaseEvent>,
        wait: Duration,
        end: impl Fn() -> Refusal + Clone + Send + Sync + 'static,
    ) -> Result<Body, Problem> {
        let probe = Probe::new(service_fn(move |job: CheckJob| {
            let (events, end) = (events.clone(), end.clone());
            async move {
                let listener = job.listener.expect("a listener");
                events.into_iter().for_each(|event| listener.tell(event));
                tokio::time::sleep(wait).await;
                Err::<Report, _>(end())
            }
        }));
        let check =
            Check::parse(vec![("to".into(), "a@example.com".into())], &CheckSettings::new(Duration::from_secs(60)))
                .expect("a check");
        let running = Lifecycle::default().begin().expect("open");
        run_check(probe, CheckJob::new(check), running).await.map(Response::into_body)
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
        let body = response(vec![begin(Phase::Connect)], Duration::from_secs(12), || Refusal::Internal).await;
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
    async fn a_slow_reader_does_not_delay_the_check() {
        let over = Arc::new(Notify::new());
        let end = {
            let over = over.clone();
            move || {
                over.notify_one();
                Refusal::Internal
            }
        };
        let unread = response(vec![begin(Phase::Connect)], Duration::from_secs(9), end).await.expect("a stream");
        over.notified().await;
        drop(unread);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_refused_before_it_connects_is_no_stream() {
        let events = vec![begin(Phase::Dns)];
        for (end, status) in [((|| Refusal::TargetBusy) as fn() -> Refusal, 429), (panicking, 500)] {
            let problem = response(events.clone(), HEAD_TIMEOUT / 2, end).await.expect_err("refused");
            assert_eq!(problem.into_response().status(), status);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_name_server_does_not_delay_the_first_event() {
        let begun = Instant::now();
        let body = response(vec![begin(Phase::Dns)], Duration::from_secs(9), || Refusal::TargetBusy).await;
        let body = body.expect("a stream");
        assert_eq!(begun.elapsed(), HEAD_TIMEOUT);
        let stream = body.collect().await.expect("no error").to_bytes();
        let stream = String::from_utf8_lossy(&stream);
        assert!(stream.starts_with("event: begin\ndata: {\"name\":\"dns\""), "{stream}");
        assert!(stream.contains("event: problem\n") && stream.contains("target-busy"), "{stream}");
    }

    #[tokio::test]
    async fn a_panic_in_the_middle_is_a_problem_without_its_message() {
        let body = response(vec![begin(Phase::Dns), begin(Phase::Connect)], Duration::ZERO, panicking).await;
        let stream = body.expect("a stream").collect().await.expect("no error").to_bytes();
        let stream = String::from_utf8_lossy(&stream);
        let events: Vec<_> = stream.lines().filter(|line| line.starts_with("event: ")).collect();
        assert_eq!(events, ["event: begin", "event: begin", "event: problem"]);
        assert!(stream.contains("urn:smtp-check:problem:internal") && !stream.contains("hunter2"), "{stream}");
    }
}
