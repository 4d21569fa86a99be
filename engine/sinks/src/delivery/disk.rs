//! The disk queue behind the delivery: opened in the background, and done without when it cannot be.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use super::queue::Entry;
use super::{Payload, Shared, count};
use crate::sink::{Reason, Receipt};
use crate::spool::{Meta, Place, Recovery, Spool, SpoolConfig};

/// Errors between two log lines.
const ERRORS_PER_LOG: u64 = 100;

#[derive(Debug)]
pub(super) struct Disk(Mutex<State>);

#[derive(Debug)]
enum State {
    /// None is wanted.
    Off,
    Unopened(SpoolConfig),
    Open {
        spool: Box<Spool>,
        /// The last failure, until a write succeeds.
        error: Option<String>,
    },
    /// There is none, for this reason.
    Failed(String),
}

/// What status says of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskStatus {
    /// Not wanted.
    Off,
    /// Being read.
    Opening,
    /// In use.
    Good {
        /// Bytes of the files.
        bytes: u64,
        /// Bound of them.
        bytes_max: u64,
    },
    /// Not written to, for this reason; payloads are in memory only.
    Degraded(String),
}

// === impl Disk ===

impl Disk {
    pub(super) fn new(config: Option<SpoolConfig>) -> Self {
        Self(Mutex::new(config.map_or(State::Off, State::Unopened)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never waits: while the disk is busy it says what it can.
    pub(super) fn status(&self, bytes_max: u64) -> DiskStatus {
        let Ok(state) = self.0.try_lock() else {
            return DiskStatus::Opening;
        };
        match &*state {
            State::Off => DiskStatus::Off,
            State::Unopened(_) => DiskStatus::Opening,
            State::Open {
                error: Some(error), ..
            }
            | State::Failed(error) => DiskStatus::Degraded(error.clone()),
            State::Open { spool, error: None } => DiskStatus::Good {
                bytes: spool.bytes(),
                bytes_max,
            },
        }
    }

    /// Reads a body back. Blocks on the disk.
    pub(super) fn read(&self, place: &Place) -> Option<bytes::Bytes> {
        match &*self.lock() {
            State::Open { spool, .. } => spool.read(place).map(|(_, body)| body),
            State::Off | State::Unopened(_) | State::Failed(_) => None,
        }
    }

    /// Settles records. Blocks on the disk.
    pub(super) fn settle(&self, places: &[Place]) {
        if let State::Open { spool, .. } = &mut *self.lock() {
            for place in places {
                spool.settle(place);
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Opens the disk queue and takes over what is in it. Once; later calls do nothing.
    pub(super) fn open_disk(&self) {
        drop(self.opened());
    }

    /// Writes a payload, when there is a disk to write to.
    pub(super) fn write(&self, payload: &Payload, made_at: i64) -> Option<Place> {
        let mut state = self.opened();
        let State::Open { spool, error } = &mut *state else {
            return None;
        };
        let meta = Meta {
            class: payload.class,
            encoding: payload.encoding,
            points: payload.points,
            made_at,
        };
        let mut evicted = Vec::new();
        let result = spool.append(&meta, &payload.body, &mut evicted);
        if !evicted.is_empty() {
            let mut queue = self.lock();
            queue.evict(&evicted);
            let dropped = queue.take_dropped();
            drop(queue);
            self.settle(&dropped);
        }
        match result {
            Ok(place) => {
                *error = None;
                Some(place)
            }
            Err(why) => {
                self.note_error(error, &why.to_string());
                None
            }
        }
    }

    pub(super) fn sync_disk(&self) {
        if let State::Open { spool, error } = &mut *self.disk.lock()
            && let Err(why) = spool.sync()
        {
            self.note_error(error, &why.to_string());
        }
    }

    pub(super) fn close_disk(&self) {
        let settled = std::mem::take(&mut self.lock().settled);
        self.disk.settle(&settled);
        if let State::Open { spool, error } = &mut *self.disk.lock()
            && let Err(why) = spool.close()
        {
            self.note_error(error, &why.to_string());
        }
    }

    fn opened(&self) -> MutexGuard<'_, State> {
        let mut state = self.disk.lock();
        if let State::Unopened(config) = &*state {
            let opened = Spool::open(config.clone());
            *state = match opened {
                Ok((spool, recovery)) => {
                    self.take_over(recovery);
                    State::Open {
                        spool: Box::new(spool),
                        error: None,
                    }
                }
                Err(error) => {
                    count(&self.counts.disk_errors, 1);
                    warn!(
                        address = %self.target.address(), %error,
                        "no disk queue; what cannot be sent is kept in memory only"
                    );
                    State::Failed(error.to_string())
                }
            };
        }
        state
    }

    fn take_over(&self, recovery: Recovery) {
        count(&self.counts.corrupt_records, recovery.corrupt_records);
        count(&self.counts.quarantined_files, recovery.quarantined);
        count(
            &self.counts.recovered_payloads,
            recovery.records.len() as u64,
        );
        let points: u64 = recovery
            .records
            .iter()
            .map(|(_, meta)| u64::from(meta.points))
            .sum();
        if let Some(ledger) = self.ledger.get() {
            ledger.add(points + recovery.corrupt_points);
            ledger.settle(&Receipt::dropped_all(
                Reason::DiskCorrupt,
                recovery.corrupt_points,
            ));
        }
        if recovery.corrupt_records > 0 || recovery.quarantined > 0 {
            warn!(
                corrupt_records = recovery.corrupt_records,
                corrupt_points = recovery.corrupt_points,
                files_left_alone = recovery.quarantined,
                "the disk queue is damaged; what is whole is sent"
            );
        }
        if !recovery.records.is_empty() {
            info!(
                address = %self.target.address(),
                payloads = recovery.records.len(), points, "an earlier run left payloads on disk"
            );
        }
        let classes = self.target.classes().len();
        let mut queue = self.lock();
        for (place, meta) in recovery.records {
            if usize::from(meta.class) >= classes {
                // A class of a later version; settled, or it would come back for ever.
                queue
                    .dropped
                    .drop_points(Reason::Unsupported, u64::from(meta.points));
                queue.settled.push(place);
                continue;
            }
            queue.push_recovered(Entry {
                seq: 0,
                class: meta.class,
                encoding: meta.encoding,
                points: meta.points,
                made_at: meta.made_at,
                len_bytes: place.body_len_bytes(),
                body: None,
                place: Some(place),
                is_half: false,
            });
        }
        let dropped = queue.take_dropped();
        drop(queue);
        self.settle(&dropped);
        self.work.notify_one();
    }

    fn note_error(&self, slot: &mut Option<String>, why: &str) {
        let before = self
            .counts
            .disk_errors
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if before.is_multiple_of(ERRORS_PER_LOG) {
            warn!(address = %self.target.address(), why, "cannot write the disk queue");
        }
        *slot = Some(why.to_owned());
    }
}
