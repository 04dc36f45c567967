//! Responses of name servers: whatever is cut off a datagram, the rest says nothing else.

use smtp_check::{destination::HostName, net::resolve::answer};

/// A longer datagram is not read.
const MAX_INPUT_SIZE: usize = 4096;

/// `data` is a response to the question for the IPv4 addresses of `mx.test`, or anything else.
pub fn dns(data: &[u8]) {
    let message = &data[..data.len().min(MAX_INPUT_SIZE)];
    let name: HostName = "mx.test".parse().expect("a host name");
    let whole = answer(&name, message);
    // For a long input, single octets take longer and find nothing more.
    let step = 1 + message.len() / 512;
    for length in (0..message.len()).step_by(step) {
        if let Some(part) = answer(&name, &message[..length]) {
            assert_eq!(Some(part), whole, "the first {length} octets of {}", message.escape_ascii());
        }
    }
    let Some(whole) = whole else { return };
    // The addresses are octets of the response.
    for address in whole.split("A(").filter_map(|rest| rest.split(')').next()?.parse::<std::net::Ipv4Addr>().ok()) {
        let octets = address.octets();
        assert!(message.windows(4).any(|window| window == octets), "{address} is not in {}", message.escape_ascii());
    }
}
