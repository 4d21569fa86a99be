//! A small DogStatsD client: enough to send by hand what applications send, over every transport.
//!
//! Messages ──pack──▶ packets ──▶ socket. Nothing is sent behind the caller's back: a packet that the
//! kernel does not take is an error, and a UDP port where nobody listens is reported when the kernel says so.

use std::fmt;
use std::io::{self, Write};
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

const WRITE_PATIENCE: Duration = Duration::from_secs(5);
const PORT_DEFAULT: u16 = 8125;
/// What clients put into one UDP packet, in bytes: an Ethernet frame less all headers.
const UDP_PACKET_LEN_BYTES: usize = 1432;
/// What clients put into one packet on a Unix socket, in bytes.
const UNIX_PACKET_LEN_BYTES: usize = 8192;

/// Where to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `udp://host:port`
    Udp {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unixgram:///path`
    Unixgram(PathBuf),
    /// `unixstream:///path`
    UnixStream(PathBuf),
    /// `unix:///path`: datagrams if the socket takes them, else a stream.
    Unix(PathBuf),
}

/// A text that names no destination.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no destination; write udp://host:port, unixgram:///path, unixstream:///path or unix:///path"
)]
pub struct DestinationError {
    text: String,
}

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

// === impl Destination ===

impl Destination {
    /// What `--to` and the URL variables of clients take. A bare `host:port` is UDP, a bare path a
    /// Unix socket.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let invalid = || DestinationError {
            text: text.to_owned(),
        };
        let path = |rest: &str| match rest {
            "" => Err(invalid()),
            path => Ok(PathBuf::from(path)),
        };
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "udp" => Self::udp(rest).ok_or_else(invalid),
                "unixgram" => Ok(Self::Unixgram(path(rest)?)),
                "unixstream" => Ok(Self::UnixStream(path(rest)?)),
                "unix" => Ok(Self::Unix(path(rest)?)),
                _ => Err(invalid()),
            };
        }
        if text.starts_with('/') || text.starts_with('.') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        Self::udp(text).ok_or_else(invalid)
    }

    /// What the environment tells clients: `DD_DOGSTATSD_URL`, else `DD_AGENT_HOST` with
    /// `DD_DOGSTATSD_PORT`. `None` when it says nothing.
    ///
    /// # Errors
    /// When it says something that is no destination.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, DestinationError> {
        let given = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(url) = given("DD_DOGSTATSD_URL") {
            return Self::parse(&url).map(Some);
        }
        let Some(host) = given("DD_AGENT_HOST") else {
            return Ok(None);
        };
        if host.contains("://") {
            return Self::parse(&host).map(Some);
        }
        let port = match given("DD_DOGSTATSD_PORT") {
            Some(text) => text.parse().map_err(|_| DestinationError { text })?,
            None => PORT_DEFAULT,
        };
        Ok(Some(Self::Udp { host, port }))
    }

    fn udp(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        if text.is_empty() {
            return None;
        }
        let bare_v6 = text.matches(':').count() > 1 && !text.starts_with('[');
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !bare_v6 && !text.ends_with(']') => (host, port.parse().ok()?),
            _ => (text, PORT_DEFAULT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self::Udp {
            host: host.to_owned(),
            port,
        })
    }

    /// How many bytes clients pack into one packet for this transport.
    pub fn packet_len_bytes(&self) -> usize {
        match self {
            Self::Udp { .. } => UDP_PACKET_LEN_BYTES,
            Self::Unixgram(_) | Self::UnixStream(_) | Self::Unix(_) => UNIX_PACKET_LEN_BYTES,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { host, port } if host.contains(':') => write!(f, "udp://[{host}]:{port}"),
            Self::Udp { host, port } => write!(f, "udp://{host}:{port}"),
            Self::Unixgram(path) => write!(f, "unixgram://{}", path.display()),
            Self::UnixStream(path) => write!(f, "unixstream://{}", path.display()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
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

fn connect_udp(host: &str, port: u16) -> io::Result<UdpSocket> {
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

fn connect_unixgram(path: &PathBuf) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(WRITE_PATIENCE))?;
    Ok(socket)
}

fn connect_unix_stream(path: &PathBuf) -> io::Result<UnixStream> {
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

    fn udp(host: &str, port: u16) -> Destination {
        Destination::Udp {
            host: host.into(),
            port,
        }
    }

    #[test]
    fn destinations_are_written_in_many_ways() {
        for (text, destination) in [
            ("udp://127.0.0.1:9", udp("127.0.0.1", 9)),
            ("udp://example", udp("example", 8125)),
            ("udp://[::1]:77/", udp("::1", 77)),
            ("udp://[::1]", udp("::1", 8125)),
            ("::1", udp("::1", 8125)),
            ("box:1", udp("box", 1)),
            ("unixgram:///a/b", Destination::Unixgram("/a/b".into())),
            ("unixstream:///a/b", Destination::UnixStream("/a/b".into())),
            ("unix:///a/b", Destination::Unix("/a/b".into())),
            ("/a/b", Destination::Unix("/a/b".into())),
        ] {
            assert_eq!(Destination::parse(text).expect(text), destination);
        }
        for text in [
            "",
            "tcp://a:1",
            "udp://",
            "udp://a:port",
            "unix://",
            "udp://:1",
        ] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_destination_prints_as_it_is_read() {
        for text in [
            "udp://a:1",
            "udp://[::1]:2",
            "unixgram:///x",
            "unixstream:///x",
            "unix:///x",
        ] {
            assert_eq!(Destination::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn the_environment_of_clients_is_read_as_clients_read_it() {
        let with = |pairs: &'static [(&str, &str)]| {
            Destination::from_environment(move |name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[]).expect("nothing"), None);
        assert_eq!(
            with(&[("DD_DOGSTATSD_PORT", "9")]).expect("port alone"),
            None
        );
        assert_eq!(
            with(&[("DD_AGENT_HOST", "box"), ("DD_DOGSTATSD_PORT", "9")]).expect("both"),
            Some(udp("box", 9))
        );
        assert_eq!(
            with(&[("DD_AGENT_HOST", "box"), ("DD_DOGSTATSD_URL", "unix:///x")]).expect("url"),
            Some(Destination::Unix("/x".into()))
        );
        assert!(with(&[("DD_AGENT_HOST", "box"), ("DD_DOGSTATSD_PORT", "no")]).is_err());
    }

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
