//! What all our sockets share: the receive buffer, sender credentials, the kernel's drop counter.
//!
//! A datagram that finds the receive buffer full is dropped by the kernel before we could count it.
//! It is lost there, and [`kernel_drops`] says how many.

pub mod holder;
pub mod udp;
pub mod unix;

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockRef;

/// The kernel doubles the wish in an `int`; more would overflow there.
const WANTED_BYTES_MAX: usize = libc::c_int::MAX as usize / 2;

/// What the kernel granted when asked for a receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// Bytes the kernel may charge to the queue of this socket. Twice what was asked when all went
    /// well: the kernel doubles the wish to pay for its own bookkeeping.
    pub effective_bytes: usize,
    /// Whether `net.core.rmem_max` was passed over, which needs `CAP_NET_ADMIN`.
    pub forced: bool,
}

// === impl ReceiveBuffer ===

impl ReceiveBuffer {
    /// Asks for `wanted_bytes` (the kernel doubles them), forced if we may, else as much as
    /// `net.core.rmem_max` allows, and reads back what came of it. 0 leaves the system's default.
    ///
    /// # Errors
    ///
    /// When `SO_RCVBUF` is refused or cannot be read: not a socket.
    pub fn set(socket: &impl AsFd, wanted_bytes: usize) -> io::Result<Self> {
        let socket_ref = SockRef::from(socket);
        let mut forced = false;
        if wanted_bytes > 0 {
            forced = force_receive_buffer(socket, wanted_bytes).is_ok();
            if !forced {
                socket_ref.set_recv_buffer_size(wanted_bytes.min(WANTED_BYTES_MAX))?;
            }
        }
        Ok(Self {
            effective_bytes: socket_ref.recv_buffer_size()?,
            forced,
        })
    }
}

/// Asks the kernel to attach pid, uid and gid of the sender to each datagram.
///
/// # Errors
///
/// When the kernel refuses; origins then stay unknown, nothing else changes.
pub fn pass_credentials(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_passcred(true)
}

/// Datagrams this socket's queue refused since it was made; wraps at 2³².
///
/// Read from `SO_MEMINFO`, the same number as the last column of `/proc/net/udp`. The count that
/// comes along with datagrams (`SO_RXQ_OVFL`) lags behind by what was dropped last.
///
/// # Errors
///
/// On kernels before 4.12, which have no `SO_MEMINFO`.
pub fn kernel_drops(socket: &impl AsFd) -> io::Result<u32> {
    let mut words = [0u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut len = size_of_val(&words) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: getsockopt(2) writes at most `*optlen` bytes at `optval` and the written length back
    // to `optlen`. `words` is exclusively ours and exactly `len` bytes; both live across the call.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            words.as_mut_ptr().cast(),
            &mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (len as usize) < size_of_val(&words) {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    Ok(words[libc::SK_MEMINFO_DROPS as usize])
}

fn force_receive_buffer(socket: &impl AsFd, wanted_bytes: usize) -> io::Result<()> {
    let value = wanted_bytes.min(WANTED_BYTES_MAX) as libc::c_int;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: setsockopt(2) reads `optlen` bytes at `optval`: a live c_int and its size.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn the_receive_buffer_is_reported_as_granted() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = ReceiveBuffer::set(&socket, 0).unwrap();
        assert!(before.effective_bytes > 0 && !before.forced);
        let after = ReceiveBuffer::set(&socket, 64 * 1024).unwrap();
        assert_eq!(after.effective_bytes, 128 * 1024);
    }

    #[test]
    fn an_absurd_receive_buffer_is_not_an_error() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(ReceiveBuffer::set(&socket, usize::MAX).is_ok());
    }

    #[test]
    fn datagrams_that_find_the_queue_full_are_counted_by_the_kernel() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        ReceiveBuffer::set(&receiver, 1).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(kernel_drops(&receiver).unwrap(), 0);
        const SENT: u32 = 200;
        for _ in 0..SENT {
            sender
                .send_to(&[b'x'; 100], receiver.local_addr().unwrap())
                .unwrap();
        }
        receiver.set_nonblocking(true).unwrap();
        let mut buffer = [0; 200];
        let mut read = 0;
        while receiver.recv(&mut buffer).is_ok() {
            read += 1;
        }
        // On loopback a send ends in the receiver's queue or in its drop counter before it returns.
        assert_eq!(read + kernel_drops(&receiver).unwrap(), SENT);
        assert!(read < SENT);
    }
}
