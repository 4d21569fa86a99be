//! Places for connections, few and fixed. When they run out, those make room who have shown nothing: first a
//! handshake that has waited longest, then a connection that never presented a right token. So a flood of
//! idle connections pushes out its own, and an operator still gets in.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Handshakes under way at once.
pub(super) const HANDSHAKES_MAX: usize = 64;
/// Refused requests after which a connection has to be made anew.
const REFUSALS_MAX: u32 = 32;

/// All places.
#[derive(Debug)]
pub(super) struct Seats {
    /// Oldest first.
    taken: Mutex<Vec<Arc<Seat>>>,
    max: usize,
    per_peer_max: usize,
}

/// One connection's place, seen from both ends.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    peer: Option<IpAddr>,
    is_open: AtomicBool,
    is_proven: AtomicBool,
    in_flight: AtomicUsize,
    refusals: AtomicU32,
    /// Told to go at once.
    pub(super) cut: Notify,
    /// Told to finish and go.
    pub(super) finish: Notify,
}

/// Gives the place back.
#[derive(Debug)]
pub(super) struct Taken {
    seats: Arc<Seats>,
    pub(super) seat: Arc<Seat>,
}

/// Counts a request while it is answered.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Seat>);

// === impl Seats ===

impl Seats {
    pub(super) fn new(max: usize, per_peer_max: usize) -> Self {
        Self {
            taken: Mutex::default(),
            max: max.max(1),
            per_peer_max: per_peer_max.max(1),
        }
    }

    /// A place, and how many others lost theirs for it; `None` = refused. Costs a walk over all places.
    pub(super) fn take(self: &Arc<Self>, peer: Option<IpAddr>) -> Option<(Taken, usize)> {
        let mut taken = self.lock();
        if peer.is_some_and(|peer| !peer.is_loopback()) {
            let of_peer = taken.iter().filter(|seat| seat.peer == peer).count();
            if of_peer >= self.per_peer_max {
                return None;
            }
        }
        let mut evicted = 0;
        let shaking = |seat: &Arc<Seat>| !seat.is_open.load(Ordering::Relaxed);
        if taken.iter().filter(|seat| shaking(seat)).count() >= HANDSHAKES_MAX {
            evicted += usize::from(evict(&mut taken, shaking));
        }
        if taken.len() >= self.max {
            if !evict(&mut taken, |seat| !seat.is_proven()) {
                return None;
            }
            evicted += 1;
        }
        let seat = Arc::new(Seat {
            peer,
            ..Seat::default()
        });
        taken.push(Arc::clone(&seat));
        let seats = Arc::clone(self);
        Some((Taken { seats, seat }, evicted))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts the oldest that matches.
fn evict(taken: &mut Vec<Arc<Seat>>, matches: impl Fn(&Arc<Seat>) -> bool) -> bool {
    let Some(place) = taken.iter().position(matches) else {
        return false;
    };
    taken.remove(place).cut.notify_one();
    true
}

// === impl Seat ===

impl Seat {
    /// The handshake is done.
    pub(super) fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// A request was let in.
    pub(crate) fn prove(&self) {
        self.is_proven.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// A request was refused; too many, and the connection has to go.
    pub(crate) fn refuse(&self) {
        if self.refusals.fetch_add(1, Ordering::Relaxed) + 1 == REFUSALS_MAX {
            self.finish.notify_one();
        }
    }

    /// Ends the connection at once.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Whether the server owes an answer.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }
}

// === impl Taken ===

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));

    fn open(seats: &Arc<Seats>) -> Taken {
        let (taken, _) = seats.take(None).expect("room");
        taken.seat.open();
        taken
    }

    #[test]
    fn the_oldest_that_never_proved_itself_makes_room() {
        let seats = Arc::new(Seats::new(3, 1));
        let kept: Vec<_> = (0..3).map(|_| open(&seats)).collect();
        kept[0].seat.prove();
        let (_fourth, evicted) = seats.take(None).expect("room was made");
        assert_eq!((evicted, seats.lock().len()), (1, 3));
        assert!(
            Arc::ptr_eq(&seats.lock()[0], &kept[0].seat),
            "the proven one stays"
        );
        assert!(Arc::ptr_eq(&seats.lock()[1], &kept[2].seat));
        drop(kept);
        assert_eq!(seats.lock().len(), 1);
    }

    #[test]
    fn proven_connections_are_never_pushed_out() {
        let seats = Arc::new(Seats::new(2, 1));
        let kept: Vec<_> = (0..2).map(|_| open(&seats)).collect();
        kept.iter().for_each(|taken| taken.seat.prove());
        assert!(seats.take(None).is_none());
    }

    #[test]
    fn waiting_handshakes_push_each_other_out() {
        let seats = Arc::new(Seats::new(1000, 1));
        let all: Vec<_> = (0..200).filter_map(|_| seats.take(None)).collect();
        assert_eq!(all.len(), 200);
        assert_eq!(seats.lock().len(), HANDSHAKES_MAX);
    }

    #[test]
    fn one_stranger_gets_few_places() {
        let seats = Arc::new(Seats::new(10, 2));
        let kept: Vec<_> = (0..3).filter_map(|_| seats.take(STRANGER)).collect();
        assert_eq!(kept.len(), 2);
        assert!(seats.take(Some(IpAddr::from([127, 0, 0, 1]))).is_some());
    }
}
