//! The tables of the settings file whose names the operator chooses: the modules of `/probe`, and what checks refer to
//! by name.

use std::path::Path;

use clap::Error;
use serde_json::{Map, Value as Json};

use super::invalid;
use crate::{
    check::{CheckSettings, ClientCertificate, DkimKey, Modules, Named},
    http::reload::read_regular,
    message::{DkimKeyError, dkim_key},
    pem::IdentityError,
    tls::client_certificate,
};

/// The key of parameter sets for `/probe`.
pub(super) const MODULES: &str = "modules";
/// The key of client certificates.
const CLIENT_CERTIFICATES: &str = "client_certificates";
/// The key of DKIM keys.
const DKIM: &str = "dkim";
/// The keys that are no settings: below each there are tables with names.
pub(super) const KEYS: [&str; 3] = [MODULES, CLIENT_CERTIFICATES, DKIM];

/// The tables below one key: names, and the keys and values of each.
pub(super) type Tables = Vec<(String, Map<String, Json>)>;

/// The tables of a settings file.
#[derive(Clone, Debug, Default)]
pub(super) struct NamedTables {
    pub(super) modules: Tables,
    pub(super) client_certificates: Tables,
    pub(super) dkim: Tables,
}

impl NamedTables {
    /// The tables below one of [`KEYS`].
    pub(super) fn below(&mut self, key: &str) -> &mut Tables {
        match key {
            CLIENT_CERTIFICATES => &mut self.client_certificates,
            DKIM => &mut self.dkim,
            _ => &mut self.modules,
        }
    }

    /// Without the tables, other than modules, whose names are not `wanted`: no file of theirs is read.
    pub(super) fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        for tables in [&mut self.client_certificates, &mut self.dkim] {
            tables.retain(|(name, _)| wanted(name));
        }
        self
    }

    /// Adds to `settings` what the tables other than modules describe.
    ///
    /// # Errors
    /// A table is wrong, or a file that it names cannot be used. The text names both, and repeats nothing of the file.
    pub(super) fn complete(&self, settings: &mut CheckSettings, file: &Path) -> Result<(), Error> {
        settings.client_certificates = named(CLIENT_CERTIFICATES, &self.client_certificates, read_client_certificate)
            .map_err(|error| in_file(file, &error))?;
        settings.dkim = named(DKIM, &self.dkim, read_dkim_key).map_err(|error| in_file(file, &error))?;
        Ok(())
    }

    /// The modules, and what checks may use.
    ///
    /// # Errors
    /// As for [`Self::complete`], or a module is invalid.
    pub(super) fn modules(self, mut settings: CheckSettings, file: &Path) -> Result<Modules, Error> {
        self.complete(&mut settings, file)?;
        Modules::parse(self.modules, settings).map_err(|error| in_file(file, &error.to_string()))
    }
}

fn in_file(file: &Path, error: &str) -> Error {
    invalid(&format!("{}: {error}", file.display()))
}

/// Reads each table; the error names it.
fn named<T>(
    key: &'static str,
    tables: &Tables,
    read: impl Fn(&str, &mut TableReader) -> Result<T, String>,
) -> Result<Named<T>, String> {
    let mut named = Named::new(key);
    for (name, table) in tables {
        let mut table = TableReader { table: table.clone() };
        let value = Modules::check_name(name).and_then(|()| read(name, &mut table));
        let value = value.and_then(|value| table.finish().map(|()| value));
        named.insert(name.clone(), value.map_err(|error| format!("[{key}.{}] {error}", name.escape_debug()))?);
    }
    Ok(named)
}

/// The keys of one table, each of which is read once.
struct TableReader {
    table: Map<String, Json>,
}

impl TableReader {
    fn text(&mut self, key: &str) -> Result<String, String> {
        match self.table.remove(key) {
            Some(Json::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(format!("`{key}` must be a string that is not empty")),
            None => Err(format!("`{key}` is required")),
        }
    }

    fn finish(self) -> Result<(), String> {
        match self.table.keys().next() {
            Some(key) => Err(format!("has no key `{}`", key.escape_debug())),
            None => Ok(()),
        }
    }
}

fn in_table(key: &str, path: &str, fault: &dyn std::fmt::Display) -> String {
    format!("`{key}`: {}: {fault}", path.escape_debug())
}

fn read_client_certificate(name: &str, table: &mut TableReader) -> Result<ClientCertificate, String> {
    let (cert, key) = (table.text("cert")?, table.text("key")?);
    let content =
        |field: &str, path: &str| read_regular(Path::new(path)).map_err(|fault| in_table(field, path, &fault));
    let (chain, secret) = (content("cert", &cert)?, content("key", &key)?);
    client_certificate(name, &chain, &secret).map_err(|error| match error {
        IdentityError::Certificate(fault) => in_table("cert", &cert, &fault),
        IdentityError::Key(fault) => in_table("key", &key, &fault),
    })
}

fn read_dkim_key(name: &str, table: &mut TableReader) -> Result<DkimKey, String> {
    let (domain, selector, key) = (table.text("domain")?, table.text("selector")?, table.text("key")?);
    let pem = read_regular(Path::new(&key)).map_err(|fault| in_table("key", &key, &fault))?;
    dkim_key(name, &domain, &selector, &pem).map_err(|error| match error {
        DkimKeyError::Name(error) => error.to_string(),
        fault => in_table("key", &key, &fault),
    })
}
