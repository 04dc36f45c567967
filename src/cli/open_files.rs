//! [`Capacity`]: how many checks and connections the open files of the process are enough for.

use crate::{
    config::ServeSettings,
    net::resolve::{MAX_SOCKETS, OWN_SOCKETS},
    telemetry,
};

/// Connections beyond `--max-connections`, for the health routes.
const RESERVED_CONNECTIONS: usize = 32;
/// Files that are open apart from connections: the listener, the log, what the runtime needs, files that are read
/// again; and the spare sockets that few checks have among them.
const OWN_FILES: usize = 24 + MAX_SOCKETS;
/// Files of a check, on average: half of the checks may be resolving a name with their own sockets, the others have one
/// connection to their mail server, and for two checks there is a spare socket.
const FILES_PER_CHECK: usize = OWN_SOCKETS.div_ceil(2) + 1;

/// Numbers of checks and connections at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) checks: usize,
    pub(super) connections: usize,
    pub(super) reserved_connections: usize,
}

impl Capacity {
    /// What the settings ask for, limited to the files that may be open: beyond them a check would fail for want of a
    /// socket, and no connection could be accepted.
    pub(super) fn of(settings: &ServeSettings) -> Self {
        let wanted = Self {
            checks: settings.max_checks as usize,
            connections: settings.max_connections() as usize,
            reserved_connections: RESERVED_CONNECTIONS,
        };
        let limit = match telemetry::raise_open_files() {
            Ok(limit) => limit,
            Err(error) => {
                tracing::warn!(%error, "the limit on open files stays as it is");
                return wanted;
            }
        };
        let capacity = wanted.within(usize::try_from(limit).unwrap_or(usize::MAX));
        let Self { checks, connections, .. } = capacity;
        if checks < wanted.checks || connections < wanted.connections {
            tracing::warn!(
                limit,
                checks,
                connections,
                "too few open files for --max-checks and --max-connections together, they are limited"
            );
        } else {
            tracing::debug!(limit, "open files");
        }
        capacity
    }

    /// Checks get no more than half of the files.
    fn within(self, open_files: usize) -> Self {
        let open_files = open_files.saturating_sub(OWN_FILES);
        let checks = self.checks.min(open_files / 2 / FILES_PER_CHECK).max(1);
        let for_callers = open_files.saturating_sub(checks.saturating_mul(FILES_PER_CHECK));
        let reserved_connections = self.reserved_connections.min(for_callers / 4).max(1);
        let connections = self.connections.min(for_callers.saturating_sub(reserved_connections)).max(1);
        Self { checks, connections, reserved_connections }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_and_connections_fit_into_the_open_files() {
        let wanted = |checks| Capacity { checks, connections: 4096, reserved_connections: RESERVED_CONNECTIONS };
        assert_eq!(wanted(1024).within(1 << 20), wanted(1024));
        for (open_files, max_checks) in [(1024, 1024), (64, 1024), (64, 2), (4000, 1024), (4000, 10)] {
            let Capacity { checks, connections, reserved_connections } = wanted(max_checks).within(open_files);
            let files = OWN_FILES + checks * FILES_PER_CHECK + connections + reserved_connections;
            assert!(files <= open_files, "{open_files} files, {max_checks} checks");
            assert!((1..=max_checks).contains(&checks) && connections > reserved_connections);
        }
        assert_eq!(wanted(10).within(4000).checks, 10);
        assert_eq!(wanted(1024).within(0), Capacity { checks: 1, connections: 1, reserved_connections: 1 });
    }
}
