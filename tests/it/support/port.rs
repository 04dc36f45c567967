//! A port on several loopback addresses: for hosts with several addresses, and domains with several hosts.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use socket2::{Domain, Socket, Type};

use super::smtpd::{Script, SmtpServer};

/// Below the ephemeral ports of the kernel, so that no other process gets one of them by chance.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port reserved for one test on 127.0.0.1 to 127.0.0.9 and `::1`. Where nothing listens, connections are refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port(u16);

impl Port {
    /// A free port.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = (process::id().wrapping_mul(97) % u32::from(COUNT)) as u16;
        let is_free = |port: u16| {
            let sockets: Option<Vec<_>> = addresses().map(|ip| bound((ip, port).into())).collect();
            sockets.is_some()
        };
        let ports = std::iter::repeat_with(|| {
            let offset = u32::from(start) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            FIRST + (offset % u32::from(COUNT)) as u16
        });
        Self(ports.take(COUNT.into()).find(|port| is_free(*port)).expect("a free port"))
    }

    /// Its number.
    pub(crate) fn number(self) -> u16 {
        self.0
    }

    /// A mail server at this address.
    pub(crate) fn serve(self, address: &str, script: Script) -> SmtpServer {
        SmtpServer::serve_at(self.at(address), script)
    }

    /// A host at this address that does not answer connection attempts.
    pub(crate) fn blackhole(self, address: &str) -> Blackhole {
        let listener = bound(self.at(address)).expect("a free port");
        listener.listen(0).expect("a bound socket can listen");
        // One connection fills the queue, and the kernel drops further SYNs.
        let filling = TcpStream::connect(self.at(address)).expect("there is room for one");
        Blackhole { _listener: listener, _filling: filling }
    }

    fn at(self, address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().expect("an IP address"), self.0)
    }
}

/// Drops connection attempts to its address, until it is dropped.
#[derive(Debug)]
pub(crate) struct Blackhole {
    _listener: Socket,
    _filling: TcpStream,
}

fn addresses() -> impl Iterator<Item = IpAddr> {
    let ipv4 = (1..=9).map(|last| IpAddr::from(Ipv4Addr::new(127, 0, 0, last)));
    ipv4.chain([Ipv6Addr::LOCALHOST.into()])
}

fn bound(address: SocketAddr) -> Option<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("the system has TCP");
    socket.bind(&address.into()).ok().map(|()| socket)
}
