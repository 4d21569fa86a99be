//! Asking the flush thread for its contexts, piece by piece. Lanes notice nothing.

use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::handle::Handle;
use super::schedule::Control;
use crate::flush::survey::Surveyed;

/// Numbers in one piece: a few milliseconds of the flush thread.
const PIECE: u32 = 1 << 16;

// === impl Handle ===

impl Handle {
    /// Shows every context the flush thread knows to `visit`; `None` when it did not answer within `timeout`.
    /// A context that goes or comes meanwhile may be missing. Blocks; holds one piece at a time.
    pub fn survey(&self, timeout: Duration, mut visit: impl FnMut(Surveyed)) -> Option<()> {
        let end = Instant::now() + timeout;
        let mut from = Some(0);
        while let Some(first) = from {
            let (reply, piece) = bounded(1);
            let question = Control::Survey(first, PIECE, reply);
            self.control.send_deadline(question, end).ok()?;
            let piece = piece.recv_deadline(end).ok()?;
            piece.contexts.into_iter().for_each(&mut visit);
            from = piece.next;
        }
        Some(())
    }

    /// Whether samples are counted by context.
    pub fn counts_contexts(&self) -> bool {
        self.shown.usage.counts_contexts()
    }

    /// Counts samples by context from the next batches on, or forgets what was counted. Waits for `timeout` at
    /// most to hand it over; says whether it was.
    pub fn count_contexts(&self, wanted: bool, timeout: Duration) -> bool {
        let told = self
            .control
            .send_timeout(Control::CountContexts(wanted), timeout)
            .is_ok();
        if told {
            self.shown.usage.count_contexts(wanted);
        }
        told
    }
}
