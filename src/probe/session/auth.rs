//! AUTH in a session: the work of a mechanism, and what of the exchange is shown.

use std::sync::{Arc, LazyLock, Mutex};

use tokio::{sync::Semaphore, time::timeout_at};

use super::Session;
use crate::{
    phase::Phase,
    report::{Cause, Failure, FailureKind},
    smtp::{
        Action, Command, Dialogue, Reply,
        sasl::exchange::{Computed, Work},
    },
    thread::run_blocking,
};

/// The code of a challenge (RFC 4954, section 4).
const CHALLENGE: u16 = 334;

/// How many threads compute at the same time, for all checks together: each of them holds a core, and the servers
/// choose for how long.
const MAX_COMPUTING: usize = 2;

static COMPUTING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MAX_COMPUTING)));

impl Session<'_> {
    /// Does the work of a mechanism in a thread of its own: it would hold up all other checks for its time. A thread
    /// whose check has ended goes on until the work is done, which takes a second at most.
    pub(super) async fn compute(
        &mut self,
        dialogue: &mut Dialogue<'_>,
        phase: Phase,
        work: Box<Work>,
    ) -> Result<Action, Failure> {
        // Boxed: few checks have such a future.
        let computed = timeout_at(self.deadline, Box::pin(compute(&COMPUTING, work))).await.map_err(|_| {
            let message = "no time left for the iterations of PBKDF2 that the server asked for";
            Failure::new(phase, FailureKind::Timeout, message).with_cause(Some(Cause::NoTimeToCompute))
        })?;
        let judged = dialogue.computed(computed);
        Ok(self.apply(phase, judged))
    }

    /// Masks what a SASL response bears from the moment that it is sent, when the server can echo it.
    pub(super) fn mask_from(&mut self, command: &Command) {
        if let Some(response) = command.response() {
            self.mask = std::mem::take(&mut self.mask).and(response.mask());
            self.hides_challenges |= response.hides_challenges();
        }
    }

    /// The reply without secrets.
    pub(super) fn shown(&self, reply: &Reply) -> Reply {
        if self.hides_challenges && reply.coded_lines().any(|(code, _)| code.value() == CHALLENGE) {
            return reply.by_size();
        }
        reply.masked(&self.mask)
    }

    /// The lines of an unfinished reply without secrets.
    pub(super) fn shown_lines(&self, lines: &str) -> String {
        if self.hides_challenges && lines.lines().any(|line| line.starts_with("334")) {
            return format!("334 ({} octets)", lines.len());
        }
        self.mask.apply(lines)
    }
}

/// The result of the work, once there is a place for it; `None` if it failed.
async fn compute(places: &Arc<Semaphore>, work: Box<Work>) -> Option<Computed> {
    let place = places.clone().acquire_owned().await.ok()?;
    // The place is the thread's: a check that has ended gives it up no sooner.
    let work = Mutex::new(Some((work, place)));
    let run = move || {
        let (work, _place) = work.lock().ok()?.take()?;
        work.run()
    };
    run_blocking("sasl", run).await.flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::{Engine, engine::general_purpose::STANDARD};
    use tokio::time::timeout;

    use super::*;
    use crate::{
        secret::Secret,
        smtp::{
            Credentials, Mechanism, MechanismChoice,
            sasl::{Exchange, Next},
        },
    };

    fn work(iterations: u32) -> Box<Work> {
        let credentials = Credentials {
            mechanism: MechanismChoice::Only(Mechanism::ScramSha256),
            user: "user".to_owned(),
            password: Secret::new("pencil".to_owned()),
            authorization_id: String::new(),
            initial_response: true,
        };
        let mut exchange = Exchange::new(&credentials, Mechanism::ScramSha256);
        let first = exchange.initial_response().expect("a response");
        let first = String::from_utf8(STANDARD.decode(first.line().expose()).expect("base64")).expect("UTF-8");
        let nonce = first.rsplit_once("r=").expect("a nonce").1;
        let message = STANDARD.encode(format!("r={nonce}x,s=c2FsdA==,i={iterations}"));
        let Next::Compute(work) = exchange.challenge(Some(&message)) else { panic!("no work") };
        work
    }

    #[tokio::test]
    async fn a_place_is_taken_until_its_thread_is_done() {
        let places = Arc::new(Semaphore::new(1));
        let cut_off = timeout(Duration::from_millis(5), compute(&places, work(60_000))).await;
        assert!(cut_off.is_err(), "the check has ended");
        assert_eq!(places.available_permits(), 0, "its thread goes on");
        assert!(timeout(Duration::from_millis(1), compute(&places, work(1))).await.is_err(), "no place");
        assert!(compute(&places, work(1)).await.is_some(), "a place again");
    }
}
