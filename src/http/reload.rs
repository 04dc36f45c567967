//! Files that are read at the start, and again on SIGHUP: the tokens, the certificate and key of HTTPS, and of the
//! settings file the modules and what checks refer to by name. The system's DNS servers and hosts file, too, without
//! the wait for the next look at them.

use std::{
    convert::Infallible,
    fmt,
    fs::{self, File},
    future::pending,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::signal::unix::Signal;
use zeroize::Zeroizing;

use super::{
    server::ServerIdentity,
    state::ModuleStore,
    tokens::{TokenStore, Tokens, TokensError},
};
use crate::{
    check::Modules,
    os_error,
    pem::{IdentityError, PemFault},
    thread::run_blocking,
};

/// Bytes of such a file: some 8000 tokens, or several hundred certificates.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// Why a file cannot be used, after the flag that names it. Of its text nothing is repeated: it may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("{flag}: {}: {fault}", path.display())]
pub struct ReloadError {
    /// The flag that names the file.
    pub flag: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The system cannot read it.
    #[error("{}", os_error::of_system(.0))]
    Unreadable(#[from] io::Error),
    /// Larger than any such file needs to be.
    #[error("it is larger than {MAX_FILE_SIZE} bytes")]
    TooLarge,
    /// A pipe, for example, can be read at the start, but the second time it would be waited for without end.
    #[error("it is no regular file, so it cannot be read again")]
    NotRegular,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A line is no token, or there is none.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// Not a certificate or key, or the two do not belong together.
    #[error(transparent)]
    Identity(PemFault),
}

/// The files, each with what was last read of it without an error.
#[derive(Debug)]
pub struct Reloadable {
    tokens: Option<TokensFile>,
    tls: Option<TlsFiles>,
    modules: Option<ModulesFile>,
    system: Option<SystemFiles>,
}

/// Reads the system's files again, and logs it.
pub type ReadSystemFiles = Box<dyn Fn() + Send + Sync>;

struct SystemFiles(ReadSystemFiles);

impl fmt::Debug for SystemFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemFiles").finish_non_exhaustive()
    }
}

/// Reads the modules of the settings file, and what checks may use. The error names the file, and repeats no value.
pub type ReadModules = Box<dyn Fn() -> Result<Modules, String> + Send + Sync>;

struct ModulesFile {
    read: ReadModules,
    store: ModuleStore,
}

impl fmt::Debug for ModulesFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModulesFile").field("store", &self.store).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct TokensFile {
    path: PathBuf,
    store: TokenStore,
}

#[derive(Debug)]
struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    identity: ServerIdentity,
}

impl Reloadable {
    /// Reads the files for the first time. `tls` is the certificate's file and the key's.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn open(tokens_file: Option<PathBuf>, tls: Option<(PathBuf, PathBuf)>) -> Result<Self, ReloadError> {
        let tokens = tokens_file.map(|path| {
            let store = TokenStore::new(read_tokens(&path, read)?);
            Ok(TokensFile { path, store })
        });
        let tls = tls.map(|(certificate, key)| {
            let identity = read_identity(&certificate, &key, read)?;
            Ok(TlsFiles { certificate, key, identity })
        });
        Ok(Self { tokens: tokens.transpose()?, tls: tls.transpose()?, modules: None, system: None })
    }

    /// Reads these modules again, too.
    #[must_use]
    pub fn with_modules(self, store: ModuleStore, read: ReadModules) -> Self {
        Self { modules: Some(ModulesFile { read, store }), ..self }
    }

    /// Reads the system's files again, too.
    #[must_use]
    pub fn with_system_files(self, read: ReadSystemFiles) -> Self {
        Self { system: Some(SystemFiles(read)), ..self }
    }

    /// Asks callers for the tokens of the file, if there is one.
    pub fn tokens(&self) -> Option<TokenStore> {
        self.tokens.as_ref().map(|file| file.store.clone())
    }

    /// The certificate and key of HTTPS, if there are files of them.
    pub fn identity(&self) -> Option<ServerIdentity> {
        self.tls.as_ref().map(|files| files.identity.clone())
    }

    /// Reads every file again. A file that cannot be used is logged, and what was read of it before stays in use.
    pub fn reload(&self) {
        if self.is_empty() {
            tracing::info!("nothing to read again on SIGHUP");
        }
        self.tokens.iter().for_each(TokensFile::reload);
        self.tls.iter().for_each(TlsFiles::reload);
        self.modules.iter().for_each(ModulesFile::reload);
        self.system.iter().for_each(|files| (files.0)());
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_none() && self.tls.is_none() && self.modules.is_none() && self.system.is_none()
    }

    /// Reloads on each SIGHUP, and never ends.
    pub async fn on_hangup(self, mut hangup: Option<Signal>) -> Infallible {
        let files = Arc::new(self);
        loop {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            };
            // A file may be on a network that does not answer, and must not hold up the other tasks.
            let files = files.clone();
            run_blocking("reload", move || files.reload()).await;
        }
    }
}

impl TokensFile {
    fn reload(&self) {
        let file = self.path.display();
        match read_tokens(&self.path, read_regular) {
            Ok(tokens) => {
                let names: Vec<_> = tokens.names().map(ToString::to_string).collect();
                self.store.replace(tokens);
                tracing::info!(%file, names = names.join(" "), "tokens read again");
            }
            Err(ReloadError { fault, .. }) => {
                tracing::error!(%file, error = %fault, "tokens not read again, the old ones stay");
            }
        }
    }
}

impl TlsFiles {
    fn reload(&self) {
        match read_identity(&self.certificate, &self.key, read_regular) {
            Ok(identity) => {
                self.identity.replace(&identity);
                tracing::info!("certificate and key read again");
            }
            Err(error) => tracing::error!(%error, "certificate and key not read again, the old ones stay"),
        }
    }
}

impl ModulesFile {
    fn reload(&self) {
        match (self.read)() {
            Ok(modules) => {
                let names = modules.names().collect::<Vec<_>>().join(" ");
                let certificates = modules.settings().client_certificates.names().collect::<Vec<_>>().join(" ");
                let dkim = modules.settings().dkim.names().collect::<Vec<_>>().join(" ");
                warn_of_modules(&modules);
                self.store.replace(modules);
                tracing::info!(names, client_certificates = certificates, dkim, "modules read again");
            }
            Err(error) => tracing::error!(%error, "modules not read again, the old ones stay"),
        }
    }
}

/// Warns of each module that sends its password to any server, or has parameters without effect.
pub fn warn_of_modules(modules: &Modules) {
    for module in modules.trusting() {
        tracing::warn!(
            probe_module = module,
            "sends its password to any server that a caller of /probe names: give the module TLS, \
            `tls_verify = \"require\"` and `tls_server_name`"
        );
    }
    for module in modules.iter() {
        for no_effect in module.no_effect() {
            tracing::warn!(probe_module = module.name(), "{no_effect}");
        }
    }
}

/// The bytes of a file, which may be a secret and so are wiped from memory when dropped.
pub type Bytes = Zeroizing<Vec<u8>>;
type ReadFile = fn(&Path) -> Result<Bytes, FileFault>;

fn read_tokens(path: &Path, read: ReadFile) -> Result<Tokens, ReloadError> {
    let tokens = read(path).and_then(|text| Ok(str::from_utf8(&text).map_err(|_| FileFault::NotUtf8)?.parse()?));
    tokens.map_err(|fault| ReloadError { flag: "--tokens-file", path: path.to_owned(), fault })
}

fn read_identity(certificate: &Path, key: &Path, read: ReadFile) -> Result<ServerIdentity, ReloadError> {
    let in_certificate = |fault| ReloadError { flag: "--tls-cert", path: certificate.to_owned(), fault };
    let in_key = |fault| ReloadError { flag: "--tls-key", path: key.to_owned(), fault };
    let chain = read(certificate).map_err(in_certificate)?;
    let secret = read(key).map_err(in_key)?;
    ServerIdentity::from_pem(&chain, &secret).map_err(|error| match error {
        IdentityError::Certificate(fault) => in_certificate(FileFault::Identity(fault)),
        IdentityError::Key(fault) => in_key(FileFault::Identity(fault)),
    })
}

fn read(path: &Path) -> Result<Bytes, FileFault> {
    let mut bytes = Zeroizing::new(Vec::new());
    let length = File::open(path)?.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes)?;
    if length as u64 > MAX_FILE_SIZE { Err(FileFault::TooLarge) } else { Ok(bytes) }
}

/// Reads a file that can be read again later.
///
/// # Errors
/// It is no regular file, cannot be read, or is too large.
pub fn read_regular(path: &Path) -> Result<Bytes, FileFault> {
    if fs::metadata(path)?.is_file() { read(path) } else { Err(FileFault::NotRegular) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        check::CheckSettings,
        telemetry::{LogFormat, tests::MemoryLog},
    };

    #[test]
    fn parameters_of_modules_without_effect_are_logged() {
        let fields = [("stop_after".to_owned(), "ehlo".into()), ("from".to_owned(), "a@b.test".into())];
        let settings = CheckSettings::new(Duration::from_secs(60));
        let modules = Modules::parse([("ask".to_owned(), fields.into_iter().collect())], settings);
        let log = MemoryLog::default();
        tracing::subscriber::with_default(log.subscriber(LogFormat::Text, false, "warn"), || {
            warn_of_modules(&modules.expect("a module"));
        });
        let text = log.text();
        assert!(text.contains("probe_module=\"ask\"") && text.contains("`from` has no effect"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn an_endless_file_is_refused_with_its_flag() {
        let error = Reloadable::open(Some("/dev/zero".into()), None).expect_err("no tokens");
        assert!(matches!(error.fault, FileFault::TooLarge), "{error}");
        assert_eq!(error.to_string(), "--tokens-file: /dev/zero: it is larger than 1048576 bytes");
    }
}
