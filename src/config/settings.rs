//! The settings, in groups that subcommands share. Each is documented once, as its help text.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{Args, Error};
use ipnet::IpNet;
use url::Url;

use super::{
    file::tables_of,
    invalid,
    named::NamedTables,
    reason::reason,
    values::{
        Element, MAX_TIMEOUT, Unrepeated, body_size, check_timeout, choice, dns_server, duration, listen_address,
        network, otlp_endpoint, source_address, switch, timeout, whole,
    },
};
use crate::{
    check::{CheckSettings, Modules, SourceAddresses},
    destination::policy::HostRule,
    http::{Rate, reload::ReadModules},
    net::lookup::DnssecMode,
    telemetry::LogFormat,
};

/// The heading under which `--help` lists the settings.
const HEADING: &str = "Settings";

/// The settings file.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = HEADING)]
pub struct ConfigFile {
    /// Settings file (TOML); its keys are the settings' names with underscores
    #[arg(long, env = "SMTP_CHECK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where the service listens, and with which certificate.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = HEADING)]
pub struct ListenSettings {
    /// Address and port of the service
    #[arg(long, env = "SMTP_CHECK_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:2580",
          value_parser = listen_address)]
    pub listen: SocketAddr,

    /// Certificate chain (PEM) for HTTPS; read again on SIGHUP
    #[arg(long, env = "SMTP_CHECK_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key (PEM) of --tls-cert
    #[arg(long, env = "SMTP_CHECK_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

/// What checks may connect to, and how.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = HEADING)]
pub struct TargetSettings {
    /// Longest `timeout_ms` of a check
    #[arg(long, env = "SMTP_CHECK_MAX_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = check_timeout)]
    pub max_timeout: Duration,

    /// Networks that checks must not connect to, beside the built-in ones: link-local, cloud metadata, multicast,
    /// unspecified, broadcast (CIDR; list)
    #[arg(long, env = "SMTP_CHECK_TARGET_DENY", value_name = "CIDR", value_delimiter = ',', value_parser = Element(network))]
    pub target_deny: Vec<IpNet>,

    /// Networks that checks may connect to although they are denied (CIDR; list)
    #[arg(long, env = "SMTP_CHECK_TARGET_ALLOW", value_name = "CIDR", value_delimiter = ',', value_parser = Element(network))]
    pub target_allow: Vec<IpNet>,

    /// Hosts and mail domains that checks must not ask for, with all names below them: `example.com` covers itself and
    /// `mx.example.com`. Neither `*.` nor a leading dot is accepted (list)
    #[arg(long, env = "SMTP_CHECK_TARGET_DENY_HOST", value_name = "NAME", value_delimiter = ',',
          value_parser = Element(HostRule::from_str))]
    pub target_deny_host: Vec<HostRule>,

    /// The only hosts and mail domains that checks may ask for, in the same form. If a name is denied too, the longer
    /// rule wins, and of equal rules this one. The mail servers of an allowed domain are allowed. An address without a
    /// name needs --target-allow (list) [default: any]
    #[arg(long, env = "SMTP_CHECK_TARGET_ALLOW_HOST", value_name = "NAME", value_delimiter = ',',
          value_parser = Element(HostRule::from_str))]
    pub target_allow_host: Vec<HostRule>,

    /// The only ports that checks may connect to (list) [default: any]
    #[arg(long, env = "SMTP_CHECK_TARGET_PORTS", value_name = "PORT", value_delimiter = ',',
          value_parser = Element(whole(1..=u16::MAX)))]
    pub target_ports: Vec<u16>,

    /// DNS server to ask, port 53 unless given (list) [default: the system's]
    #[arg(long, env = "SMTP_CHECK_DNS_SERVER", value_name = "ADDR[:PORT]", value_delimiter = ',',
          value_parser = Element(dns_server))]
    pub dns_server: Vec<SocketAddr>,

    /// How checks of domains come by proofs of DNSSEC: `validate` checks signatures from the root down, `trust_ad`
    /// takes the word of the DNS server, for one on this machine or on a path that is trusted, `off` proves nothing
    #[arg(long, env = "SMTP_CHECK_DNSSEC", value_name = "MODE", default_value = "validate",
          value_parser = choice::<DnssecMode>)]
    pub dnssec: DnssecMode,

    /// File of DNSKEY records of the root in zone format, in place of the built-in ones (KSK-2017 and KSK-2024)
    #[arg(long, env = "SMTP_CHECK_DNS_TRUST_ANCHOR", value_name = "FILE")]
    pub dns_trust_anchor: Option<PathBuf>,

    /// Port where the policies of MTA-STS are fetched, for tests
    #[arg(long, env = "SMTP_CHECK_MTA_STS_PORT", value_name = "PORT", default_value = "443", value_parser = whole(1..=u16::MAX))]
    pub mta_sts_port: u16,

    /// File of trust anchors (PEM) for checks, beside the system's
    #[arg(long, env = "SMTP_CHECK_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// The log and the traces.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = HEADING)]
pub struct TelemetrySettings {
    /// Format of the log on stderr; RUST_LOG sets the levels [default: text on a terminal, json otherwise]
    #[arg(long, env = "SMTP_CHECK_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Collector that gets a trace of each check, by OTLP over gRPC, such as http://127.0.0.1:4317. OpenTelemetry's own
    /// variables count too, such as OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS [default: none]
    #[arg(long, env = "SMTP_CHECK_OTLP_ENDPOINT", value_name = "URL", hide_env_values = true,
          value_parser = Unrepeated(otlp_endpoint))]
    pub otlp_endpoint: Option<Url>,
}

/// Settings of `serve` and `demo`. These are all that the settings file may have.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = HEADING)]
pub struct ServeSettings {
    /// The settings file.
    #[command(flatten)]
    pub file: ConfigFile,

    /// Where to listen.
    #[command(flatten)]
    pub service: ListenSettings,

    /// Listen beyond loopback although callers need no token
    #[arg(long, env = "SMTP_CHECK_ALLOW_UNAUTHENTICATED", value_parser = switch)]
    pub allow_unauthenticated: bool,

    /// File of bearer tokens, one `name:sha256-hex` per line. With it, every route but /healthz, /readyz and /version
    /// needs a token; read again on SIGHUP
    #[arg(long, env = "SMTP_CHECK_TOKENS_FILE", value_name = "FILE")]
    pub tokens_file: Option<PathBuf>,

    /// Connections of callers; one more replaces the one that has been idle the longest [default: --max-checks,
    /// and 128 more]
    #[arg(long, env = "SMTP_CHECK_MAX_CONNECTIONS", value_name = "N", value_parser = whole(1..=4_000_000_u32))]
    pub max_connections: Option<u32>,

    /// How often one caller may ask for a check: 10/s, 100/m or 1000/h. Counted per token; without tokens per client
    /// address, or IPv6 network of 64 bits [default: no limit]
    #[arg(long, env = "SMTP_CHECK_RATE_LIMIT", value_name = "N/UNIT")]
    pub rate_limit: Option<Rate>,

    /// Networks of reverse proxies, whose X-Forwarded-For or Forwarded header tells the client's address (CIDR; list)
    #[arg(long, env = "SMTP_CHECK_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',', value_parser = Element(network))]
    pub trusted_proxy: Vec<IpNet>,

    /// Checks at the same time, at most half of them in name resolution; one more is refused with 503
    #[arg(long, env = "SMTP_CHECK_MAX_CHECKS", value_name = "N", default_value = "1024",
          value_parser = whole(1..=1_000_000_u32))]
    pub max_checks: u32,

    /// Checks of domains at the same time; one more is refused with 503
    #[arg(long, env = "SMTP_CHECK_MAX_DOMAIN_CHECKS", value_name = "N", default_value = "64",
          value_parser = whole(1..=100_000_u32))]
    pub max_domain_checks: u32,

    /// Checks at the same time to one address; one more is refused with 429
    #[arg(long, env = "SMTP_CHECK_MAX_CHECKS_PER_TARGET", value_name = "N", default_value = "16",
          value_parser = whole(1..=1_000_000_u32))]
    pub max_checks_per_target: u32,

    /// Time for a caller to send a request's header; an idle connection is closed after it, too
    #[arg(long, env = "SMTP_CHECK_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub header_timeout: Duration,

    /// Time for a caller to send a request's body, and to read more of a response; a slower caller's connection is
    /// closed
    #[arg(long, env = "SMTP_CHECK_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = timeout)]
    pub body_timeout: Duration,

    /// Largest request body
    #[arg(long, env = "SMTP_CHECK_MAX_BODY", value_name = "SIZE", default_value = "1MiB", value_parser = body_size)]
    pub max_body: usize,

    /// Time for running checks to finish after SIGTERM, SIGINT or SIGQUIT; a second signal ends the service at once
    #[arg(long, env = "SMTP_CHECK_SHUTDOWN_GRACE", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub shutdown_grace: Duration,

    /// Addresses of this machine that a check may ask to connect from (list) [default: none]
    #[arg(long, env = "SMTP_CHECK_SOURCE_ADDRESS", value_name = "ADDR", value_delimiter = ',',
          value_parser = Element(source_address))]
    pub source_address: Vec<IpAddr>,

    /// What checks may connect to.
    #[command(flatten)]
    pub target: TargetSettings,

    /// The log and the traces.
    #[command(flatten)]
    pub telemetry: TelemetrySettings,

    /// The modules of `/probe`, and what checks may use: tables of the settings file.
    #[arg(skip = Modules::none(CheckSettings::new(MAX_TIMEOUT)))]
    pub modules: Modules,
}

impl ServeSettings {
    /// Connections beside those of checks. Each can take up to 200 KiB over HTTP/2.
    const MORE_CONNECTIONS: u32 = 128;

    /// Connections of callers. A check takes one, and so does a caller who waits between two, which gives way.
    pub fn max_connections(&self) -> u32 {
        self.max_connections.unwrap_or(self.max_checks.saturating_add(Self::MORE_CONNECTIONS))
    }

    /// Reads the settings file again, for its tables with names. `None`: there is no file.
    pub fn modules_reader(&self) -> Option<ReadModules> {
        let (file, settings) = (self.file.config.clone()?, self.check_settings());
        Some(Box::new(move || {
            let modules = tables_of(&file).and_then(|named| named.modules(settings.clone(), &file));
            modules.map_err(|error| reason(&error))
        }))
    }

    /// What checks may use, without the tables of the settings file.
    fn check_settings(&self) -> CheckSettings {
        let source_addresses = SourceAddresses::Listed(self.source_address.clone());
        CheckSettings { source_addresses, ..CheckSettings::new(self.target.max_timeout) }
    }

    /// Takes the file's tables, and refuses settings that do not go together.
    pub(super) fn complete(&mut self, named: NamedTables) -> Result<(), Error> {
        let file = self.file.config.as_deref().unwrap_or(Path::new(""));
        self.modules = named.modules(self.check_settings(), file)?;
        let ListenSettings { listen, tls_cert, tls_key } = &self.service;
        let is_guarded = self.tokens_file.is_some() || self.allow_unauthenticated;
        if !is_guarded && !listen.ip().to_canonical().is_loopback() {
            return Err(invalid(&format!(
                "--listen {listen} is reachable from other machines, and no caller would need a token: \
                 give --tokens-file, or --allow-unauthenticated if that is intended"
            )));
        }
        if tls_cert.is_some() != tls_key.is_some() {
            return Err(invalid("--tls-cert and --tls-key go together: give both, or neither"));
        }
        Ok(())
    }
}
