//! Wrong tokens are answered ever more slowly: a few at once, then so many a second for each peer. Right ones
//! never wait, so nobody can be locked out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::config::Limits;

/// Peers remembered; more share one place.
const PEERS_MAX: usize = 1024;
/// Answers that may be waiting at once.
const WAITING_MAX: usize = 256;
/// Longest wait; whoever would wait longer is cut off.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Counts failures by peer.
pub(super) struct Failures {
    /// When the peer's failures so far will be paid off.
    paid_at: Mutex<HashMap<Option<IpAddr>, Instant>>,
    waiting: AtomicUsize,
    interval: Duration,
    burst: Duration,
}

/// A place among those who wait.
#[derive(Debug)]
pub(crate) struct Waiting<'f> {
    count: &'f AtomicUsize,
    /// How long.
    pub(crate) delay: Duration,
}

// === impl Failures ===

impl Failures {
    pub(super) fn new(limits: &Limits) -> Self {
        let interval = Duration::from_secs(1) / limits.failures_per_second.max(1);
        Self {
            paid_at: Mutex::default(),
            waiting: AtomicUsize::new(0),
            interval,
            burst: interval * limits.failures_burst.max(1),
        }
    }

    /// Notes a failure. How long its answer has to wait; `None` = too many, cut it off.
    pub(super) fn note(&self, peer: Option<IpAddr>, now: Instant) -> Option<Waiting<'_>> {
        // All of loopback is one peer: its ports are free to choose, and so are its addresses.
        let peer = peer.filter(|address| !address.is_loopback());
        let delay = {
            let mut peers = match self.paid_at.lock() {
                Ok(peers) => peers,
                Err(poisoned) => poisoned.into_inner(),
            };
            if peers.len() >= PEERS_MAX {
                peers.retain(|_, paid_at| *paid_at > now);
            }
            let peer = if peers.len() >= PEERS_MAX { None } else { peer };
            let paid_at = peers.entry(peer).or_insert(now);
            let owed = paid_at.saturating_duration_since(now);
            let delay = (owed + self.interval).saturating_sub(self.burst);
            if delay > WAIT_MAX {
                return None;
            }
            *paid_at = (*paid_at).max(now) + self.interval;
            delay
        };
        let waiting = Waiting {
            count: &self.waiting,
            delay,
        };
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        (before < WAITING_MAX || delay.is_zero()).then_some(waiting)
    }
}

// === impl Waiting ===

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));

    fn delays(failures: &Failures, peer: Option<IpAddr>, now: Instant, count: usize) -> Vec<u64> {
        (0..count)
            .map(|_| failures.note(peer, now).map_or(999, |w| w.delay.as_secs()))
            .collect()
    }

    #[test]
    fn a_burst_is_free_and_then_each_failure_costs_a_second() {
        let failures = Failures::new(&Limits::default());
        let now = Instant::now();
        let first = delays(&failures, STRANGER, now, 13);
        assert_eq!(first, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
        let later = now + Duration::from_secs(60);
        assert_eq!(delays(&failures, STRANGER, later, 1), [0], "paid off");
        let local = Some(IpAddr::from([127, 0, 0, 9]));
        assert_eq!(delays(&failures, local, now, 1), [0], "another peer");
    }

    #[test]
    fn who_would_wait_too_long_is_cut_off_and_owes_no_more() {
        let failures = Failures::new(&Limits::default());
        let now = Instant::now();
        let all = delays(&failures, None, now, 40);
        assert_eq!(all.iter().filter(|delay| **delay == 999).count(), 10);
        let later = now + Duration::from_secs(30);
        assert_eq!(delays(&failures, None, later, 1), [0]);
    }

    #[test]
    fn peers_and_waiting_answers_are_bounded() {
        let failures = Failures::new(&Limits::default());
        let now = Instant::now();
        for n in 0..3000_u32 {
            failures.note(Some(IpAddr::V4(n.wrapping_add(0x0a00_0000).into())), now);
        }
        assert!(failures.paid_at.lock().expect("ours").len() <= PEERS_MAX + 1);
        assert_eq!(failures.waiting.load(Ordering::Relaxed), 0);
    }
}
