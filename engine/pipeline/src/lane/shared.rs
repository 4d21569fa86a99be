//! What lanes have in common: the queue of batches, the slabs, who sleeps, how many connections.
//!
//! | queue | size | pushes | pops | when full | counter |
//! |---|---|---|---|---|---|
//! | batches | `dogstatsd_queue_size` | a lane that is behind | a lane with nothing to read | the lane works itself | `batches_refused` |
//! | free slabs | [`POOL_BYTES_MAX`] | whoever is done with one | a lane that is behind | as above | `batches_refused` |

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

use crossbeam_channel::{Sender, TrySendError};
use greyhound_queue::push::Push;
use greyhound_queue::ring::Ring;
use mio::Waker;

use super::command::Command;
use crate::packet::batch::PacketBatch;
use crate::packet::pool::{PacketPool, Shape};

/// Bound of all slabs in flight, in bytes. They cost memory only where the kernel has written.
const POOL_BYTES_MAX: usize = 64 << 20;

/// Shared by all lanes and the engine.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Slabs.
    pub(crate) pool: PacketPool,
    /// Stream connections open or being handed over.
    pub(crate) connections: AtomicUsize,
    queue: Ring<PacketBatch>,
    lanes: Vec<Bed>,
    /// Lanes that may still push.
    pushers: AtomicUsize,
}

/// Where a lane sleeps, and what wakes it.
#[derive(Debug)]
struct Bed {
    inbox: Sender<Command>,
    asleep: AtomicBool,
    /// Samples that brought their own time wait there.
    has_timestamped: AtomicBool,
    /// Of the rules it works by.
    generation: AtomicU64,
    waker: Waker,
}

// === impl Shared ===

impl Shared {
    /// One waker and one inbox per lane.
    pub(crate) fn new(
        queue_depth_batches: usize,
        shape: Shape,
        beds: Vec<(Waker, Sender<Command>)>,
    ) -> Self {
        let slabs = POOL_BYTES_MAX / shape.bytes().max(1);
        // At least what two sockets can read ahead, so that bursts are absorbed with large slots too.
        let slabs = slabs.clamp(32, queue_depth_batches.max(32));
        Self {
            pool: PacketPool::new(slabs, shape),
            connections: AtomicUsize::new(0),
            queue: Ring::new(queue_depth_batches),
            pushers: AtomicUsize::new(beds.len()),
            lanes: beds
                .into_iter()
                .map(|(waker, inbox)| Bed {
                    inbox,
                    asleep: AtomicBool::new(false),
                    has_timestamped: AtomicBool::new(false),
                    generation: AtomicU64::new(0),
                    waker,
                })
                .collect(),
        }
    }

    /// Whether there is anybody to share work with.
    pub(crate) fn has_helpers(&self) -> bool {
        self.lanes.len() > 1
    }

    /// Batches waiting, about.
    pub(crate) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Helpers there can be for one lane.
    pub(crate) fn helpers(&self) -> usize {
        self.lanes.len().saturating_sub(1)
    }

    /// Offers a batch to the others and wakes one that sleeps.
    pub(crate) fn push(&self, batch: PacketBatch) -> Push<PacketBatch> {
        match self.queue.push(batch) {
            Push::Queued => {
                // Pairs with the fence in `may_sleep`: either we see the sleeper, or it sees the
                // batch. Without it both could look before the other's store arrives.
                fence(Ordering::SeqCst);
                self.wake_one();
                Push::Queued
            }
            full => full,
        }
    }

    /// Takes a batch of another lane.
    pub(crate) fn pop(&self) -> Option<PacketBatch> {
        self.queue.pop()
    }

    /// Announces that the lane is about to sleep and says whether it may: not if there is work.
    pub(crate) fn may_sleep(&self, lane: usize) -> bool {
        self.lanes[lane].asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.queue.is_empty()
    }

    /// The lane is up again.
    pub(crate) fn woke(&self, lane: usize) {
        self.lanes[lane].asleep.store(false, Ordering::Relaxed);
    }

    /// Tells a lane something and wakes it. Never blocks.
    ///
    /// # Errors
    ///
    /// Hands the command back when the inbox is full or the lane has ended.
    pub(crate) fn tell(&self, lane: usize, command: Command) -> Result<(), Command> {
        let bed = &self.lanes[lane];
        bed.inbox
            .try_send(command)
            .map_err(TrySendError::into_inner)?;
        if let Err(error) = bed.waker.wake() {
            tracing::error!(%error, lane, "cannot wake a lane");
        }
        Ok(())
    }

    /// How many lanes there are.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The lane holds samples that brought their own time.
    pub(crate) fn note_timestamped(&self, lane: usize) {
        self.lanes[lane]
            .has_timestamped
            .store(true, Ordering::Relaxed);
    }

    /// Whether it said so since it was last asked.
    pub(crate) fn take_timestamped(&self, lane: usize) -> bool {
        self.lanes[lane]
            .has_timestamped
            .swap(false, Ordering::Relaxed)
    }

    /// The lane works by the rules of this generation.
    pub(crate) fn note_generation(&self, lane: usize, generation: u64) {
        self.lanes[lane]
            .generation
            .store(generation, Ordering::Release);
    }

    /// The generation of rules the slowest lane works by.
    pub(crate) fn generation(&self) -> u64 {
        let generations = self
            .lanes
            .iter()
            .map(|bed| bed.generation.load(Ordering::Acquire));
        generations.min().unwrap_or(0)
    }

    /// The lane pushes no more. Returns once for each lane.
    pub(crate) fn stop_pushing(&self) {
        self.pushers.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether no lane will push any more, so that an empty queue stays empty.
    pub(crate) fn nobody_pushes(&self) -> bool {
        self.pushers.load(Ordering::Acquire) == 0
    }

    fn wake_one(&self) {
        for bed in &self.lanes {
            // Swapped, so that two batches wake two sleepers.
            if bed.asleep.load(Ordering::Relaxed) && bed.asleep.swap(false, Ordering::Relaxed) {
                if let Err(error) = bed.waker.wake() {
                    tracing::error!(%error, "cannot wake a lane");
                }
                return;
            }
        }
    }
}
