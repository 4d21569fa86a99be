//! Limits that said no, told in one line each, at most once a minute.

use std::collections::BTreeMap;

use greyhound_model::time::Stamp;
use tracing::warn;

use crate::context::limiter::Limit;
use crate::process::Refusal;

const QUIET_NANOS: u64 = 60_000_000_000;
/// Client text in a log line is cut here.
const TEXT_LEN_MAX: usize = 256;

/// A tag key and how many new values it had.
type Suspect = Option<(Vec<u8>, u32)>;

/// What is to be told, and when it was last.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: BTreeMap<Limit, Refusal>,
    told: BTreeMap<Limit, u64>,
}

// === impl Notices ===

impl Notices {
    /// Takes what one lane refused.
    pub(super) fn collect(&mut self, refusals: Vec<Refusal>) {
        for refusal in refusals {
            match self.waiting.get_mut(&refusal.limit) {
                Some(known) => {
                    known.count = known.count.saturating_add(refusal.count);
                    known.fastest_tag = faster(known.fastest_tag.take(), refusal.fastest_tag);
                }
                None => {
                    self.waiting.insert(refusal.limit, refusal);
                }
            }
        }
    }

    /// Logs what is due.
    pub(super) fn tell(&mut self, now: Stamp) {
        let told = &mut self.told;
        self.waiting.retain(|limit, refusal| {
            let last = told.get(limit);
            let is_due =
                last.is_none_or(|&last| now.monotonic_nanos.saturating_sub(last) >= QUIET_NANOS);
            if is_due {
                told.insert(*limit, now.monotonic_nanos);
                log(refusal);
            }
            !is_due
        });
    }
}

fn log(refusal: &Refusal) {
    let (tag, values) = refusal
        .fastest_tag
        .as_ref()
        .map_or_else(|| ("-".to_owned(), 0), |(key, count)| (text(key), *count));
    warn!(
        setting = refusal.limit.setting(),
        refused = refusal.count,
        metric = %text(&refusal.metric),
        fastest_growing_tag = %tag,
        new_values = values,
        "limit reached, the newest is refused; raise the setting or tame the tag"
    );
}

/// Client bytes for a log line: escaped and cut.
fn text(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(TEXT_LEN_MAX)]
        .escape_ascii()
        .to_string()
}

/// The suspect that grew more.
fn faster(a: Suspect, b: Suspect) -> Suspect {
    let growth = |suspect: &Suspect| suspect.as_ref().map_or(0, |(_, count)| *count);
    if growth(&b) > growth(&a) { b } else { a }
}
