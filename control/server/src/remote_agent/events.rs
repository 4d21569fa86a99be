//! What the numbers of events on one stream have to be: a snapshot first, an update one above the last
//! event, everything else a snapshot.

use greyhound_proto::datadog::model::v1::ConfigEvent;
use greyhound_proto::datadog::model::v1::config_event::Event;

/// Follows the numbers of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequence {
    last: Option<i32>,
}

/// The stream lost something, or never had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// An update came before any snapshot.
    #[error("update {0} came before a snapshot")]
    NoSnapshot(i32),
    /// Updates are missing.
    #[error("update {got} came after event {last}")]
    Missing {
        /// The last event.
        last: i32,
        /// The update after it.
        got: i32,
    },
}

// === impl Sequence ===

impl Sequence {
    /// Whether the event is new; an old one is to be ignored.
    ///
    /// # Errors
    /// When events are missing: only a new stream helps.
    pub fn take(&mut self, event: &ConfigEvent) -> Result<bool, Gap> {
        let number = match &event.event {
            Some(Event::Snapshot(snapshot)) => {
                let is_new = self.last.is_none_or(|last| last < snapshot.sequence_id);
                if is_new {
                    self.last = Some(snapshot.sequence_id);
                }
                return Ok(is_new);
            }
            Some(Event::Update(update)) => update.sequence_id,
            // A kind of event that came later than this program.
            None => return Ok(false),
        };
        match self.last {
            None => Err(Gap::NoSnapshot(number)),
            Some(last) if number <= last => Ok(false),
            Some(last) if number - last == 1 => {
                self.last = Some(number);
                Ok(true)
            }
            Some(last) => Err(Gap::Missing { last, got: number }),
        }
    }

    /// Number of the last new event.
    pub fn last(&self) -> Option<i32> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_proto::datadog::model::v1::{ConfigSnapshot, ConfigUpdate};

    fn snapshot(sequence_id: i32) -> ConfigEvent {
        let snapshot = ConfigSnapshot {
            sequence_id,
            ..Default::default()
        };
        ConfigEvent {
            event: Some(Event::Snapshot(snapshot)),
        }
    }

    fn update(sequence_id: i32) -> ConfigEvent {
        let update = ConfigUpdate {
            sequence_id,
            ..Default::default()
        };
        ConfigEvent {
            event: Some(Event::Update(update)),
        }
    }

    #[test]
    fn numbers_rise_by_one_and_snapshots_may_jump() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.take(&update(4)), Err(Gap::NoSnapshot(4)));
        assert_eq!(sequence.take(&snapshot(5)), Ok(true));
        assert_eq!(sequence.take(&update(5)), Ok(false));
        assert_eq!(sequence.take(&update(6)), Ok(true));
        assert_eq!(sequence.take(&snapshot(6)), Ok(false));
        assert_eq!(sequence.take(&snapshot(9)), Ok(true));
        assert_eq!(sequence.take(&ConfigEvent::default()), Ok(false));
        assert_eq!(
            sequence.take(&update(11)),
            Err(Gap::Missing { last: 9, got: 11 })
        );
        assert_eq!(sequence.take(&update(i32::MIN)), Ok(false));
        assert_eq!(sequence.last(), Some(9));
    }
}
