//! From where to where a UDP datagram went: its sender's address, and which of our addresses it was sent to.
//!
//! A socket bound to every address learns the second from a control message only, so [`watch`] asks for it.
//! There is room for that one message. UDP cannot carry open files, so more room would do no harm, but it
//! would do no good either. Used for UDP sockets only: [`crate::cmsg`] has another rule for Unix ones.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

/// Where a datagram came from and went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Who sent it, as far as its header says.
    pub source: SocketAddr,
    /// Our address it was sent to.
    pub local: SocketAddr,
}

/// Room for the addresses of one call, and what came of it for each slot.
pub(crate) struct PeerRoom {
    pub(crate) spaces: Box<[Space]>,
    pub(crate) peers: Box<[Peer]>,
    /// How many of `peers` belong to datagrams that are there.
    pub(crate) filled: usize,
}

/// Where the kernel writes the addresses of one datagram.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Space {
    /// A `sockaddr_in` or `sockaddr_in6`.
    pub(crate) name: [u8; NAME_BYTES],
    /// One control message.
    pub(crate) control: [u8; CONTROL_BYTES],
}

/// A `sockaddr_in6`, padded so that what follows is aligned.
const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>().next_multiple_of(8);
const HEADER_BYTES: usize = size_of::<libc::cmsghdr>().next_multiple_of(8);
/// `CMSG_SPACE(sizeof(struct in6_pktinfo))`, the larger of the two; checked against libc by a test.
const CONTROL_BYTES: usize = HEADER_BYTES + size_of::<libc::in6_pktinfo>().next_multiple_of(8);

const NOBODY: Peer = Peer {
    source: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    local: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
};

/// Asks the kernel to say, with each datagram, to which of our addresses it was sent.
///
/// # Errors
///
/// When the kernel refuses; the address the socket is bound to is all that is known then.
pub fn watch(socket: &impl AsFd, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = match is_ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    let on: libc::c_int = 1;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: setsockopt(2) reads `optlen` bytes at `optval`: a live c_int and its size.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            option,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

// === impl PeerRoom ===

impl PeerRoom {
    pub(crate) fn new(slots: usize, per_call: usize) -> Self {
        Self {
            spaces: vec![Space::EMPTY; per_call].into_boxed_slice(),
            peers: vec![NOBODY; slots].into_boxed_slice(),
            filled: 0,
        }
    }
}

// === impl Space ===

impl Space {
    const EMPTY: Self = Self {
        name: [0; NAME_BYTES],
        control: [0; CONTROL_BYTES],
    };

    /// What the kernel wrote; `local` is what the socket is bound to. Reads bytes only, trusts no length.
    pub(crate) fn peer(&self, name_len: usize, control_len: usize, local: SocketAddr) -> Peer {
        let name = &self.name[..name_len.min(NAME_BYTES)];
        let control = &self.control[..control_len.min(CONTROL_BYTES)];
        let address = destination(control).filter(|_| local.ip().is_unspecified());
        Peer {
            source: source(name).unwrap_or(NOBODY.source),
            local: match address {
                Some(address) => SocketAddr::new(address, local.port()),
                None => local,
            },
        }
    }
}

fn source(name: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(name.get(..2)?.try_into().ok()?));
    let port = u16::from_be_bytes(name.get(2..4)?.try_into().ok()?);
    let address = match family {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::from(array::<4>(name, 4)?)),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(array::<16>(name, 8)?)),
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), port))
}

fn destination(control: &[u8]) -> Option<IpAddr> {
    const LEVEL_AT: usize = std::mem::offset_of!(libc::cmsghdr, cmsg_level);
    const TYPE_AT: usize = std::mem::offset_of!(libc::cmsghdr, cmsg_type);
    const V4_AT: usize = HEADER_BYTES + std::mem::offset_of!(libc::in_pktinfo, ipi_addr);
    const V6_AT: usize = HEADER_BYTES + std::mem::offset_of!(libc::in6_pktinfo, ipi6_addr);
    let level = i32::from_ne_bytes(array(control, LEVEL_AT)?);
    let kind = i32::from_ne_bytes(array(control, TYPE_AT)?);
    let address = match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => IpAddr::from(array::<4>(control, V4_AT)?),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => IpAddr::from(array::<16>(control, V6_AT)?),
        _ => return None,
    };
    Some(address.to_canonical())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmsg;
    use crate::slots::{Senders, Slots};
    use std::net::UdpSocket;

    #[test]
    fn the_space_is_what_the_kernel_needs_for_one_message() {
        // SAFETY: CMSG_SPACE(3) is arithmetic on its argument.
        let space = unsafe { libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as u32) };
        assert_eq!(CONTROL_BYTES, space as usize);
    }

    #[test]
    fn nothing_is_read_from_empty_or_short_answers() {
        let local = "0.0.0.0:5".parse().unwrap();
        for len in 0..64 {
            let peer = Space::EMPTY.peer(len, len, local);
            assert_eq!(peer.source, NOBODY.source);
            assert_eq!(peer.local, local);
        }
    }

    #[test]
    fn a_socket_on_every_address_learns_where_a_datagram_was_sent() {
        for (bound, target, from) in [
            ("0.0.0.0:0", "127.0.0.7", "127.0.0.3:0"),
            ("[::]:0", "::1", "[::1]:0"),
        ] {
            let Ok(receiver) = UdpSocket::bind(bound) else {
                assert!(bound.starts_with('['), "only IPv6 may be missing");
                continue;
            };
            let local = receiver.local_addr().unwrap();
            watch(&receiver, local.is_ipv6()).unwrap();
            let sender = UdpSocket::bind(from).unwrap();
            let target = SocketAddr::new(target.parse().unwrap(), local.port());
            sender.send_to(b"x", target).unwrap();
            sender.send_to(b"y", target).unwrap();
            let mut slots = Slots::new(4, 64, Senders::Ignored).with_peers();
            assert_eq!(
                mmsg::receive_from(&receiver, local, &mut slots, 4).unwrap(),
                2
            );
            let expected = Peer {
                source: sender.local_addr().unwrap(),
                local: target,
            };
            assert_eq!(slots.peers(), [expected; 2]);
            slots.clear();
            assert!(slots.peers().is_empty());
        }
    }

    #[test]
    fn slots_without_room_for_peers_have_none() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = receiver.local_addr().unwrap();
        receiver.send_to(b"x", local).unwrap();
        let mut slots = Slots::new(4, 64, Senders::Ignored);
        assert_eq!(
            mmsg::receive_from(&receiver, local, &mut slots, 4).unwrap(),
            1
        );
        assert!(slots.peers().is_empty());
    }
}
