//! [`SystemFiles`]: `/etc/resolv.conf` and `/etc/hosts`, read as glibc reads them, and again when they change.
//!
//! Octet by octet and line by line: a line that is of no use is passed over, and the others count.

mod hosts;
mod resolv_conf;

use std::{
    env, fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub(super) use self::hosts::HostsFile;
use super::{
    Configuration,
    servers::{NameServers, Options},
};
use crate::thread::run_blocking;

/// How old what was read may be. A change is seen after this time at the latest.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The system's two files, and what was last read of them.
#[derive(Debug)]
pub(super) struct SystemFiles {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    /// The value of RES_OPTIONS.
    variable: Vec<u8>,
    defaults: Options,
    state: Mutex<State>,
    /// Held while the files are read, so that what was read first is not what stays.
    reading: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    configuration: Arc<Configuration>,
    /// The versions of the files that it was read from; `None` before the first time.
    versions: Option<[Version; 2]>,
    /// When the files were last looked at.
    checked: Option<Instant>,
    is_reading: bool,
}

/// What changes with a file: device, inode, size, and the times of the last change; `None` if it cannot be read.
type Version = Option<(u64, u64, u64, [i64; 4])>;

impl SystemFiles {
    pub(super) fn open(defaults: Options) -> Self {
        let variable = env::var_os("RES_OPTIONS").unwrap_or_default().into_vec();
        Self::at("/etc/resolv.conf", "/etc/hosts", variable, defaults)
    }

    fn at(resolv_conf: impl Into<PathBuf>, hosts: impl Into<PathBuf>, variable: Vec<u8>, defaults: Options) -> Self {
        let (state, reading) = Default::default();
        let files = Self { resolv_conf: resolv_conf.into(), hosts: hosts.into(), variable, defaults, state, reading };
        files.refresh();
        files
    }

    /// What the files say now. While they are being read, other callers get what was read before.
    pub(super) async fn configuration(self: Arc<Self>) -> Arc<Configuration> {
        if self.begin_reading() {
            let files = self.clone();
            // A panic while reading leaves what was read before.
            run_blocking("resolv.conf", move || files.refresh()).await;
        }
        self.state().configuration.clone()
    }

    fn begin_reading(&self) -> bool {
        let mut state = self.state();
        let is_recent = state.checked.is_some_and(|checked| checked.elapsed() < CHECK_INTERVAL);
        let begins = !is_recent && !state.is_reading;
        state.is_reading |= begins;
        begins
    }

    /// Reads both files again at once, whether they seem changed or not. It blocks.
    pub(super) fn reload(&self) {
        self.read(true);
        let configuration = self.state().configuration.clone();
        let servers = configuration.servers.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ");
        tracing::info!(
            resolv_conf = %self.resolv_conf.display(),
            hosts = %self.hosts.display(),
            servers,
            "the system's DNS servers and hosts file read again"
        );
    }

    /// Reads the files that have changed.
    fn refresh(&self) {
        self.read(false);
    }

    fn read(&self, all: bool) {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the reading: a change that comes in between is seen the next time.
        let versions = [&self.resolv_conf, &self.hosts].map(version);
        let (before, last) = {
            let state = self.state();
            (state.versions.filter(|_| !all), state.configuration.clone())
        };
        let is_new = |index: usize| before.as_ref().is_none_or(|before| before[index] != versions[index]);
        let servers = is_new(0).then(|| self.read_servers(before.is_some()));
        let hosts = is_new(1).then(|| Arc::new(HostsFile::parse(&read(&self.hosts, "it counts as empty"))));
        let mut state = self.state();
        if servers.is_some() || hosts.is_some() {
            state.configuration = Arc::new(Configuration {
                servers: servers.unwrap_or_else(|| last.servers.clone()),
                hosts: hosts.unwrap_or_else(|| last.hosts.clone()),
            });
        }
        state.versions = Some(versions);
        state.checked = Some(Instant::now());
        state.is_reading = false;
    }

    fn read_servers(&self, is_reload: bool) -> Arc<NameServers> {
        let text = read(&self.resolv_conf, "the DNS server is 127.0.0.1");
        let servers = resolv_conf::name_servers(&text);
        let options = resolv_conf::options(&text, &self.variable, self.defaults);
        if is_reload {
            let servers = servers.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ");
            tracing::info!(servers, "the system's DNS servers read again");
        }
        Arc::new(NameServers::new(&servers, options))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file's octets; none if it cannot be read.
fn read(path: &PathBuf, consequence: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error: io::Error| {
        tracing::warn!(file = %path.display(), %error, "cannot be read: {consequence}");
        Vec::new()
    })
}

fn version(path: &PathBuf) -> Version {
    let is = fs::metadata(path).ok()?;
    let times = [is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()];
    Some((is.dev(), is.ino(), is.size(), times))
}

/// The line up to a NUL, as a C string is read.
fn c_string(line: &[u8]) -> &[u8] {
    line.split(|octet| *octet == 0).next().unwrap_or_default()
}

/// The name servers of a `resolv.conf`. For the oracles of `tests/fuzz`, and for the comparison with glibc.
#[doc(hidden)]
pub fn name_servers(resolv_conf: &[u8]) -> Vec<SocketAddr> {
    resolv_conf::name_servers(resolv_conf)
}

/// The addresses of a name in a hosts file, for the same purpose.
#[doc(hidden)]
pub fn host_addresses(hosts: &[u8], name: &str) -> Vec<IpAddr> {
    HostsFile::parse(hosts).addresses(name)
}

#[cfg(test)]
mod tests;
