//! [`Transport`]: the name servers of a [`Resolver`] for hickory's validator, with a memory for one check.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_util::{Stream, stream};
use hickory_resolver::{
    net::{NetError, runtime::TokioRuntimeProvider, xfer::DnsHandle},
    proto::{
        op::{DnsRequest, DnsResponse, Message},
        rr::{Name, RecordType},
    },
};
use tokio::sync::{OnceCell, Semaphore};

use crate::net::resolve::{QueryFlags, ResolveError, Resolver};

type Key = (Name, RecordType, QueryFlags);
type Response = Result<Message, ResolveError>;

/// Questions of one check that are remembered. It asks no more than some hundreds, a hostile domain included.
const MAX_REMEMBERED: usize = 2048;

/// Asks the servers. Clones share what is remembered.
#[derive(Clone, Debug)]
pub(super) struct Transport(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    resolver: Resolver,
    /// Limits the questions that are asked at the same time.
    sockets: Arc<Semaphore>,
    /// The keys of a zone are needed for each of its names.
    answered: Mutex<HashMap<Key, Arc<OnceCell<Response>>>>,
    has_failures: AtomicBool,
}

impl Transport {
    pub(super) fn new(resolver: Resolver, sockets: usize) -> Self {
        Self(Arc::new(Inner {
            resolver,
            sockets: Arc::new(Semaphore::new(sockets)),
            answered: Mutex::default(),
            has_failures: AtomicBool::new(false),
        }))
    }

    /// The response of the first server that has one.
    pub(super) async fn message(&self, name: &Name, record_type: RecordType, flags: QueryFlags) -> Response {
        let key = (name.to_lowercase(), record_type, flags);
        let cell = {
            let mut answered = self.0.answered.lock().unwrap_or_else(PoisonError::into_inner);
            if answered.len() >= MAX_REMEMBERED && !answered.contains_key(&key) {
                Arc::default()
            } else {
                answered.entry(key).or_default().clone()
            }
        };
        let ask = || self.0.resolver.message(name, record_type, flags, &self.0.sockets);
        cell.get_or_init(ask).await.clone()
    }

    /// Whether a question of the validator had no answer.
    pub(super) fn has_failures(&self) -> bool {
        self.0.has_failures.load(Relaxed)
    }

    /// The response to a question of the validator.
    async fn for_validator(self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        let Some(query) = request.queries.first() else { return Err(NetError::Message("no question")) };
        let flags = QueryFlags { dnssec_ok: true, checking_disabled: true };
        let answered = self.message(query.name(), query.query_type(), flags).await;
        let Ok(message) = answered else {
            self.0.has_failures.store(true, Relaxed);
            return Err(NetError::Message("no answer"));
        };
        Ok(DnsResponse::from_message(message)?)
    }
}

impl DnsHandle for Transport {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        Box::pin(stream::once(self.clone().for_validator(request)))
    }
}
