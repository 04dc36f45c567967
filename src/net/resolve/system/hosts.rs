//! [`HostsFile`]: `/etc/hosts` (hosts(5)).

use std::{collections::HashMap, net::IpAddr};

use super::c_string;

/// The addresses of the names in a hosts file.
#[derive(Debug, Default)]
pub(in super::super) struct HostsFile {
    /// By name, in lower case.
    addresses: HashMap<Vec<u8>, Vec<IpAddr>>,
}

impl HostsFile {
    pub(in super::super) fn parse(text: &[u8]) -> Self {
        let mut addresses: HashMap<_, Vec<IpAddr>> = HashMap::new();
        for line in text.split(|octet| *octet == b'\n').map(c_string) {
            let content = line.split(|octet| *octet == b'#').next().unwrap_or_default();
            // As isspace(3) has it, which counts the vertical tab too.
            let is_space = |octet: &u8| octet.is_ascii_whitespace() || *octet == b'\x0b';
            let mut words = content.split(is_space).filter(|word| !word.is_empty());
            let address = words.next().and_then(|word| str::from_utf8(word).ok()?.parse().ok());
            let Some(address) = address else { continue };
            for name in words {
                addresses.entry(name.to_ascii_lowercase()).or_default().push(address);
            }
        }
        Self { addresses }
    }

    /// The addresses of this name, in the order of the file.
    pub(in super::super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.addresses.get(name.to_ascii_lowercase().as_bytes()).cloned().unwrap_or_default()
    }
}
