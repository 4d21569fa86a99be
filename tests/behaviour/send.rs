//! Plain sockets, for tests that have to decide about every byte.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// A UDP socket that is connected to `target`.
pub(crate) fn udp_socket(target: SocketAddr) -> UdpSocket {
    let any = if target.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(target).unwrap();
    socket
}

/// Sends one datagram over UDP.
pub(crate) fn udp(target: SocketAddr, datagram: impl AsRef<[u8]>) {
    udp_socket(target).send(datagram.as_ref()).unwrap();
}

/// A Unix datagram socket that is connected to `target`; sending waits while the kernel's queue is full.
pub(crate) fn uds_socket(target: &Path) -> UnixDatagram {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(target).unwrap();
    socket
}

/// Sends one datagram over a Unix socket.
pub(crate) fn uds(target: &Path, datagram: impl AsRef<[u8]>) {
    uds_socket(target).send(datagram.as_ref()).unwrap();
}

/// A frame of a stream: four bytes of length, little-endian, and the bytes.
pub(crate) fn frame(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut frame = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame
}
