//! Where packets are worked on: counted, copied if asked, processed; and what is in hand if that
//! breaks.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use greyhound_model::origin::Sender;
use greyhound_model::time::Stamp;
use greyhound_sys::slots::Slots;
use greyhound_wire::frame::StreamEnd;

use crate::client::LaneClients;
use crate::forward::ForwardPort;
use crate::ledger::ListenerId;
use crate::process::{Packet, Processor};
use crate::receive::telemetry::{ReceiveCells, ReceiveTally};

/// The same trouble is told once in so long.
const TELL_AGAIN_NANOS: u64 = 60_000_000_000;

/// One lane's desk.
pub(crate) struct Desk {
    /// Running counts, published when the lane sleeps and now and then when it does not.
    pub(crate) tally: ReceiveTally,
    /// Panic at the next packet.
    #[cfg(test)]
    pub(crate) break_next: bool,
    cells: Arc<ReceiveCells>,
    in_hand: Option<InHand>,
    forward: Option<ForwardPort>,
    /// Who knows the clients behind UDP peers; `None` = nobody is asked.
    pub(crate) clients: Option<Box<dyn LaneClients>>,
    /// Numbers of the clients of a batch.
    named: Vec<u32>,
    /// By listener: whether a packet without sender is worth counting.
    expects_senders: Vec<bool>,
    told_truncated: Told,
    told_error: Told,
    told_frame: Told,
    unpublished: u32,
}

/// Packets that are counted as lost if the lane breaks now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InHand {
    pub(crate) listener: ListenerId,
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
}

/// Batches after which counts are published in any case.
const PUBLISH_EVERY: u32 = 64;

/// When something was last told.
#[derive(Default)]
struct Told(Option<u64>);

// === impl Desk ===

impl Desk {
    /// `expects_senders`, by listener: Unix datagrams with origin detection on.
    pub(crate) fn new(
        cells: Arc<ReceiveCells>,
        forward: Option<ForwardPort>,
        expects_senders: Vec<bool>,
    ) -> Self {
        Self {
            tally: ReceiveTally::default(),
            #[cfg(test)]
            break_next: false,
            cells,
            in_hand: None,
            forward,
            clients: None,
            named: Vec::new(),
            expects_senders,
            told_truncated: Told::default(),
            told_error: Told::default(),
            told_frame: Told::default(),
            unpublished: 0,
        }
    }

    /// Counts and processes some packets of a slab. Cut ones are counted and dropped.
    ///
    /// Cost beside the processor: one pass over 20 bytes a packet.
    pub(crate) fn work(
        &mut self,
        processor: &mut Processor,
        listener: ListenerId,
        stamp: Stamp,
        slots: &Slots,
        packets: Range<usize>,
    ) {
        let datagrams = packets.len() as u64;
        let (mut bytes, mut truncated, mut longest, mut unknown) = (0, 0, 0, 0);
        for (received, _) in slots.range(packets.clone()) {
            bytes += u64::from(received.len_bytes);
            unknown += u64::from(received.sender.pid == 0);
            if received.truncated {
                truncated += 1;
                longest = longest.max(received.len_bytes);
            }
        }
        self.in_hand = Some(InHand {
            listener,
            datagrams,
            bytes,
        });
        #[cfg(test)]
        if std::mem::take(&mut self.break_next) {
            panic!("a test asked for it");
        }
        let tally = processor.tally_mut(listener);
        tally.datagrams_read += datagrams;
        tally.bytes_read += bytes;
        tally.truncated += truncated;
        if self.expects_senders.get(usize::from(listener.0)) == Some(&true) {
            self.tally.credentials_missing += unknown;
        }
        if truncated > 0 && self.told_truncated.may_tell(stamp) {
            tracing::warn!(
                datagrams = truncated,
                longest_bytes = longest,
                slot_bytes = slots.slot_bytes(),
                setting = "dogstatsd_buffer_size",
                "datagrams longer than the buffer were dropped"
            );
        }
        let whole = || {
            slots
                .range(packets.clone())
                .filter(|(received, _)| !received.truncated)
        };
        if let Some(forward) = &mut self.forward {
            self.tally.forward_dropped += forward.copy(whole().map(|(_, bytes)| bytes));
        }
        match &mut self.clients {
            // Without peers these did not come by UDP.
            Some(clients) if slots.peers().len() >= packets.end => {
                self.named.clear();
                clients.name(stamp, &slots.peers()[packets.clone()], &mut self.named);
                let all = slots.range(packets.clone()).zip(&self.named);
                let whole = all.filter(|((received, _), _)| !received.truncated);
                let packets = whole.map(|((_, bytes), &client)| Packet {
                    bytes,
                    sender: Sender::of_client(client),
                });
                processor.process(listener, stamp, packets);
            }
            _ => {
                let packets = whole().map(|(received, bytes)| Packet {
                    bytes,
                    sender: Sender {
                        pid: received.sender.pid,
                    },
                });
                processor.process(listener, stamp, packets);
            }
        }
        self.in_hand = None;
        self.unpublished += 1;
        if self.unpublished >= PUBLISH_EVERY {
            self.publish();
        }
    }

    /// Shows the counts to readers.
    pub(crate) fn publish(&mut self) {
        self.unpublished = 0;
        self.cells.store(&self.tally);
    }

    /// Listeners joined: which of all are worth counting packets without sender for.
    pub(crate) fn expect_senders(&mut self, expects_senders: Vec<bool>) {
        self.expects_senders = expects_senders;
    }

    /// What was being worked on when the lane broke.
    pub(crate) fn take_in_hand(&mut self) -> Option<InHand> {
        self.in_hand.take()
    }

    /// Lets go of the copy for another host.
    pub(crate) fn stop_forwarding(&mut self) {
        self.forward = None;
    }

    /// Tells about a connection that was closed for its length, at most once a minute.
    pub(crate) fn tell_frame(&mut self, pid: u32, end: StreamEnd, now: Stamp) {
        if self.told_frame.may_tell(now) {
            tracing::info!(
                pid,
                ?end,
                setting = "dogstatsd_buffer_size",
                "stream connection closed, a frame announced a length that cannot be"
            );
        }
    }

    /// Tells about an error of a socket, at most once a minute.
    pub(crate) fn tell_error(&mut self, error: &io::Error, now: Stamp) {
        if self.told_error.may_tell(now) {
            tracing::warn!(%error, "a socket call failed");
        }
    }
}

// === impl Told ===

impl Told {
    fn may_tell(&mut self, now: Stamp) -> bool {
        let now = now.monotonic_nanos;
        let due = self
            .0
            .is_none_or(|at| now.saturating_sub(at) >= TELL_AGAIN_NANOS);
        if due {
            self.0 = Some(now);
        }
        due
    }
}
