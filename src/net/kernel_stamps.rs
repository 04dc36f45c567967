//! Linux's stamps of segments that arrive: to ask for them, and to read them beside the octets.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, TimestampingFlag, recvmsg, setsockopt, sockopt},
};
use tokio::{
    io::{Interest, ReadBuf},
    net::TcpStream,
};

/// Room for the control message with the stamps, of three `timespec` with its header, and more.
const CONTROL_SIZE: usize = 128;

/// Room for control messages, aligned as their header has to be.
#[repr(align(8))]
struct Control([u8; CONTROL_SIZE]);

/// Has the kernel stamp what arrives at this socket.
///
/// # Errors
/// The kernel has no such option. What is read has no stamp then.
pub(super) fn enable(socket: &impl AsFd) -> io::Result<()> {
    let software = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    Ok(setsockopt(socket, sockopt::Timestamping, &software)?)
}

/// Octets as of [`tokio::io::AsyncRead::poll_read`], and the stamp of the segment that the last of them came with.
pub(super) fn poll_read(
    tcp: &TcpStream,
    context: &mut Context<'_>,
    read: &mut ReadBuf<'_>,
) -> Poll<io::Result<Option<SystemTime>>> {
    loop {
        ready!(tcp.poll_read_ready(context))?;
        match try_read(tcp, read.initialize_unfilled()) {
            Ok((octets, stamp)) => {
                read.advance(octets);
                return Poll::Ready(Ok(stamp));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// Reads octets, and the stamp of the segment that the last of them came with, if the runtime knows that there may be
/// some. Does not wait.
///
/// # Errors
/// The system's; `WouldBlock` if there are none.
pub(super) fn try_read(tcp: &TcpStream, octets: &mut [u8]) -> io::Result<(usize, Option<SystemTime>)> {
    let room = octets.len();
    let mut received = None;
    let outcome = tcp.try_io(Interest::READABLE, || {
        let (octets, _) = *received.insert(receive(tcp, octets)?);
        // Fewer octets than there was room for: there are no more. The next read need not find that out by a system
        // call, so the runtime is told now. It does the same in its own reads.
        if (1..room).contains(&octets) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match received {
        Some(received) => Ok(received),
        None => Err(outcome.err().unwrap_or_else(|| io::ErrorKind::WouldBlock.into())),
    }
}

fn receive(tcp: &TcpStream, octets: &mut [u8]) -> io::Result<(usize, Option<SystemTime>)> {
    let mut control = Control([0; CONTROL_SIZE]);
    let mut buffers = [IoSliceMut::new(octets)];
    let message = loop {
        match recvmsg::<()>(tcp.as_raw_fd(), &mut buffers, Some(&mut control.0), MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            done => break done?,
        }
    };
    let octets = message.bytes;
    let mut messages = message.cmsgs().into_iter().flatten();
    let stamp = messages.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampsns(stamps) => Some(stamps.system),
        _ => None,
    });
    Ok((octets, stamp.and_then(|stamp| wall_clock(stamp.tv_sec(), stamp.tv_nsec()))))
}

/// The kernel's zero is no stamp.
fn wall_clock(seconds: i64, nanos: i64) -> Option<SystemTime> {
    let since = Duration::new(seconds.try_into().ok()?, nanos.try_into().ok()?);
    (!since.is_zero()).then_some(UNIX_EPOCH + since)
}
