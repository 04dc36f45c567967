//! A server process with a directory. Both are removed when the test drops it, or dies.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Timeout for a server to start, to log or to deliver. It takes milliseconds; the rest is for a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Interval between two looks at a file that another process writes.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How often a server is restarted with other ports before the test fails.
const ATTEMPTS: u32 = 5;

/// Runs the server in a session of its own. A watcher in another session waits for the end of standard input, which
/// comes when the test drops its end or dies. Then it kills the server with all its children and removes the directory;
/// twice, because a dying process can still write a file.
const LEASH: &str = r#"
dir=$1; shift
exec 3<&0
setsid /bin/sh -c '
    read -r _
    kill -s KILL -- "-$1" "$1"
    rm -rf -- "$2" || { sleep 0.1; rm -rf -- "$2"; }
' watcher "$$" "$dir" <&3 3<&- >/dev/null 2>&1 &
exec setsid "$@" </dev/null >"$dir/output" 2>&1 3<&-
"#;

/// The server did not become ready: it ended, for example because another process took one of its ports, or it closed
/// the connection of a client, as Postfix once did on a busy machine.
#[derive(Debug)]
pub(crate) struct Ended {
    story: String,
}

/// A directory of one server, filled with the same modes whatever the umask is. Removed on drop.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
}

impl Home {
    /// Creates an empty directory that other users can enter: the servers drop root.
    pub(super) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            // Short, because the path of a Unix socket has at most 107 bytes; open to the servers' users; and without a
            // space that would end a word in their settings. TMPDIR need not be any of these.
            let path = Path::new("/tmp").join(format!("{name}-{}-{count}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {
                    let home = Self { path };
                    home.open_to(&home.path, 0o755, None);
                    return home;
                }
                // A process with the same id had it, before the machine lost power.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("no directory for {name} in {}: {error}", path.display()),
            }
        }
    }

    /// A path in the directory.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A path in the directory, as text for a configuration file.
    pub(super) fn text(&self, name: &str) -> String {
        self.join(name).display().to_string()
    }

    /// Creates a directory in it, with its parents, for an owner and group by number (root where none is given).
    pub(super) fn dir(&self, name: &str, mode: u32, owner: Option<(u32, u32)>) {
        let path = self.join(name);
        fs::create_dir_all(&path).expect("a directory in the server's own");
        self.open_to(&path, mode, owner);
    }

    /// Writes a file of root that everybody can read.
    pub(super) fn file(&self, name: &str, content: &str) {
        let path = self.join(name);
        fs::write(&path, content).expect("a file in the server's directory");
        // Postfix reads a file again until it is two seconds old.
        let past = SystemTime::now() - Duration::from_secs(60);
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(past))
            .expect("the time of a file that was just made");
        self.open_to(&path, 0o644, None);
    }

    fn open_to(&self, path: &Path, mode: u32, owner: Option<(u32, u32)>) {
        let (user, group) = owner.unwrap_or((0, 0));
        chown(path, Some(user), Some(group))
            .expect("the mail servers have users of their own, so these tests run as root");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode of a path that was just made");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Usually the watcher has removed it: see LEASH.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A running server.
#[derive(Debug)]
pub(super) struct Daemon {
    process: Mutex<Child>,
    log: PathBuf,
    home: Home,
}

impl Daemon {
    /// Starts `program`, which must stay in the foreground and write the file `log` of its directory.
    pub(super) fn start(home: Home, log: &str, program: &Path, args: &[&str]) -> Self {
        assert!(
            program.exists(),
            "{} is missing: run tests/run, which installs the mail servers by tests/install",
            program.display()
        );
        let process = Command::new("/bin/sh")
            .args(["-c", LEASH, "leash"])
            .arg(&home.path)
            .arg(program)
            .args(args)
            .current_dir("/")
            .stdin(Stdio::piped())
            .spawn()
            .expect("/bin/sh");
        Self { process: Mutex::new(process), log: home.join(log), home }
    }

    /// A path in the directory of the server.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Waits until the log of the server has `ready`: then it has bound its ports.
    pub(super) async fn ready(&self, ready: &str) -> Result<(), Ended> {
        self.wait_for(&format!("the log line {ready:?}"), || {
            if self.read_log().contains(ready) {
                Some(Ok(()))
            } else if self.has_ended() {
                Some(Err(Ended { story: self.story() }))
            } else {
                None
            }
        })
        .await
    }

    /// The first complete line of the log that contains `needle`.
    pub(super) async fn wait_for_log(&self, needle: &str) -> String {
        self.wait_for_log_lines(needle, 1).await.remove(0)
    }

    /// The first `count` complete lines of the log that contain `needle`.
    pub(super) async fn wait_for_log_lines(&self, needle: &str, count: usize) -> Vec<String> {
        self.wait_for(&format!("log line {count} with {needle:?}"), || {
            let log = self.read_log();
            let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.contains(needle));
            let found: Vec<_> = lines.take(count).map(|line| line.trim_end().to_owned()).collect();
            (found.len() == count).then_some(found)
        })
        .await
    }

    /// Connects to a port and waits for the first byte of the greeting, so that the first check meets a server that is
    /// warm.
    pub(super) async fn wait_for_greeting(&self, port: u16) -> Result<(), Ended> {
        let greeting = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            stream.read_u8().await
        };
        match tokio::time::timeout(WAIT_TIMEOUT, greeting).await {
            Ok(Ok(b'2')) => Ok(()),
            other => Err(Ended { story: format!("\nport {port} gave {other:?} for a greeting{}", self.story()) }),
        }
    }

    /// Waits for a change that only the server can make. Panics with the log when the server has ended, or after the
    /// timeout.
    pub(super) async fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        // The system's clock: a test can have paused tokio's.
        let deadline = Instant::now() + WAIT_TIMEOUT;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(!self.has_ended(), "the server ended while the test waited for {what}{}", self.story());
            assert!(Instant::now() < deadline, "waited {WAIT_TIMEOUT:?} in vain for {what}{}", self.story());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn has_ended(&self) -> bool {
        let mut process = self.process.lock().expect("nobody panics with it");
        !matches!(process.try_wait(), Ok(None))
    }

    fn read_log(&self) -> String {
        read(&self.log)
    }

    fn story(&self) -> String {
        format!("\n--- log\n{}--- output\n{}", self.read_log(), read(&self.join("output")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Ok(process) = self.process.get_mut() else {
            return;
        };
        drop(process.stdin.take());
        // A test must not leave processes behind. The wait is as long as a kill takes.
        let _ = process.wait();
    }
}

/// Calls `start` with `N` free ports until the server runs. Another process can take a port between the choice and the
/// server's bind; every other error repeats and is reported in the end.
pub(super) async fn on_free_ports<const N: usize, T>(start: impl AsyncFn([u16; N]) -> Result<T, Ended>) -> T {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match start(free_ports()).await {
            Ok(server) => return server,
            Err(Ended { story }) => last = Some(story),
        }
    }
    panic!("the server did not get ready in {ATTEMPTS} attempts{}", last.unwrap_or_default());
}

fn free_ports<const N: usize>() -> [u16; N] {
    // All are bound until the last is chosen, so that they differ.
    let held = [(); N].map(|()| free_port());
    held.each_ref().map(|listener| listener.local_addr().expect("the address of a bound socket").port())
}

/// A port that no other process can bind while the listener lives.
pub(crate) fn free_port() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port of 127.0.0.1")
}

/// The user and group number of a system account.
pub(super) fn account(name: &str) -> (u32, u32) {
    let [user, group] = numbers("/etc/passwd", name);
    (user, group)
}

/// The number of a system group.
pub(super) fn group(name: &str) -> u32 {
    let [group] = numbers("/etc/group", name);
    group
}

/// The numbers from the third field on of a line of passwd(5) or group(5).
fn numbers<const N: usize>(file: &str, name: &str) -> [u32; N] {
    let table = fs::read_to_string(file).expect("the system's accounts are readable");
    let mut fields = table
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))
        .unwrap_or_else(|| {
            panic!("{name} is not in {file}: run tests/run, which installs the mail servers by tests/install")
        })
        .skip(1);
    [(); N].map(|()| {
        fields.next().and_then(|field| field.parse().ok()).expect("passwd(5) and group(5) have numbers there")
    })
}

/// The text of a file, as far as it has been written.
fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
