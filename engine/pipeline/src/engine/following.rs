//! What lanes still have to be told of changed settings.
//!
//! An inbox is full only while its lane is stuck or buried in new connections, so what does not fit
//! waits here and is offered again every second. Only the latest of each matters.

use std::sync::Arc;

use greyhound_model::time::BucketWidth;

use crate::lane::command::Command;
use crate::lane::shared::Shared;
use crate::rules::Rules;

/// Belongs to the flush thread.
#[derive(Debug)]
pub(super) struct Following {
    /// A width that waits for a boundary on which no bucket is cut.
    pub(super) coming: Option<BucketWidth>,
    rules: Option<(u64, Arc<Rules>)>,
    width: Option<BucketWidth>,
    /// By lane.
    owed: Vec<Owed>,
}

/// What one lane does not know yet.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    rules: bool,
    width: bool,
}

// === impl Following ===

impl Following {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            coming: None,
            rules: None,
            width: None,
            owed: vec![Owed::default(); lanes],
        }
    }

    /// Every lane is to take these.
    pub(super) fn rules(&mut self, generation: u64, rules: Arc<Rules>) {
        self.rules = Some((generation, rules));
        for owed in &mut self.owed {
            owed.rules = true;
        }
    }

    /// Every lane is to take this.
    pub(super) fn width(&mut self, width: BucketWidth) {
        self.width = Some(width);
        for owed in &mut self.owed {
            owed.width = true;
        }
    }

    /// Tells lanes what they do not know. Never blocks.
    pub(super) fn tell(&mut self, shared: &Shared) {
        for (lane, owed) in self.owed.iter_mut().enumerate() {
            if let Some((generation, rules)) = self.rules.as_ref().filter(|_| owed.rules) {
                let command = Command::Rules(*generation, Arc::clone(rules));
                owed.rules = shared.tell(lane, command).is_err();
            }
            if let Some(width) = self.width.filter(|_| owed.width) {
                owed.width = shared.tell(lane, Command::Width(width)).is_err();
            }
        }
    }
}
