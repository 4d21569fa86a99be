//! The way to a receiver.

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How long one connection or one write may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whom to send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `udp://host:port`
    Udp(String),
    /// `unixgram:///path`
    Unixgram(PathBuf),
    /// `unix:///path`: a stream of frames, each behind its length in four bytes.
    Unix(PathBuf),
    /// `tcp://host:port`: lines, each with its newline.
    Tcp(String),
}

/// Why a text is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not udp://host:port, tcp://host:port, unixgram:///path or unix:///path")]
pub struct AddressError(String);

/// A connection.
#[derive(Debug)]
pub(super) enum Socket {
    Udp(UdpSocket),
    Unixgram(UnixDatagram),
    Unix(UnixStream),
    Tcp(TcpStream),
}

// === impl Address ===

impl Address {
    /// Longest packet to send unless something else is asked for: what crosses an Ethernet whole, or what
    /// receivers read at once.
    pub fn packet_len(&self) -> usize {
        match self {
            Self::Udp(_) => 1432,
            Self::Unixgram(_) | Self::Unix(_) | Self::Tcp(_) => 8192,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError(text.to_owned());
        let host_port = |rest: &str| {
            let (host, port) = rest.rsplit_once(':').ok_or_else(refused)?;
            let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
            match !host.is_empty() && is_port {
                true => Ok(rest.to_owned()),
                false => Err(refused()),
            }
        };
        let path = |rest: &str| match rest.starts_with('/') {
            true => Ok(PathBuf::from(rest)),
            false => Err(refused()),
        };
        match text.split_once("://") {
            Some(("udp", rest)) => host_port(rest).map(Self::Udp),
            Some(("tcp", rest)) => host_port(rest).map(Self::Tcp),
            Some(("unixgram", rest)) => path(rest).map(Self::Unixgram),
            Some(("unix", rest)) => path(rest).map(Self::Unix),
            Some(_) => Err(refused()),
            None => host_port(text).map(Self::Udp),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unixgram(path) => write!(f, "unixgram://{}", path.display()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

// === impl Socket ===

impl Socket {
    /// Connects. Blocks for a name look-up and for [`PATIENCE`].
    pub(super) fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Udp(name) => first(name, |address| {
                let any = match address {
                    SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                    SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Udp(socket))
            }),
            Address::Tcp(name) => first(name, |address| {
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Tcp(stream))
            }),
            Address::Unixgram(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unixgram(socket))
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(stream))
            }
        }
    }

    /// Whether every packet is one datagram.
    pub(super) fn is_datagram(&self) -> bool {
        matches!(self, Self::Udp(_) | Self::Unixgram(_))
    }

    /// Sends one packet. `scratch` is for framing.
    pub(super) fn send(&mut self, packet: &[u8], scratch: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(packet).map(drop),
            Self::Unixgram(socket) => socket.send(packet).map(drop),
            Self::Unix(stream) => {
                // A packet is far shorter than 4 GiB.
                let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
                scratch.clear();
                scratch.extend_from_slice(&len.to_le_bytes());
                scratch.extend_from_slice(packet);
                stream.write_all(scratch)
            }
            Self::Tcp(stream) => {
                scratch.clear();
                scratch.extend_from_slice(packet);
                scratch.push(b'\n');
                stream.write_all(scratch)
            }
        }
    }
}

/// The first address of a name that can be used.
fn first(name: &str, connect: impl Fn(SocketAddr) -> io::Result<Socket>) -> io::Result<Socket> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in name.to_socket_addrs()? {
        match connect(address) {
            Ok(socket) => return Ok(socket),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "udp://[::1]:8125",
            "tcp://host:1",
            "unixgram:///run/d.sock",
            "unix:///s",
        ] {
            let address: Address = text.parse().expect("an address");
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(
            "host:8125".parse(),
            Ok(Address::Udp("host:8125".to_owned()))
        );
        for wrong in [
            "",
            "host",
            "udp://host",
            "udp://:1",
            "udp://h:0",
            "unix://rel",
            "ftp://h:1",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
