//! `/etc/resolv.conf` and `/etc/hosts`: read as glibc reads them, whatever is in them.
//!
//! `glibc` is written after glibc's source, character by character, and shares nothing with the code.
//! `tests/it/real/glibc.rs` compares the code with glibc itself.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

use smtp_check::net::resolve::{host_addresses, name_servers};

use super::glibc;

/// Names that are looked up of one input: a hosts file may have thousands.
const MAX_NAMES: usize = 16;

/// `data` is a `resolv.conf`.
pub fn resolv_conf(data: &[u8]) {
    let servers: Vec<_> = name_servers(data)
        .into_iter()
        .map(|server| {
            assert_eq!(server.port(), 53);
            let scope = match server {
                SocketAddr::V4(_) => 0,
                SocketAddr::V6(server) => server.scope_id(),
            };
            (server.ip(), scope)
        })
        .collect();
    assert_eq!(servers, glibc::name_servers(data), "{}", data.escape_ascii());
}

/// `data` is a hosts file. Its own words are looked up.
pub fn hosts(data: &[u8]) {
    let is_of_name = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_');
    let words = data.split(|octet| !is_of_name(octet)).filter_map(|word| str::from_utf8(word).ok());
    for name in words.filter(|word| !word.is_empty()).take(MAX_NAMES) {
        // Each once: a name may be twice in a line.
        let mut seen = HashSet::new();
        let found: Vec<IpAddr> =
            host_addresses(data, name).into_iter().filter(|address| seen.insert(*address)).collect();
        seen.clear();
        let expected: Vec<IpAddr> =
            glibc::host_addresses(data, name).into_iter().filter(|address| seen.insert(*address)).collect();
        assert_eq!(found, expected, "{name} in {}", data.escape_ascii());
        assert_eq!(host_addresses(data, &name.to_ascii_uppercase()).len(), host_addresses(data, name).len());
    }
}
