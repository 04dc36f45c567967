//! [`Lookups`]: the DNS questions of one check, until its deadline.

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, timeout_at};

use crate::{
    mail_dns::{
        Answer, LookupFailure, Outcome, Proof, Question,
        lookups::{Answers, Step},
    },
    net::lookup::DnsSession,
};

/// Asks the questions of one check.
#[derive(Clone, Debug)]
pub(super) struct Lookups {
    session: DnsSession,
    deadline: Instant,
}

impl Lookups {
    pub(super) fn new(session: DnsSession, deadline: Instant) -> Self {
        Self { session, deadline }
    }

    /// The answer; that it did not come in time is one, too.
    pub(super) async fn ask(&self, question: &Question) -> Answer {
        let timed_out = || Answer {
            proof: Proof::Indeterminate,
            aliases: Vec::new(),
            outcome: Outcome::Failed(LookupFailure::TimedOut),
        };
        timeout_at(self.deadline, self.session.lookup(question)).await.unwrap_or_else(|_| timed_out())
    }

    /// Asks what a walk wants to know, side by side, until it is done.
    pub(super) async fn walk<T>(&self, mut next: impl FnMut(&Answers) -> Step<T>) -> T {
        let mut answers = Answers::default();
        loop {
            let questions = match next(&answers) {
                Step::Done(done) => return done,
                Step::Ask(questions) => questions,
            };
            let mut asked: FuturesUnordered<_> = questions
                .into_iter()
                .map(|question| async move {
                    let answer = self.ask(&question).await;
                    (question, answer)
                })
                .collect();
            while let Some((question, answer)) = asked.next().await {
                answers.insert(question, answer);
            }
        }
    }
}
