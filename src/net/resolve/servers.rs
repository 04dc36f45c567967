//! [`NameServers`]: the name servers, queried one after the other, and the hosts file.

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

/// One resolver for each server: hickory's own pool of servers takes the first SERVFAIL or REFUSED as the answer,
/// although another server may have one.
#[derive(Debug)]
pub(super) struct NameServers {
    servers: Vec<TokioResolver>,
    hosts: Hosts,
    /// How long one server is waited for before the next one is queried too.
    server_timeout: Duration,
}

impl NameServers {
    pub(super) fn system(server_timeout: Duration) -> Result<Self, NetError> {
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
        Self::build(servers, hosts, server_timeout)
    }

    pub(super) fn new(servers: &[SocketAddr], server_timeout: Duration) -> Result<Self, NetError> {
        let servers = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        Self::build(servers.collect(), Hosts::default(), server_timeout)
    }

    pub(super) fn build(
        servers: Vec<NameServerConfig>,
        hosts: Hosts,
        server_timeout: Duration,
    ) -> Result<Self, NetError> {
        let options = options(server_timeout);
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
        Ok(Self { servers: servers?, hosts, server_timeout })
    }

    /// The records of the answer, CNAMEs followed; none if the name has none of this type.
    ///
    /// After a failure the next server is queried instead; after the server timeout the next one is queried too, and
    /// the answer of the slow one still counts. The second round is for lost packets, not for servers that failed.
    ///
    /// # Errors
    /// The last failure of a server, or a timeout.
    pub(super) async fn query(&self, name: &HostName, record_type: RecordType) -> Result<Vec<RData>, ResolveError> {
        let first_round = self.servers.len();
        let mut turns = 0..MAX_ROUNDS * first_round;
        let mut queries = JoinSet::new();
        let mut failure: Option<ResolveError> = None;
        loop {
            let turn = turns.next().filter(|turn| *turn < first_round || failure.is_none());
            if let Some(turn) = turn {
                let server = self.servers[turn % first_round].clone();
                queries.spawn(query_one(server, name.clone(), record_type));
            }
            let answered = match timeout(self.server_timeout, queries.join_next()).await {
                Ok(answered) => answered,
                // All were queried; some failed, and the others do not answer.
                Err(_) if turn.is_none() && failure.is_some() => None,
                Err(_) => continue,
            };
            let Some(answered) = answered else {
                return Err(failure.unwrap_or_else(|| ResolveError::Timeout { name: name.to_string() }));
            };
            // A query that panicked counts as one without an answer.
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

const MAX_ROUNDS: usize = 2;

/// Concurrent queries on one TCP connection. All checks share it.
const MAX_TCP_QUERIES: usize = 4096;

/// The timeout of a query, in server timeouts: longer than a recursive server needs for a slow delegation. The check's
/// own deadline is usually earlier.
const QUERY_TIMEOUT_FACTOR: u32 = 10;

fn options(server_timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = server_timeout * QUERY_TIMEOUT_FACTOR;
    options.attempts = 0;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = false;
    options.max_active_requests = MAX_TCP_QUERIES;
    options
}

async fn query_one(server: TokioResolver, name: HostName, record_type: RecordType) -> Result<Vec<RData>, ResolveError> {
    let lookup = async { server.lookup(absolute(&name)?, record_type).await };
    match lookup.await {
        Ok(answer) => Ok(answer.answers().iter().map(|record| record.data.clone()).collect()),
        Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code: ResponseCode::NoError, .. }))) => {
            Ok(Vec::new())
        }
        Err(error) => Err(ResolveError::new(&name, &error)),
    }
}

/// The name as an absolute one, built from its labels: [`Name`]'s own parser would apply escapes and IDNA rules.
fn absolute(name: &HostName) -> Result<Name, ProtoError> {
    Name::from_labels(name.as_str().split('.').map(str::as_bytes))
}
