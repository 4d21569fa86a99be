//! How a running part of the process follows the settings.
//!
//! Two steps, so that a generation is taken whole or not at all: first every part makes what can
//! fail (binds a socket, compiles a pattern), and only when all of them have done so does each put
//! it in place, which cannot fail.

use crate::live::change::KeyResult;
use crate::settings::Settings;

/// A part of the process that can follow some keys.
pub trait Apply: Send + Sync {
    /// Makes what the step from `old` to `new` needs, without any effect yet. `changed` are the keys
    /// whose value differs. Dropping the answer undoes it. Called under the lock of all changes.
    ///
    /// # Errors
    /// The keys that cannot be followed, each [`Refused`](crate::live::change::Outcome::Refused);
    /// the whole generation is given up then.
    fn prepare(
        &self,
        old: &Settings,
        new: &Settings,
        changed: &[&'static str],
    ) -> Result<Box<dyn Prepared>, Vec<KeyResult>>;
}

/// A step that only has to be taken.
pub trait Prepared {
    /// Puts it in place. The keys this part knows about and what came of them; a key nobody names
    /// counts as applied when its row says it can change while running, else as needing a restart.
    fn commit(self: Box<Self>) -> Vec<KeyResult>;
}
