//! A model of how glibc 2.36 reads `resolv.conf` and `hosts`, function by function.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::OnceLock,
};

/// `resolv/res_init.c`, `res_vinit_1`: addresses and scopes of the first three servers.
pub(super) fn name_servers(text: &[u8]) -> Vec<(IpAddr, u32)> {
    let mut servers = Vec::new();
    for line in c_lines(text) {
        // MATCH (line, "nameserver")
        if !line.starts_with(b"nameserver") || !matches!(at(line, 10), b' ' | b'\t') {
            continue;
        }
        let mut begin = 10;
        while matches!(at(line, begin), b' ' | b'\t') {
            begin += 1;
        }
        let mut end = begin;
        while !matches!(at(line, end), 0 | b' ' | b'\t' | b'\n') {
            end += 1;
        }
        let word = &line[begin..end];
        if let Some(address) = inet_aton_exact(word) {
            servers.push((address.into(), 0));
            continue;
        }
        let (word, scope) = match word.iter().position(|octet| *octet == b'%') {
            Some(delimiter) => (&word[..delimiter], Some(&word[delimiter + 1..])),
            None => (word, None),
        };
        if let Some(address) = inet_pton6(word) {
            let scope = scope.and_then(|scope| scope_id(address, scope)).unwrap_or(0);
            servers.push((address.into(), scope));
        }
    }
    servers.truncate(3);
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST.into(), 0));
    }
    servers
}

/// `nss/nss_files/files-hosts.c`, `_nss_files_gethostbyname4_r`: an address for each line with the name.
pub(super) fn host_addresses(text: &[u8], name: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in c_lines(text) {
        // LINE_PARSER: strpbrk (line, "#\n")
        let mut end = 0;
        while !matches!(at(line, end), 0 | b'#' | b'\n') {
            end += 1;
        }
        let mut fields: Vec<Vec<u8>> = vec![Vec::new()];
        for octet in &line[..end] {
            if is_space(*octet) {
                fields.push(Vec::new());
            } else if let Some(field) = fields.last_mut() {
                field.push(*octet);
            }
        }
        fields.retain(|field| !field.is_empty());
        let Some((address, names)) = fields.split_first() else { continue };
        let address = inet_pton4(address).map(IpAddr::from).or_else(|| inet_pton6(address).map(IpAddr::from));
        let Some(address) = address else { continue };
        if names.iter().any(|other| other.eq_ignore_ascii_case(name.as_bytes())) {
            addresses.push(address);
        }
    }
    addresses
}

/// The lines of getline(3) or fgets(3), each with its LF, up to a NUL.
fn c_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|octet| *octet == b'\n').map(|line| {
        let length = (0..).find(|index| at(line, *index) == 0).unwrap_or(0);
        &line[..length]
    })
}

/// A character of a C string.
fn at(text: &[u8], index: usize) -> u8 {
    text.get(index).copied().unwrap_or(0)
}

/// isspace(3) in the C locale.
fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | 0x09..=0x0d)
}

/// `resolv/inet_addr.c`, `inet_aton_end`, and nothing behind it.
fn inet_aton_exact(text: &[u8]) -> Option<Ipv4Addr> {
    const MAX: [u64; 4] = [0xffff_ffff, 0xff_ffff, 0xffff, 0xff];
    let (mut octets, mut parts, mut begin) = ([0; 4], 0, 0);
    let value = loop {
        if !at(text, begin).is_ascii_digit() {
            return None;
        }
        let (value, end) = strtoul(text, begin);
        if value > 0xffff_ffff {
            return None;
        }
        if at(text, end) != b'.' {
            if end != text.len() {
                return None;
            }
            break value;
        }
        if parts > 2 {
            return None;
        }
        octets[parts] = u8::try_from(value).ok()?;
        parts += 1;
        begin = end + 1;
    };
    if value > MAX[parts] {
        return None;
    }
    Some(Ipv4Addr::from(u32::from_be_bytes(octets) | value as u32))
}

/// strtoul(3) with base 0: the value and its end. A value that is too large stays too large.
fn strtoul(text: &[u8], begin: usize) -> (u64, usize) {
    let is_hexadecimal = at(text, begin) == b'0'
        && matches!(at(text, begin + 1), b'x' | b'X')
        && at(text, begin + 2).is_ascii_hexdigit();
    let (mut end, base) = match at(text, begin) {
        b'0' if is_hexadecimal => (begin + 2, 16),
        b'0' => (begin, 8),
        _ => (begin, 10),
    };
    let mut value = 0_u64;
    while let Some(digit) = char::from(at(text, end)).to_digit(base) {
        value = value.saturating_mul(base.into()).saturating_add(digit.into());
        end += 1;
    }
    (value, end)
}

/// `resolv/inet_pton.c`, `inet_pton4`.
fn inet_pton4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut saw_digit, mut count) = ([0_u8; 4], false, 0);
    for octet in text {
        match octet {
            b'0'..=b'9' => {
                if !saw_digit {
                    count += 1;
                    if count > 4 {
                        return None;
                    }
                } else if octets[count - 1] == 0 {
                    return None;
                }
                let value = u32::from(octets[count - 1]) * 10 + u32::from(octet - b'0');
                octets[count - 1] = u8::try_from(value).ok()?;
                saw_digit = true;
            }
            b'.' if saw_digit && count < 4 => saw_digit = false,
            _ => return None,
        }
    }
    // A dot behind the third number leaves three.
    (count == 4).then(|| octets.into())
}

/// `resolv/inet_pton.c`, `inet_pton6`.
fn inet_pton6(text: &[u8]) -> Option<Ipv6Addr> {
    let (mut octets, mut length) = (Vec::new(), None);
    let (mut digits, mut value, mut begin) = (0, 0_u16, 0);
    let mut index = 0;
    if at(text, 0) == b':' {
        index = 1;
        if at(text, 1) != b':' {
            return None;
        }
        begin = 1;
    }
    while index < text.len() {
        let octet = text[index];
        index += 1;
        if let Some(digit) = char::from(octet).to_digit(16) {
            if digits == 4 {
                return None;
            }
            value = value << 4 | digit as u16;
            digits += 1;
            continue;
        }
        if octet == b':' {
            begin = index;
            if digits == 0 {
                if length.is_some() {
                    return None;
                }
                length = Some(octets.len());
                continue;
            }
            if index == text.len() || octets.len() + 2 > 16 {
                return None;
            }
            octets.extend(value.to_be_bytes());
            (digits, value) = (0, 0);
            continue;
        }
        if octet == b'.' && octets.len() + 4 <= 16 {
            octets.extend(inet_pton4(&text[begin..])?.octets());
            digits = 0;
            break;
        }
        return None;
    }
    if digits > 0 {
        if octets.len() + 2 > 16 {
            return None;
        }
        octets.extend(value.to_be_bytes());
    }
    if let Some(length) = length {
        if octets.len() == 16 {
            return None;
        }
        let zeros = vec![0; 16 - octets.len()];
        octets.splice(length..length, zeros);
    }
    Some(<[u8; 16]>::try_from(octets).ok()?.into())
}

/// `inet/inet6_scopeid_pton.c`.
fn scope_id(address: Ipv6Addr, scope: &[u8]) -> Option<u32> {
    let [first, second, ..] = address.octets();
    let is_of_link = first == 0xfe && second & 0xc0 == 0x80 || first == 0xff && second & 0x0f == 2;
    if is_of_link && let Some(index) = interfaces().get(scope) {
        return Some(*index);
    }
    let is_number = !scope.is_empty() && scope.iter().all(u8::is_ascii_digit);
    is_number.then(|| str::from_utf8(scope).ok()?.parse().ok()).flatten()
}

/// if_nametoindex(3).
fn interfaces() -> &'static HashMap<Vec<u8>, u32> {
    static INTERFACES: OnceLock<HashMap<Vec<u8>, u32>> = OnceLock::new();
    INTERFACES.get_or_init(|| {
        let names = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        let indexes = names.filter_map(|name| {
            let index = fs::read_to_string(name.path().join("ifindex")).ok()?.trim().parse().ok()?;
            Some((name.file_name().into_encoded_bytes(), index))
        });
        indexes.collect()
    })
}
