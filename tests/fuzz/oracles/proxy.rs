//! The PROXY header: an independent parser reads back what was written, and no header is too long or more than one
//! line.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use proxy_header::{ParseConfig, ProxyHeader as Parsed};
use serde_json::{Map, Value, json};
use smtp_check::{
    check::{Check, CheckSettings},
    proxy_header::{MAX_V1_SIZE, ProxyAddress, ProxyFamily, ProxyHeader, ProxyHeaderError},
};

use super::assert_no_control;

/// `data` is words, separated by spaces: `v2`, `TCP6`, `source=`, `dest=`, `source_port=`, `dest_port=` for the
/// parameters, and `local=` and `peer=` for the two ends of the connection. Other words are ignored.
pub fn proxy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let given = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let end = |name: &str| given(name).and_then(|end| end.parse::<SocketAddr>().ok());
    let local = end("local").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 40000)));
    let peer = end("peer").unwrap_or(SocketAddr::from(([127, 0, 0, 9], 25)));
    match Check::parse(parameters(&text), &CheckSettings::new(Duration::from_secs(60))) {
        Ok(check) => assert_header(&check.proxy.expect("was asked for"), local, peer),
        Err(invalid) => {
            let about_proxy = invalid.violations().iter().all(|violation| violation.pointer.starts_with("/proxy_"));
            assert!(about_proxy, "nothing else can be wrong: {invalid}");
        }
    }
}

fn parameters(text: &str) -> Vec<(String, Value)> {
    let fixed = json!({"target": "mx.test", "stop_after": "banner", "proxy_protocol": true});
    let mut parameters: Map<String, Value> = fixed.as_object().cloned().unwrap_or_default();
    for word in text.split(' ') {
        let (name, value) = match word.split_once('=') {
            Some((name @ ("source" | "dest"), text)) => (format!("proxy_{name}_address"), json!(text)),
            Some((name @ ("source_port" | "dest_port"), text)) => (format!("proxy_{name}"), json!(text)),
            None if word == "v2" => ("proxy_version".to_owned(), json!(2)),
            None if word == "TCP6" => ("proxy_family".to_owned(), json!(word)),
            _ => continue,
        };
        parameters.insert(name, value);
    }
    parameters.into_iter().collect()
}

fn assert_header(header: &ProxyHeader, local: SocketAddr, peer: SocketAddr) {
    let octets = match header.encode(local, peer) {
        Ok(octets) => octets,
        Err(ProxyHeaderError::TooLong(length)) => {
            return assert!(!header.is_v2 && length > MAX_V1_SIZE, "{length} octets");
        }
        Err(ProxyHeaderError::NoForm(_)) => {
            let is_v6 = |end: SocketAddr| end.ip().to_canonical().is_ipv6();
            assert!(header.family == ProxyFamily::Tcp4 && (is_v6(local) || is_v6(peer)), "{header:?} {local} {peer}");
            return;
        }
        Err(error @ ProxyHeaderError::NotAnAddress(_)) => panic!("past the check: {error}"),
    };
    if header.is_v2 {
        let addresses = if header.family == ProxyFamily::Tcp4 { 12 } else { 36 };
        assert_eq!(octets.len(), 16 + addresses, "{}", octets.escape_ascii());
    } else {
        assert_line(header, &octets);
    }
    let source = expected(&header.source, local, header.family);
    let destination = expected(&header.destination, peer, header.family);
    let (Some(source), Some(destination)) = (source, destination) else { return };
    let (parsed, length) = Parsed::parse(&octets, ParseConfig::default()).expect("an independent parser reads it");
    assert_eq!(length, octets.len(), "all of it");
    let addresses = parsed.proxied_address().expect("addresses");
    assert_eq!(addresses.source, SocketAddr::new(source, header.source_port.unwrap_or(local.port())));
    assert_eq!(addresses.destination, SocketAddr::new(destination, header.destination_port));
}

fn assert_line(header: &ProxyHeader, octets: &[u8]) {
    assert!((header.shortest_v1_line()..=MAX_V1_SIZE).contains(&octets.len()), "{} octets", octets.len());
    let line = std::str::from_utf8(octets).expect("all its parts are text");
    let line = line.strip_suffix("\r\n").expect("one line");
    assert_no_control(line);
    let words: Vec<&str> = line.split(char::is_whitespace).collect();
    assert_eq!((words.len(), words[0], words[1]), (6, "PROXY", header.family.name()), "{line}");
}

/// The address that a parser should find, if the text is one.
fn expected(address: &ProxyAddress, own: SocketAddr, family: ProxyFamily) -> Option<IpAddr> {
    let found = match address {
        ProxyAddress::Ip(ip) => Some(*ip),
        ProxyAddress::Verbatim(text) => text.parse().ok(),
        ProxyAddress::OfConnection => match (family, own.ip().to_canonical()) {
            (ProxyFamily::Tcp6, IpAddr::V4(v4)) => Some(v4.to_ipv6_mapped().into()),
            (_, ip) => Some(ip),
        },
    };
    found.filter(|ip| family.is_of(*ip))
}
