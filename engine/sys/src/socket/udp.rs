//! UDP sockets of a port group: several sockets, one address, and the kernel spreads senders over
//! them by source address and port.
//!
//! `SO_REUSEPORT` also lets a stranger of the same user join the group and take half of the
//! datagrams without anybody noticing. So the first socket of a group binds without it, which fails
//! when anybody else is there, and opens the group afterwards.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::socket::ReceiveBuffer;

/// Sockets that share one address, in the order they were bound.
#[derive(Debug)]
pub struct UdpGroup {
    /// One per member, non-blocking. Closing one loses what is queued in it and moves senders to
    /// other members: keep all until the process ends.
    pub members: Vec<UdpSocket>,
    /// Where they are bound; the real port when 0 was asked for.
    pub address: SocketAddr,
    /// What the first member got; the others ask for the same.
    pub receive_buffer: ReceiveBuffer,
}

// === impl UdpGroup ===

impl UdpGroup {
    /// Binds `members` sockets to `address`. IPv6 sockets take IPv6 only, so that a group for each
    /// family can share a port.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when anybody else holds the port, in a group or not; otherwise what the kernel
    /// says. Nothing stays bound then.
    pub fn bind(
        address: SocketAddr,
        members: usize,
        receive_buffer_bytes: usize,
    ) -> io::Result<Self> {
        let first = open(address)?;
        let receive_buffer = ReceiveBuffer::set(&first, receive_buffer_bytes)?;
        first.bind(&address.into())?;
        // From here on, sockets that ask for the group as well may bind.
        first.set_reuse_port(true)?;
        Self::complete(first, receive_buffer, members, receive_buffer_bytes)
    }

    /// The same beside another group of this process that has the port on other addresses: 0.0.0.0
    /// beside 127.0.0.1. A stranger of the same user is not noticed then.
    ///
    /// # Errors
    ///
    /// As [`UdpGroup::bind`].
    pub fn bind_beside(
        address: SocketAddr,
        members: usize,
        receive_buffer_bytes: usize,
    ) -> io::Result<Self> {
        let first = open(address)?;
        let receive_buffer = ReceiveBuffer::set(&first, receive_buffer_bytes)?;
        first.set_reuse_port(true)?;
        first.bind(&address.into())?;
        Self::complete(first, receive_buffer, members, receive_buffer_bytes)
    }

    fn complete(
        first: Socket,
        receive_buffer: ReceiveBuffer,
        members: usize,
        receive_buffer_bytes: usize,
    ) -> io::Result<Self> {
        let first = UdpSocket::from(first);
        let address = first.local_addr()?;
        let mut sockets = Vec::with_capacity(members.max(1));
        sockets.push(first);
        while sockets.len() < members {
            let next = open(address)?;
            next.set_reuse_port(true)?;
            ReceiveBuffer::set(&next, receive_buffer_bytes)?;
            next.bind(&address.into())?;
            sockets.push(UdpSocket::from(next));
        }
        Ok(Self {
            members: sockets,
            address,
            receive_buffer,
        })
    }
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_group_shares_one_port_and_spreads_senders() {
        let group = UdpGroup::bind("127.0.0.1:0".parse().unwrap(), 2, 0).unwrap();
        assert_ne!(group.address.port(), 0);
        const SENDERS: usize = 64;
        for _ in 0..SENDERS {
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.send_to(b"x", group.address).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut got = [0; 2];
        while got[0] + got[1] < SENDERS && Instant::now() < deadline {
            for (member, got) in group.members.iter().zip(&mut got) {
                while member.recv(&mut [0; 8]).is_ok() {
                    *got += 1;
                }
            }
        }
        assert_eq!(got[0] + got[1], SENDERS);
        assert!(got[0] > 0 && got[1] > 0, "{got:?}");
    }

    #[test]
    fn a_stranger_in_the_port_is_noticed_even_when_it_allows_sharing() {
        let group = UdpGroup::bind("127.0.0.1:0".parse().unwrap(), 2, 0).unwrap();
        let error = UdpGroup::bind(group.address, 2, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_group_can_stand_beside_one_of_ours_on_the_same_port() {
        let narrow = UdpGroup::bind("127.0.0.1:0".parse().unwrap(), 2, 0).unwrap();
        let wide = SocketAddr::from(([0, 0, 0, 0], narrow.address.port()));
        assert!(UdpGroup::bind(wide, 2, 0).is_err());
        let wide = UdpGroup::bind_beside(wide, 2, 0).unwrap();
        assert_eq!(wide.members.len(), 2);
    }

    #[test]
    fn both_families_can_have_the_same_port() {
        let v4 = UdpGroup::bind("0.0.0.0:0".parse().unwrap(), 1, 0).unwrap();
        let port = v4.address.port();
        let v6 = UdpGroup::bind(format!("[::]:{port}").parse().unwrap(), 1, 0).unwrap();
        assert_eq!(v6.address.port(), port);
    }
}
