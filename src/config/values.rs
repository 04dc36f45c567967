//! Parsers of the values of settings. Each error says how to write the value.

use std::{
    ffi::OsStr,
    fmt::Display,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use clap::{Arg, Command, builder::TypedValueParser, error::Error};
use ipnet::IpNet;
use strum::VariantArray;
use url::Url;

use super::invalid;
use crate::check::SourceAddresses;

/// The longest timeout: far from overflowing the clock, and longer than any use.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads an element of a list without the spaces around it: people write them behind commas.
#[derive(Clone, Debug)]
pub(super) struct Element<P>(pub P);

impl<P: TypedValueParser> TypedValueParser for Element<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<P::Value, Error> {
        self.0.parse_ref(command, argument, value.to_str().map_or(value, |text| OsStr::new(text.trim())))
    }
}

/// Refuses a value without repeating it, as clap's own error would: it may hold a secret.
#[derive(Clone, Debug)]
pub(super) struct Unrepeated<F>(pub F);

impl<F, T> TypedValueParser for Unrepeated<F>
where
    F: Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, _: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let parsed = value.to_str().ok_or_else(|| "not UTF-8".to_owned()).and_then(&self.0);
        let argument = argument.map(ToString::to_string).unwrap_or_default();
        parsed.map_err(|reason| invalid(&format!("invalid value for '{argument}': {reason}")))
    }
}

/// An IP address and a port. A host name is refused: it may have several addresses.
///
/// The last group of an IPv6 address without brackets, as in `::1:2580`, is more likely to be meant as the port.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    const RULE: &str = "must be an IP address and a port";
    text.parse().map_err(|_| {
        let with_port = text.rsplit_once(':').and_then(|(address, port)| {
            Some(SocketAddr::new(address.parse::<Ipv6Addr>().ok()?.into(), port.parse().ok()?))
        });
        if let Some(address) = with_port {
            return format!("{RULE}, such as {address}");
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return format!("{RULE}, such as {}", SocketAddr::new(address, 2580));
        }
        let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix("*:")).unwrap_or(text);
        match port.trim_start_matches(':').parse::<u16>() {
            Ok(port) => format!("{RULE}, such as 127.0.0.1:{port}"),
            Err(_) => format!("{RULE}, such as 127.0.0.1:2580 or [::1]:2580"),
        }
    })
}

/// The name of a variant.
pub(super) fn choice<T: VariantArray + Copy + Into<&'static str>>(text: &str) -> Result<T, String> {
    let chosen = T::VARIANTS.iter().copied().find(|choice| Into::<&str>::into(*choice) == text);
    chosen.ok_or_else(|| {
        let names: Vec<&str> = T::VARIANTS.iter().map(|choice| (*choice).into()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// A whole number of this range.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// The words that clap's own parser takes.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok_and(|number| number > 0.0) {
        return Err(format!("needs a unit: {text}s or {text}ms"));
    }
    let duration = humantime::parse_duration(text)
        .map_err(|_| "must be a whole number and a unit, such as 500ms, 30s or 5m".to_owned())?;
    if duration > MAX_TIMEOUT {
        return Err("longer than a day".to_owned());
    }
    Ok(duration)
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        timeout => Ok(timeout),
    }
}

/// Every caller may ask for 100 ms (`timeout_ms` in `openapi/openapi.json`), so the longest timeout cannot be less.
pub(super) fn check_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    if timeout < Duration::from_millis(100) {
        return Err("must be 100ms or more".to_owned());
    }
    Ok(timeout)
}

pub(super) fn body_size(text: &str) -> Result<usize, String> {
    let size = text
        .parse::<bytesize::ByteSize>()
        .map_err(|_| "must be a number and a unit, such as 1MiB or 500KiB".to_owned())?;
    if !(bytesize::kib(1u64)..=bytesize::mib(256u64)).contains(&size.as_u64()) {
        return Err("must be from 1KiB to 256MiB".to_owned());
    }
    usize::try_from(size.as_u64()).map_err(|error| error.to_string())
}

pub(super) fn otlp_endpoint(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("not a URL such as http://127.0.0.1:4317".to_owned()),
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "neither a network such as 10.0.0.0/8 nor an IP address".to_owned())
}

/// An address that connections can come from.
pub(super) fn source_address(text: &str) -> Result<IpAddr, String> {
    SourceAddresses::parse(text).map_err(str::to_owned)
}

pub(super) fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let server =
        text.parse().or_else(|_| bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53))).map_err(|_| {
            "neither an IP address nor one with a port, such as 192.0.2.1:53 or [2001:db8::1]:53".to_owned()
        })?;
    if server.port() == 0 {
        return Err("port 0 is not a port".to_owned());
    }
    Ok(server)
}
