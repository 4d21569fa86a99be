//! Sleep until one of a few descriptors has something to read, to the nanosecond.
//!
//! `epoll_wait` counts milliseconds; the wait in which UDP batches grow is a fifth of one. A thread
//! with many connections keeps those in an epoll instance and waits for that, which is a descriptor
//! like any other.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

/// Descriptors to wait for, in the order they were added.
#[derive(Default)]
pub struct WaitSet {
    entries: Vec<libc::pollfd>,
}

// === impl WaitSet ===

impl WaitSet {
    /// Adds a descriptor and returns its place. It must stay open as long as the set is used: once
    /// closed, it reads as ready.
    pub fn add(&mut self, descriptor: &impl AsRawFd) -> usize {
        self.entries.push(libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        self.entries.len() - 1
    }

    /// Takes the descriptor at this place out; those behind it move up by one.
    pub fn remove(&mut self, place: usize) {
        if place < self.entries.len() {
            self.entries.remove(place);
        }
    }

    /// Waits until one of the first `count` descriptors is ready or `timeout` is over; `None` waits
    /// for ever. Blocks. One system call. A signal ends the wait with nothing ready.
    ///
    /// # Errors
    ///
    /// Out of kernel memory, or more descriptors than the process may have.
    pub fn wait(&mut self, count: usize, timeout: Option<Duration>) -> io::Result<()> {
        let count = count.min(self.entries.len());
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
        });
        for entry in &mut self.entries {
            entry.revents = 0;
        }
        // SAFETY: ppoll(2) reads `nfds` entries from `fds` on and writes their `revents`: a live
        // slice of ours, at least that long. The timeout is null or a live timespec, which Linux may
        // write through the raw call only, not through this wrapper. A null signal mask is allowed.
        let result = unsafe {
            libc::ppoll(
                self.entries.as_mut_ptr(),
                count as libc::nfds_t,
                timeout.as_ref().map_or(ptr::null(), ptr::from_ref),
                ptr::null(),
            )
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether the descriptor had something to read, or an error to tell, after the last wait.
    pub fn is_ready(&self, place: usize) -> bool {
        self.entries
            .get(place)
            .is_some_and(|entry| entry.revents != 0)
    }
}

impl std::fmt::Debug for WaitSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitSet")
            .field("descriptors", &self.entries.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Instant;

    #[test]
    fn only_the_descriptor_with_something_to_read_is_ready() {
        let quiet = UdpSocket::bind("127.0.0.1:0").unwrap();
        let busy = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut set = WaitSet::default();
        let (quiet_at, busy_at) = (set.add(&quiet), set.add(&busy));
        quiet.send_to(b"x", busy.local_addr().unwrap()).unwrap();
        set.wait(2, None).unwrap();
        assert!(!set.is_ready(quiet_at));
        assert!(set.is_ready(busy_at));
        // Only the first: nothing to wait for but the time.
        set.wait(1, Some(Duration::ZERO)).unwrap();
        assert!(!set.is_ready(busy_at));
    }

    #[test]
    fn a_descriptor_that_was_taken_out_is_not_waited_for() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let busy = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut set = WaitSet::default();
        let gone_at = set.add(&gone);
        set.add(&busy);
        set.remove(gone_at);
        set.remove(7);
        gone.send_to(b"x", gone.local_addr().unwrap()).unwrap();
        busy.send_to(b"x", busy.local_addr().unwrap()).unwrap();
        set.wait(2, None).unwrap();
        assert!(set.is_ready(0), "the busy one moved up");
        assert!(!set.is_ready(1));
    }

    #[test]
    fn the_wait_is_as_long_as_asked() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut set = WaitSet::default();
        set.add(&socket);
        let wait = Duration::from_micros(300);
        let start = Instant::now();
        set.wait(1, Some(wait)).unwrap();
        assert!(start.elapsed() >= wait);
    }
}
