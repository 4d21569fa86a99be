//! Who is at the other end of a connected Unix socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Process, user and group of a sender, as the kernel vouches for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Process id in our namespace; 0 = not known, or outside our namespace.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

// === impl Credentials ===

impl Credentials {
    /// Who connected, at the time of connecting. One system call; once per connection.
    ///
    /// # Errors
    ///
    /// When the socket is not a connected Unix socket.
    pub fn of_peer(socket: &impl AsFd) -> io::Result<Self> {
        let mut credentials = libc::ucred {
            pid: 0,
            uid: 0,
            gid: 0,
        };
        let mut len = size_of_val(&credentials) as libc::socklen_t;
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: getsockopt(2) writes at most `*optlen` bytes at `optval` and the written length
        // back to `optlen`. `credentials` is exactly `len` bytes of plain integers; both live.
        let result = unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut credentials).cast(),
                &mut len,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self::from(credentials))
    }
}

impl From<libc::ucred> for Credentials {
    fn from(kernel: libc::ucred) -> Self {
        Self {
            // The kernel never reports a negative pid; if it did, it would mean "unknown" to us.
            pid: u32::try_from(kernel.pid).unwrap_or(0),
            uid: kernel.uid,
            gid: kernel.gid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_pair_of_sockets_belongs_to_us() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Credentials::of_peer(&one).unwrap().pid, std::process::id());
    }

    #[test]
    fn a_udp_socket_has_no_peer_to_ask() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let answer = Credentials::of_peer(&socket);
        assert!(answer.is_err() || answer.is_ok_and(|credentials| credentials.pid == 0));
    }
}
