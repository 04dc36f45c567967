//! [`TargetPolicy`]: the targets that the operator allows, by name, address and port.
//!
//! Only the policy makes an [`Admitted`], and [`Dial`](crate::net::dial::Dial) takes nothing else. So the types ensure
//! that no forbidden address is connected to, whatever its name.

mod addresses;
mod hosts;

use std::{collections::BTreeSet, net::SocketAddr};

use ipnet::IpNet;

use self::addresses::AddressRules;
use super::{HostName, Target};

pub use addresses::canonical_net;
pub use hosts::{HostRule, HostRules, InvalidHostRule};

/// The operator's rules about names, addresses and ports. All three have to allow a target: an allowed name does not
/// allow a denied address.
#[derive(Clone, Debug)]
pub struct TargetPolicy {
    hosts: HostRules,
    addresses: AddressRules,
    /// Empty: any port.
    ports: BTreeSet<u16>,
}

impl TargetPolicy {
    /// Denied by default, unless explicitly allowed: addresses that are not those of one host, and link-local ones,
    /// where clouds serve the credentials of their machines.
    pub const BUILT_IN_DENY: [&str; 7] =
        ["0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/128", "fe80::/10", "ff00::/8"];

    /// Denied in the same way: addresses that are not link-local where clouds serve metadata and credentials.
    pub const CLOUD_METADATA: [&str; 10] = [
        // Alibaba Cloud.
        "100.100.100.200/32",
        "fd00:100::100:200/128",
        // Azure's wire server.
        "168.63.129.16/32",
        // Oracle, the classic cloud and today's.
        "192.0.0.192/32",
        "fd00:c1::a9fe:a9fe/128",
        // AWS: the instance's, and the agent that has the credentials of EKS pods.
        "fd00:ec2::254/128",
        "fd00:ec2::23/128",
        // Google Cloud.
        "fd20:ce::254/128",
        // Scaleway.
        "fd00:42::42/128",
        // Akamai, formerly Linode.
        "fd00:a9fe:a9fe::1/128",
    ];

    /// A policy with the built-in lists, further networks to deny, networks to allow although denied, and the ports to
    /// allow (none: any). It allows any name.
    pub fn new(
        deny: impl IntoIterator<Item = IpNet>,
        allow: impl IntoIterator<Item = IpNet>,
        ports: impl IntoIterator<Item = u16>,
    ) -> Self {
        let built_in = Self::BUILT_IN_DENY.iter().chain(&Self::CLOUD_METADATA);
        let built_in = built_in.map(|net| net.parse().expect("the built-in lists contain networks"));
        let addresses = AddressRules::new(built_in.chain(deny), allow);
        Self { hosts: HostRules::default(), addresses, ports: ports.into_iter().collect() }
    }

    /// The same policy with these rules about names.
    #[must_use]
    pub fn with_hosts(self, hosts: HostRules) -> Self {
        Self { hosts, ..self }
    }

    /// Whether this target and port are allowed, as far as that is known without DNS.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admit_target(&self, target: &Target, port: u16) -> Result<(), Forbidden> {
        self.check_port(port)?;
        match target {
            Target::Host(name) => self.hosts.check(name),
            Target::MxOf(domain) => self.hosts.check_domain(domain),
            Target::Exchange(exchange) => {
                let permission = self.admit_exchange(&exchange.domain, &exchange.host)?;
                permission.address(SocketAddr::new(exchange.address, port)).map(drop)
            }
            Target::Address(address) => self.admit_literal().address(SocketAddr::new(*address, port)).map(drop),
        }
    }

    /// The permission to connect to the addresses of the host of this name.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admit_host(&self, name: &HostName) -> Result<AdmittedHost<'_>, Forbidden> {
        self.hosts.check(name).map(|()| AdmittedHost { policy: self, has_name: true })
    }

    /// The permission to connect to the addresses of this mail exchanger of the domain.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admit_exchange(&self, domain: &HostName, exchange: &HostName) -> Result<AdmittedHost<'_>, Forbidden> {
        self.hosts.check_exchange(domain, exchange).map(|()| AdmittedHost { policy: self, has_name: true })
    }

    /// The permission for a target that is an address, which has no name.
    pub fn admit_literal(&self) -> AdmittedHost<'_> {
        AdmittedHost { policy: self, has_name: false }
    }

    fn check_port(&self, port: u16) -> Result<(), Forbidden> {
        if self.ports.is_empty() || self.ports.contains(&port) { Ok(()) } else { Err(Forbidden::Port { port }) }
    }
}

impl Default for TargetPolicy {
    /// The built-in lists, and any name and port.
    fn default() -> Self {
        Self::new([], [], [])
    }
}

/// The permission to connect to the host of a name. Each of its addresses needs one too.
#[derive(Clone, Copy, Debug)]
pub struct AdmittedHost<'p> {
    policy: &'p TargetPolicy,
    has_name: bool,
}

impl AdmittedHost<'_> {
    /// The permission to connect to this address, in its canonical form: an IPv4-mapped address is admitted as the IPv4
    /// address.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn address(self, address: SocketAddr) -> Result<Admitted, Forbidden> {
        let TargetPolicy { hosts, addresses, .. } = self.policy;
        let (ip, port) = (address.ip().to_canonical(), address.port());
        self.policy.check_port(port)?;
        addresses.check(ip)?;
        if !self.has_name && hosts.has_allow_list() && !addresses.is_allowed(ip) {
            return Err(Forbidden::Nameless);
        }
        Ok(Admitted(SocketAddr::new(ip, port)))
    }
}

/// An address that may be connected to: the one, in canonical form, that the policy has checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admitted(SocketAddr);

impl Admitted {
    /// The address to dial.
    pub fn socket_addr(self) -> SocketAddr {
        self.0
    }
}

/// The rule that forbids a target. It contains the network and not the address: a caller who named a host must not
/// learn what it resolves to inside this network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The name is denied.
    #[error("the target's name falls under {rule}, to whose hosts this service may not connect")]
    Host {
        /// The name that is denied with all below it.
        rule: HostRule,
    },
    /// Only other names are allowed.
    #[error("the target's name is not one of those that this service may connect to")]
    Unlisted,
    /// Only certain names are allowed, and an address has none.
    #[error("the target is an address without a name, and this service may only connect to hosts of certain names")]
    Nameless,
    /// The address is in a denied network.
    #[error("the target is in {net}, a network that this service may not connect to")]
    Address {
        /// The network that is denied.
        net: IpNet,
    },
    /// The IPv6 address has an embedded IPv4 address in a denied network.
    #[error("the target leads to {net}, a network that this service may not connect to")]
    Embedded {
        /// The network that is denied.
        net: IpNet,
    },
    /// Only other ports are allowed.
    #[error("this service may not connect to port {port}")]
    Port {
        /// The port that is not allowed.
        port: u16,
    },
}

#[cfg(test)]
mod tests;
