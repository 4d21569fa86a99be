//! What receiving itself did, per lane. Where packets went stands in the ledger.

use greyhound_telemetry::counters;

counters! {
    /// How a lane received, helped and slept.
    pub struct ReceiveTally / ReceiveCells {
        /// Receive calls that brought something.
        receives,
        /// Waits in which UDP batches grow.
        coalesce_waits,
        /// Times a lane that had packets was away from its UDP socket for more than 1 ms.
        gaps_over_1ms,
        /// Of those, for more than 5 ms.
        gaps_over_5ms,
        /// Of those, for more than 20 ms.
        gaps_over_20ms,
        /// Of those, for more than 100 ms.
        gaps_over_100ms,
        /// Times the lane went to sleep.
        sleeps,
        /// Batches pushed to the shared queue.
        batches_pushed,
        /// Batches taken from the shared queue.
        batches_taken,
        /// Batches the lane worked on itself because the shared queue or the slab pool was exhausted.
        batches_refused,
        /// Receive, read or accept calls that failed for a reason of the kernel.
        socket_errors,
        /// Unix datagrams or connections without sender credentials although origin detection is on.
        credentials_missing,
        /// Stream connections accepted.
        connections_opened,
        /// Stream connections closed.
        connections_closed,
        /// Stream connections closed at once, because there are as many as `greyhound.stream.connections` allows.
        peers_refused,
        /// Stream connections closed with half a frame after the idle limit.
        idle_closed,
        /// Pauses in accepting, because files or memory ran out.
        accept_backoffs,
        /// Times the lane broke and started again.
        lane_restarts,
        /// Packets not copied to `statsd_forward_host`, because its queue was full.
        forward_dropped,
    }
}

// === impl ReceiveTally ===

impl ReceiveTally {
    /// A lane that had packets came back to its socket after so many nanoseconds.
    #[inline]
    pub fn note_gap(&mut self, nanos: u64) {
        const MILLISECOND: u64 = 1_000_000;
        if nanos > MILLISECOND {
            self.gaps_over_1ms += 1;
            self.gaps_over_5ms += u64::from(nanos > 5 * MILLISECOND);
            self.gaps_over_20ms += u64::from(nanos > 20 * MILLISECOND);
            self.gaps_over_100ms += u64::from(nanos > 100 * MILLISECOND);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_in_every_class_it_exceeds() {
        let mut tally = ReceiveTally::default();
        for nanos in [
            1_000_000,
            1_000_001,
            5_000_001,
            20_000_000,
            21_000_000,
            1 << 40,
        ] {
            tally.note_gap(nanos);
        }
        let classes = [
            tally.gaps_over_1ms,
            tally.gaps_over_5ms,
            tally.gaps_over_20ms,
            tally.gaps_over_100ms,
        ];
        assert_eq!(classes, [5, 4, 2, 1]);
    }
}
