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
/// From so many packets a second on, the wait pays; measured over this window.
const BUSY_PER_SECOND: f64 = 20_000.0;
const WINDOW: Duration = Duration::from_millis(20);
/// A wait is as long as so many packets take, within these bounds.
const PACKETS_WANTED: f64 = 48.0;
const WAIT_SECONDS: [f64; 2] = [200e-6, 1e-3];

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
    let (mut wait, mut packets, mut window) = (None, 0, Instant::now());
    loop {
        slots.clear();
        match mmsg::receive(&server, &mut slots, usize::MAX) {
            Ok(got) => {
                let elapsed = window.elapsed();
                packets += got;
                if elapsed >= WINDOW {
                    wait = wait_at(packets as f64 / elapsed.as_secs_f64());
                    (packets, window) = (0, Instant::now());
                }
                if wait.is_some() && !slots.is_full() {
                    pause.wait(1, wait)?;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready.wait(1, None)?,
            Err(error) => return Err(error).context("cannot receive"),
        }
    }
}

/// How long a lane would wait at a rate in packets a second.
fn wait_at(rate: f64) -> Option<Duration> {
    let [least, most] = WAIT_SECONDS;
    (rate >= BUSY_PER_SECOND)
        .then(|| Duration::from_secs_f64((PACKETS_WANTED / rate).clamp(least, most)))
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
