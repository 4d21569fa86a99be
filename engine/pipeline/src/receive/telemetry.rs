//! What receiving itself did, per lane. Where packets went stands in the ledger.

use greyhound_telemetry::counters;

counters! {
    /// How a lane received, helped and slept.
    pub struct ReceiveTally / ReceiveCells {
        /// Receive calls that brought something.
        receives,
        /// Waits in which UDP batches grow.
        coalesce_waits,
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
