//! The second floor: what a lane does with packets that are already in memory.

use std::time::{Duration, Instant};

use greyhound_pipeline::config::RulesConfig;

use crate::corpus::{Corpus, Shape};
use crate::lane::Lane;

const BATCH_PACKETS: usize = 64;
const SEED: u64 = 1;
const POOL_MESSAGES: usize = 200_000;

/// Nanoseconds a message, for lines of this shape in packets of `pack_bytes` (0 = one a packet), every
/// context known. Runs for `duration`, at least one pass.
///
/// A batch is copied into the same buffers each time and only then timed: the copy belongs to receiving,
/// which leaves packets in the cache too.
pub fn nanos_per_message(
    shape: Shape,
    contexts: usize,
    pack_bytes: usize,
    duration: Duration,
) -> f64 {
    let corpus = Corpus::new(shape, contexts, SEED);
    let messages = POOL_MESSAGES.max(contexts.saturating_mul(2));
    let packets = corpus.packets(pack_bytes, messages, SEED + 1);
    drop(corpus);
    let mut lane = Lane::new(&RulesConfig::default());
    lane.process(1.0, &packets);
    let known = lane.samples();
    let mut slab = vec![Vec::new(); BATCH_PACKETS];
    let mut spent = Duration::ZERO;
    while spent < duration || lane.samples() == known {
        for batch in packets.chunks(BATCH_PACKETS) {
            for (slot, packet) in slab.iter_mut().zip(batch) {
                slot.clone_from(packet);
            }
            let start = Instant::now();
            lane.process(2.0, &slab[..batch.len()]);
            spent += start.elapsed();
        }
    }
    spent.as_nanos() as f64 / (lane.samples() - known) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_takes_some_time() {
        for pack_bytes in [0, 1432] {
            let nanos = nanos_per_message(Shape::Standard, 50, pack_bytes, Duration::ZERO);
            assert!(nanos > 1.0, "{nanos}");
        }
    }
}
