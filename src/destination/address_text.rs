//! Addresses as texts. `std::fmt` takes five times the instructions for an IPv4 address.

use std::net::{IpAddr, SocketAddr};

use crate::decimal;

/// The address as a text: what `to_string` returns, for IPv4 at a fifth of the instructions.
pub fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255:65535".len());
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        decimal::push(&mut text, octet.into());
    }
    text
}

/// The address and port as a text: what `to_string` returns, for IPv4 at a fifth of the instructions.
pub fn socket_address_text(address: SocketAddr) -> String {
    if address.is_ipv6() {
        return address.to_string();
    }
    let mut text = address_text(address.ip());
    text.push(':');
    decimal::push(&mut text, address.port().into());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_text_of_std() {
        for text in ["0.0.0.0", "127.0.0.1", "192.0.2.10", "255.255.255.255", "::1", "2001:db8::25"] {
            let address = text.parse().expect("an address");
            assert_eq!(address_text(address), text);
            let address = SocketAddr::new(address, 2580);
            assert_eq!(socket_address_text(address), address.to_string());
        }
    }
}
