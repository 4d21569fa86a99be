//! Refused messages in the log: one line for a while, with an example and how many more there were. All of
//! them are in the ledger.

use greyhound_wire::ParseError;

use super::Processor;

/// Seconds between two lines of a lane: a client that sends only nonsense must not fill the log.
const PAUSE_SECONDS: u32 = 10;
/// Bytes of the message that are shown.
const SHOWN_BYTES: usize = 100;

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Second of the last line.
    at: u32,
    /// Messages refused since, without a line of their own.
    silent: u64,
}

impl Processor {
    /// Tells of a message that was refused, unless that was done just now.
    #[cold]
    pub(super) fn tell_refused(&mut self, line: &[u8], error: &ParseError) {
        let now = self.arrival.second;
        let told = &mut self.told;
        if now.abs_diff(told.at) < PAUSE_SECONDS {
            told.silent += 1;
            return;
        }
        let more = std::mem::take(&mut told.silent);
        told.at = now;
        let message = line[..line.len().min(SHOWN_BYTES)].escape_ascii();
        if self.rules.tells_refused {
            tracing::warn!(%message, %error, more, "a message was refused");
        } else {
            tracing::debug!(%message, %error, more, "a message was refused");
        }
    }
}
