//! The name servers, asked one after the other, and the hosts file.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        ProtoError,
        op::{Query, ResponseCode},
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};

use tokio::{task::JoinSet, time::timeout};

use super::error::ResolveError;
use crate::destination::HostName;

/// One resolver for each server: hickory's own pool of servers takes the first SERVFAIL or REFUSED for the answer, although
/// another server may know.
#[derive(Debug)]
pub(super) struct Servers {
    servers: Vec<TokioResolver>,
    hosts: Hosts,
    /// How long one server is asked alone.
    patience: Duration,
}

impl Servers {
    pub(super) fn system(patience: Duration) -> Result<Self, NetError> {
        let servers = match read_system_conf() {
            Ok((config, _)) => config.name_servers,
            Err(error) => {
                tracing::warn!(%error, "the system names no DNS server");
                Vec::new()
            }
        };
        let hosts = Hosts::from_system().unwrap_or_else(|error| {
            tracing::warn!(%error, "the hosts file cannot be read");
            Hosts::default()
        });
        Self::build(servers, hosts, patience)
    }

    pub(super) fn new(servers: &[SocketAddr], patience: Duration) -> Result<Self, NetError> {
        let servers = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        Self::build(servers.collect(), Hosts::default(), patience)
    }

    pub(super) fn build(servers: Vec<NameServerConfig>, hosts: Hosts, patience: Duration) -> Result<Self, NetError> {
        let options = options(patience);
        let mut groups: Vec<_> = servers.into_iter().map(|server| vec![server]).collect();
        if groups.is_empty() {
            // A resolver without any server still knows `localhost` (RFC 6761, section 6.3).
            groups.push(Vec::new());
        }
        let servers: Result<_, NetError> = groups
            .into_iter()
            .map(|group| {
                let config = ResolverConfig::from_name_servers(group);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                    .with_options(options.clone())
                    .build()
            })
            .collect();
        Ok(Self { servers: servers?, hosts, patience })
    }

    /// The records of the answer, CNAMEs followed; none if the name has none of this type.
    ///
    /// A server that fails is passed over for the next, and one that says nothing for a while is asked along with the next: slow is
    /// not silent, so its answer still counts. A second round is for packets that got lost, not for servers that failed.
    pub(super) async fn ask(&self, name: &HostName, record_type: RecordType) -> Result<Vec<RData>, ResolveError> {
        let first_round = self.servers.len();
        let mut turns = 0..ROUNDS * first_round;
        let mut questions = JoinSet::new();
        let mut failure: Option<ResolveError> = None;
        loop {
            let turn = turns.next().filter(|turn| *turn < first_round || failure.is_none());
            if let Some(turn) = turn {
                let server = self.servers[turn % first_round].clone();
                questions.spawn(ask_one(server, name.clone(), record_type));
            }
            let answered = match timeout(self.patience, questions.join_next()).await {
                Ok(answered) => answered,
                // All were asked; some failed, and the others say nothing.
                Err(_) if turn.is_none() && failure.is_some() => None,
                Err(_) => continue,
            };
            let Some(answered) = answered else {
                return Err(failure.unwrap_or_else(|| ResolveError::Timeout { name: name.to_string() }));
            };
            // A question that panicked is as good as one without an answer.
            match answered.unwrap_or_else(|_| Err(ResolveError::Timeout { name: name.to_string() })) {
                Ok(records) => return Ok(records),
                Err(error) if !error.is_temporary() => return Err(error),
                Err(ResolveError::Timeout { .. }) => {}
                Err(error) => failure = Some(error),
            }
        }
    }

    /// The addresses of this host in the hosts file.
    pub(super) fn hosts_file(&self, host: &HostName) -> Vec<IpAddr> {
        let Ok(name) = absolute(host) else {
            return Vec::new();
        };
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|record_type| {
                let query = Query::query(name.clone(), record_type);
                self.hosts.lookup_static_host(&query)
            })
            .flat_map(|found| found.answers().to_vec())
            .filter_map(|record| record.data.ip_addr())
            .collect()
    }
}

const ROUNDS: usize = 2;

/// Queries under way on one TCP connection. Checks share it, so it is to hold those of all checks that run.
const MAX_QUERIES_ON_TCP: usize = 4096;

/// So many times the patience, and a question is given up. Longer than a recursive server takes over a slow delegation; the check's own
/// deadline is mostly earlier.
const LONGEST_ANSWER: u32 = 10;

fn options(patience: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = patience * LONGEST_ANSWER;
    options.attempts = 0;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = false;
    options.max_active_requests = MAX_QUERIES_ON_TCP;
    options
}

async fn ask_one(server: TokioResolver, name: HostName, record_type: RecordType) -> Result<Vec<RData>, ResolveError> {
    let lookup = async { server.lookup(absolute(&name)?, record_type).await };
    match lookup.await {
        Ok(answer) => Ok(answer.answers().iter().map(|record| record.data.clone()).collect()),
        Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code: ResponseCode::NoError, .. }))) => {
            Ok(Vec::new())
        }
        Err(error) => Err(ResolveError::new(&name, &error)),
    }
}

/// The name with the dot of the root behind it, label by label: [`Name`]'s own parser has escapes and IDNA rules of its own.
fn absolute(name: &HostName) -> Result<Name, ProtoError> {
    Name::from_labels(name.as_str().split('.').map(str::as_bytes))
}
