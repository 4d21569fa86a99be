//! What travels from a lane that is behind to one that is idle.

use greyhound_model::time::Stamp;
use greyhound_sys::slots::Slots;

use crate::ledger::ListenerId;

/// Packets of one listener that were received together, and when. Nobody has counted them yet: who
/// processes the batch counts it.
#[derive(Debug)]
pub struct PacketBatch {
    /// Whose they are.
    pub listener: ListenerId,
    /// When they were received: decides which gauge is the latest, whoever processes them.
    pub stamp: Stamp,
    /// The datagrams.
    pub slots: Slots,
}
