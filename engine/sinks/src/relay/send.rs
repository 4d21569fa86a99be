//! The queue of packets, and the thread that empties it.
//!
//! Queue: `queue_bytes_max` bytes, pushed by the sink's thread, popped by the sending thread. Full: the
//! **oldest** packet goes, for what happens now is worth more than what waited. A packet whose sending failed
//! is sent again; when a stream broke in its middle the receiver may have some of its lines twice, which is
//! counted (`greyhound.relay.packets_resent`).

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::pack::Packet;
use super::socket::{Address, Socket};
use super::telemetry::RelayCells;
use crate::sink::{Reason, Receipt, SinkLedger};

/// Waits between attempts to reach the receiver: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Datagrams sent without a break; a receive buffer of the default size holds as many.
const BURST_PACKETS: u32 = 64;
/// The break after them.
const BURST_BREAK: Duration = Duration::from_millis(1);
/// What a packet costs beside its bytes.
const PACKET_OVERHEAD: usize = 64;

/// Both ends of the queue. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    queue_bytes_max: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
    cells: Arc<RelayCells>,
}

#[derive(Debug, Default)]
struct Queue {
    packets: VecDeque<Packet>,
    bytes: usize,
    ledger: Option<Arc<SinkLedger>>,
    /// Points of the packet that is being sent.
    in_hand: u64,
    /// Set by the stop: nothing is tried after it.
    deadline: Option<Instant>,
    is_done: bool,
}

// === impl Sender ===

impl Sender {
    pub(super) fn new(address: Address, queue_bytes_max: usize) -> Self {
        let shared = Shared {
            address,
            queue_bytes_max,
            queue: Mutex::default(),
            changed: Condvar::new(),
            cells: Arc::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(super) fn cells(&self) -> Arc<RelayCells> {
        Arc::clone(&self.shared.cells)
    }

    /// Starts the thread; what became of points goes to `ledger`.
    pub(super) fn start(&self, ledger: Arc<SinkLedger>) {
        self.shared.lock().ledger = Some(ledger);
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("gh-relay-send".to_owned());
        if let Err(error) = thread.spawn(move || shared.run()) {
            error!(%error, "the relay cannot send, there is no thread for it");
            self.shared.lock().is_done = true;
        }
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.shared.lock().bytes
    }

    /// Queues a packet. Never waits for the network.
    pub(super) fn push(&self, packet: Packet) {
        let mut queue = self.shared.lock();
        queue.bytes += size(&packet);
        queue.packets.push_back(packet);
        while queue.bytes > self.shared.queue_bytes_max && queue.packets.len() > 1 {
            queue.drop_oldest(Reason::MemoryFull);
        }
        self.shared.cells.queue_bytes(queue.bytes);
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Sends what is queued until `deadline`, and counts the rest as dropped.
    pub(super) fn stop(&self, deadline: Instant) {
        let mut queue = self.shared.lock();
        queue.deadline = Some(deadline);
        self.shared.changed.notify_all();
        while !queue.is_done {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = self
                .shared
                .changed
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        while !queue.packets.is_empty() {
            queue.drop_oldest(Reason::Deadline);
        }
        // A packet the thread still holds is given up here; should it arrive after all, nobody minds.
        let in_hand = std::mem::take(&mut queue.in_hand);
        queue.settle(&Receipt::dropped_all(Reason::Deadline, in_hand));
        queue.is_done = true;
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut socket = None;
        let (mut scratch, mut burst) = (Vec::new(), 0);
        while let Some(packet) = self.take() {
            if !self.deliver(&packet, &mut socket, &mut scratch) {
                break;
            }
            burst += 1;
            if burst >= BURST_PACKETS {
                burst = 0;
                if socket.as_ref().is_some_and(Socket::is_datagram) {
                    thread::sleep(BURST_BREAK);
                }
            }
        }
        self.lock().is_done = true;
        self.changed.notify_all();
    }

    /// The next packet; `None` when there is none any more.
    fn take(&self) -> Option<Packet> {
        let mut queue = self.lock();
        loop {
            if queue.is_done {
                return None;
            }
            if let Some(packet) = queue.packets.pop_front() {
                queue.bytes -= size(&packet);
                queue.in_hand = packet.points;
                self.cells.queue_bytes(queue.bytes);
                return Some(packet);
            }
            if queue.deadline.is_some() {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends one packet, however often it takes. Says no when the stop was faster.
    fn deliver(&self, packet: &Packet, socket: &mut Option<Socket>, scratch: &mut Vec<u8>) -> bool {
        let mut wait = BACKOFF.0;
        loop {
            match self.attempt(packet, socket, scratch) {
                Ok(()) => {
                    if wait > BACKOFF.0 {
                        info!(address = %self.address, "the relay reaches its receiver again");
                    }
                    self.cells.sent(packet.bytes.len());
                    return self.settle(&Receipt::delivered_all(packet.points));
                }
                // The way there takes no packet of this length, now or later.
                Err(error) if is_too_long(&error) => {
                    warn!(
                        len = packet.bytes.len(),
                        "a packet is too long for the way to the receiver; lower `greyhound.relay.packet_bytes`"
                    );
                    return self.settle(&Receipt::dropped_all(Reason::TooLarge, packet.points));
                }
                Err(error) => {
                    if wait == BACKOFF.0 {
                        warn!(%error, address = %self.address, "the relay does not reach its receiver, set by `greyhound.relay.address`");
                    }
                    self.cells.failed();
                    if !self.pause(wait) {
                        return false;
                    }
                    wait = (wait * 2).min(BACKOFF.1);
                }
            }
        }
    }

    fn attempt(
        &self,
        packet: &Packet,
        socket: &mut Option<Socket>,
        scratch: &mut Vec<u8>,
    ) -> io::Result<()> {
        if socket.is_none() {
            self.cells.connecting();
        }
        let mut open = match socket.take() {
            Some(open) => open,
            None => Socket::connect(&self.address)?,
        };
        let result = open.send(&packet.bytes, scratch);
        match &result {
            Err(error) if !is_too_long(error) => {
                // Of a stream some may have arrived.
                if !open.is_datagram() {
                    self.cells.resent();
                }
            }
            _ => *socket = Some(open),
        }
        result
    }

    /// Waits before another attempt; says no when the stop's deadline is over.
    fn pause(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut queue = self.lock();
        loop {
            let now = Instant::now();
            if queue.is_done || queue.deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            if now >= until {
                return true;
            }
            let until = queue.deadline.map_or(until, |deadline| deadline.min(until));
            queue = self
                .changed
                .wait_timeout(queue, until - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Settles the packet in hand, unless the stop has done that already; then it says no.
    fn settle(&self, receipt: &Receipt) -> bool {
        let mut queue = self.lock();
        if queue.is_done {
            return false;
        }
        queue.in_hand = 0;
        queue.settle(receipt);
        true
    }
}

// === impl Queue ===

impl Queue {
    fn drop_oldest(&mut self, reason: Reason) {
        if let Some(packet) = self.packets.pop_front() {
            self.bytes -= size(&packet);
            self.settle(&Receipt::dropped_all(reason, packet.points));
        }
    }

    fn settle(&self, receipt: &Receipt) {
        if let Some(ledger) = &self.ledger {
            ledger.settle(receipt);
        }
    }
}

fn size(packet: &Packet) -> usize {
    packet.bytes.len() + PACKET_OVERHEAD
}

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}
