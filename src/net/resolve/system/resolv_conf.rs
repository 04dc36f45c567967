//! `/etc/resolv.conf` (resolv.conf(5)): its `nameserver` lines, and those of its options that make a difference for
//! absolute names. `search` and `domain` lines make none.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use super::{super::servers::Options, c_string};

/// Servers that are used; glibc's MAXNS.
const MAX_SERVERS: usize = 3;
const PORT: u16 = 53;
/// The longest `timeout`, in seconds; glibc's RES_MAXRETRANS.
const MAX_TIMEOUT_SECONDS: u32 = 30;
/// The most `attempts`; glibc's RES_MAXRETRY.
const MAX_ATTEMPTS: u32 = 5;

/// The name servers: the first three, or 127.0.0.1 if there is none.
pub(super) fn name_servers(text: &[u8]) -> Vec<SocketAddr> {
    let lines = text.split(|octet| *octet == b'\n').map(c_string);
    let mut servers: Vec<_> = lines.filter_map(name_server).take(MAX_SERVERS).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

/// The options of all `options` lines, then those of the variable RES_OPTIONS: a later one counts.
pub(super) fn options(text: &[u8], variable: &[u8], defaults: Options) -> Options {
    let lines = text.split(|octet| *octet == b'\n').map(c_string);
    let values =
        lines.filter_map(|line| line.strip_prefix(b"options")).filter(|value| value.first().is_some_and(is_blank));
    values.chain([c_string(variable)]).flat_map(words).fold(defaults, with_option)
}

/// The text from each word on: the number of an option may have blanks before it.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_start = |index: &usize| !is_blank(&text[*index]) && (*index == 0 || is_blank(&text[*index - 1]));
    (0..text.len()).filter(is_start).map(|index| &text[index..])
}

/// As glibc does, a word counts by its beginning. Numbers are within glibc's bounds; there, 0 attempts would ask no
/// server.
fn with_option(options: Options, word: &[u8]) -> Options {
    let number = |name: &[u8], max| word.strip_prefix(name).map(|digits| leading_number(digits).clamp(1, max));
    if let Some(seconds) = number(b"timeout:", MAX_TIMEOUT_SECONDS) {
        return Options { server_timeout: Duration::from_secs(seconds.into()), ..options };
    }
    if let Some(attempts) = number(b"attempts:", MAX_ATTEMPTS) {
        return Options { attempts, ..options };
    }
    Options {
        rotate: options.rotate || word.starts_with(b"rotate"),
        tcp_only: options.tcp_only || word.starts_with(b"use-vc"),
        no_aaaa: options.no_aaaa || word.starts_with(b"no-aaaa"),
        edns: options.edns || word.starts_with(b"edns0"),
        ..options
    }
}

/// As atoi(3) reads it: what is no number is 0, and a negative number counts as 0 here.
fn leading_number(text: &[u8]) -> u32 {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit());
    digits.fold(0, |number: u32, digit| number.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
}

fn is_blank(octet: &u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// The keyword is at the beginning of the line, with a space or tab behind it. What follows the address does not count.
fn name_server(line: &[u8]) -> Option<SocketAddr> {
    let value = line.strip_prefix(b"nameserver")?;
    value.first().filter(|octet| is_blank(octet))?;
    let word = value.split(is_blank).find(|word| !word.is_empty())?;
    if let Some(address) = str::from_utf8(word).ok().and_then(ipv4) {
        return Some((address, PORT).into());
    }
    let mut parts = word.splitn(2, |octet| *octet == b'%');
    let address: Ipv6Addr = str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    // A scope that cannot be read does not spoil the address.
    let scope_id = parts.next().and_then(|scope| scope_id(address, str::from_utf8(scope).ok()?));
    Some(SocketAddrV6::new(address, PORT, 0, scope_id.unwrap_or_default()).into())
}

/// An address as inet_aton(3) reads it: one to four numbers, each decimal, octal or hexadecimal.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
    let numbers = numbers?;
    let (last, first) = numbers.split_last()?;
    // The last number fills the octets that are left.
    let octets_left = 4_usize.checked_sub(first.len()).filter(|left| *left > 0)?;
    let limit = u32::MAX >> (8 * (4 - octets_left));
    if *last > limit || first.iter().any(|number| *number > 255) {
        return None;
    }
    let high = (0..).zip(first).fold(0, |sum, (index, number)| sum | number << (24 - 8 * index));
    Some(Ipv4Addr::from_bits(high | last))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix('0') {
        Some(rest) if rest.starts_with(['x', 'X']) => (&rest[1..], 16),
        Some(rest) if !rest.is_empty() => (rest, 8),
        _ => (text, 10),
    };
    // `from_str_radix` takes a sign as well.
    u32::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
}

/// The index of a network interface: by its name, if the address is of one link, or as a number.
fn scope_id(address: Ipv6Addr, scope: &str) -> Option<u32> {
    if is_of_link(address)
        && !scope.contains('/')
        && let Ok(index) = fs::read_to_string(format!("/sys/class/net/{scope}/ifindex"))
    {
        return index.trim().parse().ok();
    }
    // `parse` takes a sign as well.
    scope.parse().ok().filter(|_| !scope.starts_with('+'))
}

/// Whether an address is of one link only, so that it is of no use without an interface.
fn is_of_link(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02
}
