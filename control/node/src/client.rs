//! A small DogStatsD client: enough to send by hand what applications send, over every transport.
//!
//! Messages ──pack──▶ packets ──▶ socket. Nothing is sent behind the caller's back: a packet that the
//! kernel does not take is an error, and a UDP port where nobody listens is reported when the kernel says so.

pub mod destination;

use std::io::{self, Write};
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

use destination::Destination;

const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// Why a destination could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach {destination}")]
pub struct ConnectError {
    destination: Destination,
    source: io::Error,
}

/// An open socket to a server.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unixgram(UnixDatagram),
    UnixStream(UnixStream),
}

// === impl Client ===

impl Client {
    /// Opens a socket to `destination`. Blocks for a name look-up.
    ///
    /// # Errors
    /// When the name has no address, or the socket is not there.
    pub fn connect(destination: &Destination) -> Result<Self, ConnectError> {
        let socket = match destination {
            Destination::Udp { host, port } => connect_udp(host, *port).map(Socket::Udp),
            Destination::Unixgram(path) => connect_unixgram(path).map(Socket::Unixgram),
            Destination::UnixStream(path) => connect_unix_stream(path).map(Socket::UnixStream),
            Destination::Unix(path) => match connect_unixgram(path) {
                Ok(socket) => Ok(Socket::Unixgram(socket)),
                // EPROTOTYPE: the other end is a stream socket.
                Err(_) => connect_unix_stream(path).map(Socket::UnixStream),
            },
        };
        socket
            .map(|socket| Self { socket })
            .map_err(|source| ConnectError {
                destination: destination.clone(),
                source,
            })
    }

    /// Sends one packet. Blocks while the receiver's queue is full, 5 seconds at most.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Udp(socket) => socket.send(packet).map(drop),
            Socket::Unixgram(socket) => socket.send(packet).map(drop),
            Socket::UnixStream(stream) => {
                let len = u32::try_from(packet.len())
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
                // Length and payload in one write, so that the server seldom sees half a frame.
                let mut frame = Vec::with_capacity(packet.len() + 4);
                frame.extend_from_slice(&len.to_le_bytes());
                frame.extend_from_slice(packet);
                stream.write_all(&frame)
            }
        }
    }

    /// What the network said about packets sent before: a closed UDP port on this machine or a
    /// near one shows here. Silence proves nothing.
    ///
    /// # Errors
    /// The error that came back.
    pub fn check(&self) -> io::Result<()> {
        let pending = match &self.socket {
            Socket::Udp(socket) => socket.take_error()?,
            Socket::Unixgram(socket) => socket.take_error()?,
            Socket::UnixStream(stream) => stream.take_error()?,
        };
        pending.map_or(Ok(()), Err)
    }

    /// How packets really travel, for `unix://` that may be two things.
    pub fn transport(&self) -> &'static str {
        match self.socket {
            Socket::Udp(_) => "udp",
            Socket::Unixgram(_) => "unixgram",
            Socket::UnixStream(_) => "unixstream",
        }
    }
}

pub(crate) fn connect_udp(host: &str, port: u16) -> io::Result<UdpSocket> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let connected = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(address)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(crate) fn connect_unixgram(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(WRITE_PATIENCE))?;
    Ok(socket)
}

pub(crate) fn connect_unix_stream(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(WRITE_PATIENCE))?;
    Ok(stream)
}

/// Joins messages with newlines into packets of at most `len_bytes`; a longer message goes alone.
/// Each message ends with a newline, as clients send them.
pub fn pack<'a>(messages: impl IntoIterator<Item = &'a [u8]>, len_bytes: usize) -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for message in messages {
        match packets.last_mut() {
            Some(packet) if packet.len() + message.len() < len_bytes => {
                packet.extend_from_slice(message);
                packet.push(b'\n');
            }
            _ => packets.push([message, b"\n"].concat()),
        }
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    #[test]
    fn packets_stay_below_their_bound_unless_one_message_is_longer() {
        let messages: [&[u8]; 5] = [b"aaa", b"bbb", b"c", b"dddddddddddd", b"e"];
        let packets = pack(messages, 8);
        assert_eq!(
            packets,
            [&b"aaa\nbbb\n"[..], b"c\n", b"dddddddddddd\n", b"e\n"]
        );
        assert!(pack([], 8).is_empty());
    }

    #[test]
    fn a_unix_path_may_be_either_kind_of_socket() {
        let dir = tempfile::tempdir().expect("a folder");
        let gram_path = dir.path().join("gram");
        let gram = UnixDatagram::bind(&gram_path).expect("bind");
        let stream_path = dir.path().join("stream");
        let listener = UnixListener::bind(&stream_path).expect("bind");

        let mut client = Client::connect(&Destination::Unix(gram_path)).expect("connect");
        assert_eq!(client.transport(), "unixgram");
        client.send(b"a:1|c").expect("sent");
        let mut buffer = [0; 16];
        let len = gram.recv(&mut buffer).expect("received");
        assert_eq!(&buffer[..len], b"a:1|c");

        let mut client = Client::connect(&Destination::Unix(stream_path)).expect("connect");
        assert_eq!(client.transport(), "unixstream");
        client.send(b"a:1|c").expect("sent");
        drop(client);
        let (mut accepted, _) = listener.accept().expect("accepted");
        let mut bytes = Vec::new();
        accepted.read_to_end(&mut bytes).expect("received");
        assert_eq!(bytes, b"\x05\0\0\0a:1|c");
    }

    #[test]
    fn a_missing_socket_is_named() {
        let error = Client::connect(&Destination::Unixgram("/nonexistent/s".into())).unwrap_err();
        assert_eq!(error.to_string(), "cannot reach unixgram:///nonexistent/s");
    }
}
