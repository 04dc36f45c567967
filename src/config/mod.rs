//! The command line and the settings: every flag, environment variable and key of the settings file, read once and in one place.
//!
//! A flag wins over the environment, the environment over the file, the file over the default. The file's values are handed to the
//! command line's parser as defaults ([`mod@file`]), so that one parser judges all four layers and words every complaint.
//!
//! Only [`crate::cli`] reads these types; every floor below gets its own small settings.

mod environment;
mod file;
mod heeded;
mod parameters;
mod run;
mod values;

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::BoolishValueParser,
    error::{Error, ErrorKind},
};
use ipnet::IpNet;
use url::Url;

use crate::{
    check::Modules,
    destination::policy::HostRule,
    http::{Rate, TokenName},
};
use parameters::Parameters;
use values::{Element, Unrepeated};

pub use environment::UnknownVariable;
pub use parameters::flag_of;
pub use run::{Limit, Run, Thresholds};

/// What the program was asked to do, and with which settings.
#[derive(Debug, Parser)]
#[command(name = "smtp-check", version, about)]
pub struct CommandLine {
    /// What to do; `serve` if left out
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings file (TOML); its keys are the settings' names with underscores
    #[arg(long, env = "SMTP_CHECK_CONFIG", value_name = "FILE", global = true, help_heading = SETTINGS)]
    config: Option<PathBuf>,
    /// The settings, all layers merged.
    #[command(flatten)]
    pub settings: Settings,
    /// Variables of the environment that look like settings, and are none.
    #[arg(skip)]
    pub unknown_variables: Vec<UnknownVariable>,
}

/// The subcommands.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Serve checks over HTTP (also what happens without a subcommand)
    Serve,
    /// Run a check and print its report: exit code 0 success, 1 failed check, 2 bad usage
    Run(Run),
    /// Serve beside a built-in sandbox mail server, and run a first check against it
    Demo,
    /// Print the OpenAPI document
    Openapi,
    /// Ask the service at --listen whether it is alive: exit code 0 yes, 1 no
    Healthcheck,
    /// Make a bearer token: print it, and its line for --tokens-file
    Token(Token),
}

/// What `token` was given.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Token {
    /// Name that the log calls the token's holder by
    pub name: TokenName,
}

/// The heading under which `--help` lists the settings.
const SETTINGS: &str = "Settings";

/// No timeout may be longer: far from overflowing the clock, and long past any use.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of the service. What each means is said once, as its help text.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = SETTINGS)]
pub struct Settings {
    /// Address to serve on
    #[arg(long, env = "SMTP_CHECK_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:2580", global = true)]
    pub listen: SocketAddr,

    /// Serve beyond loopback although callers need no token
    #[arg(long, env = "SMTP_CHECK_ALLOW_UNAUTHENTICATED", value_parser = BoolishValueParser::new(), global = true)]
    pub allow_unauthenticated: bool,

    /// File of bearer tokens, one `name:sha256-hex` per line; they guard every door but /healthz, /readyz and /version; SIGHUP reads
    /// it again
    #[arg(long, env = "SMTP_CHECK_TOKENS_FILE", value_name = "FILE", global = true)]
    pub tokens_file: Option<PathBuf>,

    /// Certificate chain (PEM) to serve HTTPS with; read again on SIGHUP
    #[arg(long, env = "SMTP_CHECK_TLS_CERT", value_name = "FILE", global = true)]
    pub tls_cert: Option<PathBuf>,

    /// Private key (PEM) of --tls-cert
    #[arg(long, env = "SMTP_CHECK_TLS_KEY", value_name = "FILE", global = true)]
    pub tls_key: Option<PathBuf>,

    /// Callers' connections; one more takes the place of the one that has been idle the longest [default: 4 for each of --max-checks]
    #[arg(long, env = "SMTP_CHECK_MAX_CONNECTIONS", value_name = "N", global = true,
          value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub max_connections: Option<u32>,

    /// How often one caller may ask for a check: 10/s, 100/m or 1000/h, per token; without tokens per client address, or IPv6 network
    /// of 64 bits [default: no limit]
    #[arg(long, env = "SMTP_CHECK_RATE_LIMIT", value_name = "N/UNIT", global = true)]
    pub rate_limit: Option<Rate>,

    /// Networks of reverse proxies, whose X-Forwarded-For or Forwarded tells the client's address (CIDR; list)
    #[arg(long, env = "SMTP_CHECK_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',', global = true,
          value_parser = Element(network))]
    pub trusted_proxy: Vec<IpNet>,

    /// Checks in flight, at most half of them with a name that is being resolved; one more is refused with 503
    #[arg(long, env = "SMTP_CHECK_MAX_CHECKS", value_name = "N", default_value = "1024", global = true,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_checks: u32,

    /// Checks in flight towards one address; one more is refused with 429
    #[arg(long, env = "SMTP_CHECK_MAX_CHECKS_PER_TARGET", value_name = "N", default_value = "16", global = true,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_checks_per_target: u32,

    /// Time in which a caller must have sent a request's header, and for which an idle connection is kept
    #[arg(long, env = "SMTP_CHECK_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", global = true, value_parser = timeout)]
    pub header_timeout: Duration,

    /// Time in which a caller must have sent a request's body, and must take some more of an answer; a slower one is closed
    #[arg(long, env = "SMTP_CHECK_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", global = true, value_parser = timeout)]
    pub body_timeout: Duration,

    /// Longest `timeout_ms` that a caller may ask for
    #[arg(long, env = "SMTP_CHECK_MAX_TIMEOUT", value_name = "TIME", default_value = "60s", global = true, value_parser = check_timeout)]
    pub max_timeout: Duration,

    /// Largest request body
    #[arg(long, env = "SMTP_CHECK_MAX_BODY", value_name = "SIZE", default_value = "1MiB", global = true, value_parser = body_size)]
    pub max_body: usize,

    /// Networks that no check may connect to, beside the built-in ones: link-local, cloud metadata, multicast, unspecified, broadcast
    /// (CIDR; list)
    #[arg(long, env = "SMTP_CHECK_TARGET_DENY", value_name = "CIDR", value_delimiter = ',', global = true,
          value_parser = Element(network))]
    pub target_deny: Vec<IpNet>,

    /// Networks that checks may connect to although they are denied (CIDR; list)
    #[arg(long, env = "SMTP_CHECK_TARGET_ALLOW", value_name = "CIDR", value_delimiter = ',', global = true,
          value_parser = Element(network))]
    pub target_allow: Vec<IpNet>,

    /// Host and mail domain names that no check may ask for, each with all names below it: `example.com` covers itself and
    /// `mx.example.com`. Neither `*.` nor a leading dot is accepted (list)
    #[arg(long, env = "SMTP_CHECK_TARGET_DENY_HOST", value_name = "NAME", value_delimiter = ',', global = true,
          value_parser = Element(HostRule::from_str))]
    pub target_deny_host: Vec<HostRule>,

    /// The only names that checks may ask for, in the same form; where a name is denied too, the longer rule counts, and of equal
    /// ones this. The mail servers of an allowed domain are allowed; an address without a name only by --target-allow (list)
    /// [default: any]
    #[arg(long, env = "SMTP_CHECK_TARGET_ALLOW_HOST", value_name = "NAME", value_delimiter = ',', global = true,
          value_parser = Element(HostRule::from_str))]
    pub target_allow_host: Vec<HostRule>,

    /// The only ports that checks may connect to (list) [default: any]
    #[arg(long, env = "SMTP_CHECK_TARGET_PORTS", value_name = "PORT", value_delimiter = ',', global = true,
          value_parser = Element(clap::value_parser!(u16).range(1..)))]
    pub target_ports: Vec<u16>,

    /// DNS server to ask, port 53 unless given (list) [default: the system's]
    #[arg(long, env = "SMTP_CHECK_DNS_SERVER", value_name = "ADDR[:PORT]", value_delimiter = ',', global = true,
          value_parser = Element(dns_server))]
    pub dns_server: Vec<SocketAddr>,

    /// File of trust anchors (PEM) for checks, beside the system's
    #[arg(long, env = "SMTP_CHECK_CA_FILE", value_name = "FILE", global = true)]
    pub ca_file: Option<PathBuf>,

    /// Form of the log lines on stderr; RUST_LOG sets their level [default: text on a terminal, json otherwise]
    #[arg(long, env = "SMTP_CHECK_LOG_FORMAT", value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,

    /// Collector that gets a trace of each check, by OTLP over gRPC, such as http://127.0.0.1:4317; OpenTelemetry's own variables count
    /// beside it, such as OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS [default: none]
    #[arg(long, env = "SMTP_CHECK_OTLP_ENDPOINT", value_name = "URL", global = true, hide_env_values = true,
          value_parser = Unrepeated(otlp_endpoint))]
    pub otlp_endpoint: Option<Url>,

    /// The modules of `/probe`, which only the file can have.
    #[arg(skip = Modules::none(LONGEST))]
    pub modules: Modules,

    /// Time that running checks have to finish once the service was told to stop; told twice, it waits for none
    #[arg(long, env = "SMTP_CHECK_SHUTDOWN_GRACE", value_name = "TIME", default_value = "30s", global = true, value_parser = duration)]
    pub shutdown_grace: Duration,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

impl CommandLine {
    /// Reads the command line, the environment and the settings file.
    ///
    /// # Errors
    /// The parser's own error, with its exit code: 0 for `--help` and `--version`, 2 for whatever is wrong, which it names.
    pub fn parse_from<I>(arguments: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let parameters = Parameters::of_a_check();
        let command = whole_command(&parameters);
        let unknown_variables = environment::unknown(&command);
        let command = command.mut_args(environment::without_empty);
        let command = command.mut_subcommand("run", |run| run.mut_args(environment::without_empty));
        let line = Self::parse(command, &parameters, arguments.into_iter().map(Into::into).collect())?;
        Ok(Self { unknown_variables, ..line })
    }

    fn parse(mut command: clap::Command, parameters: &Parameters, arguments: Vec<OsString>) -> Result<Self, Error> {
        // A clone, because parsing hands the settings down to the subcommands: what comes later would not reach those.
        let mut matches = command.clone().try_get_matches_from(arguments.clone())?;
        let mut modules = Vec::new();
        if let Some(path) = matches.get_one::<PathBuf>("config") {
            // Only now is it known which file to read; nothing in it can undo what the first pass found good.
            (command, modules) = file::with_defaults_of(command, path).map_err(|error| invalid(&error.to_string()))?;
            matches = command.try_get_matches_from_mut(arguments)?;
        }
        let mut line = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        line.settings.modules = Modules::parse(modules, line.settings.max_timeout).map_err(|error| {
            let file = line.config.as_deref().unwrap_or(Path::new("")).display();
            invalid(&format!("{file}: {error}"))
        })?;
        if let (Some(Command::Run(run)), Some(("run", matches))) = (&mut line.command, matches.subcommand()) {
            heeded::refuse_for_run(&command, matches)?;
            run.parameters = parameters.given(matches);
            run.thresholds.agree()?;
        }
        if matches!(line.subcommand(), Command::Serve | Command::Demo) {
            line.settings.agree()?;
        }
        Ok(line)
    }

    /// What to do.
    pub fn subcommand(&self) -> &Command {
        self.command.as_ref().unwrap_or(&Command::Serve)
    }
}

/// The command, with all that the types above cannot say.
fn whole_command(parameters: &Parameters) -> clap::Command {
    let command = <CommandLine as CommandFactory>::command();
    heeded::hidden_from_run(command.mut_subcommand("run", |run| run.args(parameters.flags())))
}

impl Settings {
    /// Callers' connections. A check takes one, and so does whoever waits between two.
    pub fn max_connections(&self) -> u32 {
        self.max_connections.unwrap_or(self.max_checks.saturating_mul(4))
    }

    /// Refuses settings that are good one by one, and not together to serve with.
    fn agree(&self) -> Result<(), Error> {
        let guarded = self.tokens_file.is_some() || self.allow_unauthenticated;
        if !guarded && !self.listen.ip().to_canonical().is_loopback() {
            return Err(invalid(&format!(
                "--listen {} is reachable from other machines, and no caller would need a token: \
                 give --tokens-file, or --allow-unauthenticated if that is meant",
                self.listen
            )));
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(invalid("--tls-cert and --tls-key go together: give both, or neither"));
        }
        Ok(())
    }
}

/// A complaint in the parser's own form, with its exit code.
pub fn invalid(message: &str) -> Error {
    Error::raw(ErrorKind::ValueValidation, format!("{message}\n"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error} (write it like 30s or 500ms)"))?;
    if duration > LONGEST {
        return Err("longer than a day".to_owned());
    }
    Ok(duration)
}

fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        timeout => Ok(timeout),
    }
}

/// Every caller may ask for 100 ms (`timeout_ms` in `openapi/openapi.json`), so the longest timeout cannot be less.
fn check_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    if timeout < Duration::from_millis(100) {
        return Err("must be 100ms or more".to_owned());
    }
    Ok(timeout)
}

fn body_size(text: &str) -> Result<usize, String> {
    let size = text.parse::<bytesize::ByteSize>().map_err(|error| format!("{error} (write it like 1MiB or 500KiB)"))?;
    if !(bytesize::kib(1u64)..=bytesize::mib(256u64)).contains(&size.as_u64()) {
        return Err("must be from 1KiB to 256MiB".to_owned());
    }
    usize::try_from(size.as_u64()).map_err(|error| error.to_string())
}

fn otlp_endpoint(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("not a URL such as http://127.0.0.1:4317".to_owned()),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "neither a network such as 10.0.0.0/8 nor an IP address".to_owned())
}

fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let server =
        text.parse().or_else(|_| bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53))).map_err(|_| {
            "neither an IP address nor one with a port, such as 192.0.2.1:53 or [2001:db8::1]:53".to_owned()
        })?;
    if server.port() == 0 {
        return Err("port 0 cannot be asked".to_owned());
    }
    Ok(server)
}

#[cfg(test)]
mod tests;
