//! The least any server must do: receive, and throw away. Batches, buffers, and the wait in which batches
//! grow are those of a lane, so that the difference to a server is all its own work.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use greyhound_sys::mmsg;
use greyhound_sys::slots::{Senders, Slots};
use greyhound_sys::socket::{self, ReceiveBuffer};
use greyhound_sys::wait::WaitSet;

const BUFFER_BYTES: usize = 16 << 20;
const PACKET_BYTES: usize = 8192;
const BATCH_PACKETS: usize = 64;
const STREAM_READ_BYTES: usize = 64 << 10;
const COALESCE: Duration = Duration::from_micros(200);
/// From so many packets a second on, the wait pays; measured over this window.
const BUSY_PER_SECOND: f64 = 20_000.0;
const WINDOW: Duration = Duration::from_millis(20);

/// Receives on a free port of the loopback and says which.
///
/// # Errors
///
/// When there is none, or the kernel refuses to receive.
pub fn udp(out: &mut dyn Write) -> Result<()> {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    ReceiveBuffer::set(&server, BUFFER_BYTES)?;
    writeln!(out, "{}", server.local_addr()?.port())?;
    out.flush()?;
    let mut slots = Slots::new(BATCH_PACKETS, PACKET_BYTES, Senders::Ignored);
    let mut ready = WaitSet::default();
    ready.add(&server);
    // A lane waits for its commands meanwhile; a socket nobody knows stands in for them.
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut pause = WaitSet::default();
    pause.add(&nobody);
    let (mut busy, mut packets, mut window) = (false, 0, Instant::now());
    loop {
        slots.clear();
        match mmsg::receive(&server, &mut slots, usize::MAX) {
            Ok(got) => {
                let elapsed = window.elapsed();
                packets += got;
                if elapsed >= WINDOW {
                    busy = packets as f64 / elapsed.as_secs_f64() >= BUSY_PER_SECOND;
                    (packets, window) = (0, Instant::now());
                }
                if busy && !slots.is_full() {
                    pause.wait(1, Some(COALESCE))?;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready.wait(1, None)?,
            Err(error) => return Err(error).context("cannot receive"),
        }
    }
}

/// Receives on a Unix datagram socket, senders included.
///
/// # Errors
///
/// As [`udp`].
pub fn unixgram(path: &Path, out: &mut dyn Write) -> Result<()> {
    let server = UnixDatagram::bind(path)?;
    ReceiveBuffer::set(&server, BUFFER_BYTES)?;
    socket::pass_credentials(&server)?;
    writeln!(out, "{}", path.display())?;
    out.flush()?;
    let mut slots = Slots::new(BATCH_PACKETS, PACKET_BYTES, Senders::Read);
    let mut ready = WaitSet::default();
    ready.add(&server);
    loop {
        slots.clear();
        match mmsg::receive(&server, &mut slots, usize::MAX) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready.wait(1, None)?,
            Err(error) => return Err(error).context("cannot receive"),
        }
    }
}

/// Reads the connections to a Unix stream socket, one after the other.
///
/// # Errors
///
/// As [`udp`].
pub fn unixstream(path: &Path, out: &mut dyn Write) -> Result<()> {
    let server = UnixListener::bind(path)?;
    writeln!(out, "{}", path.display())?;
    out.flush()?;
    let mut buffer = vec![0; STREAM_READ_BYTES];
    loop {
        let (mut stream, _) = server.accept()?;
        while stream.read(&mut buffer)? > 0 {}
    }
}
