//! Listeners that join and leave while the engine runs.
//!
//! ```text
//!  prepare: what is wanted, what is there ─▶ bind what is missing            may fail, changes nothing
//!  commit:  ledger ▸ every lane meets ▸ lanes read ▸ file away ▸ lanes drain and let go ▸ close
//! ```
//!
//! Every lane knows a listener before any lane reads it, because batches travel between lanes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::handle::{Handle, ListenerState};
use super::schedule::Control;
use crate::config::{ListenConfig, UnixSocketConfig};
use crate::error::StartError;
use crate::lane::command::{Command, Sources};
use crate::ledger::{LISTENERS_MAX, Ledger, ListenerId, Transport};
use crate::receive::Sockets;
use crate::receive::drops::Watched;

/// Longest that a listener which leaves is read on.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Pause of a caller whose command does not fit into an inbox.
const PAUSE: Duration = Duration::from_micros(200);

/// Sockets that are bound and not yet read, and listeners that will go. Dropping it closes the sockets
/// again.
#[derive(Debug)]
pub struct ListenerStep {
    handle: Handle,
    fresh: Sockets,
    gone: Vec<ListenerId>,
}

/// The sockets a lane reads: its member of every port group; lane 0 also everything on Unix.
pub(super) fn sources_of(sockets: &Sockets, lane: usize) -> Sources {
    let udp = sockets.udp.iter();
    let unixgram = sockets.unixgram.iter().filter(|_| lane == 0);
    let streams = sockets.streams.iter().filter(|_| lane == 0);
    Sources {
        udp: udp
            .filter_map(|group| Some((group.id, Arc::clone(group.members.get(lane)?))))
            .collect(),
        unixgram: unixgram
            .map(|one| (one.id, Arc::clone(&one.socket)))
            .collect(),
        acceptors: streams
            .map(|one| (one.id, Arc::clone(&one.socket)))
            .collect(),
    }
}

/// By listener: Unix datagrams with origin detection on.
pub(super) fn expects_senders(ledger: &Ledger, origin_detection: bool) -> Vec<bool> {
    let listeners = ledger.listeners();
    let expects = listeners
        .iter()
        .map(|info| origin_detection && info.transport == Transport::Unixgram);
    expects.collect()
}

// === impl Handle ===

impl Handle {
    /// Binds every listener of `wanted` that is not there yet, and notes which are there and not
    /// wanted. Listeners are the same when they were asked for in the same words; what else `wanted`
    /// says holds for new ones only. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// What could not be bound; nothing has changed then.
    pub fn prepare_listeners(&self, wanted: &ListenConfig) -> Result<ListenerStep, StartError> {
        let Some(sockets) = self.shown.sockets.upgrade() else {
            return Ok(ListenerStep {
                handle: self.clone(),
                fresh: Sockets::none(),
                gone: Vec::new(),
            });
        };
        let present = lock(&sockets);
        let (missing, gone) = difference(&present, wanted);
        let own_ports: Vec<u16> = present
            .udp
            .iter()
            .map(|group| group.address.port())
            .collect();
        let left = present.udp.len() + present.unixgram.len() + present.streams.len() - gone.len();
        drop(present);
        let is_nothing =
            missing.udp.is_empty() && missing.unixgram.is_empty() && missing.unix_stream.is_empty();
        let fresh = match is_nothing {
            true if left == 0 && wanted.require_listener => return Err(StartError::NoListener),
            true => Sockets::none(),
            false => Sockets::bind_beside(&missing, self.shown.readers, &own_ports)?,
        };
        let known = self.shown.ledger.listeners().len();
        if known + fresh.infos.len() > LISTENERS_MAX {
            let source = std::io::Error::other("this process has had too many listeners");
            let what = "listener";
            return Err(StartError::Resources { what, source });
        }
        Ok(ListenerStep {
            handle: self.clone(),
            fresh,
            gone,
        })
    }

    /// Tells every lane in `lanes`; false when `end` came before an inbox had room.
    fn tell_all(
        &self,
        lanes: usize,
        end: Instant,
        mut command: impl FnMut(usize) -> Command,
    ) -> bool {
        for lane in 0..lanes {
            let mut unsent = command(lane);
            while let Err(refused) = self.shared.tell(lane, unsent) {
                if Instant::now() >= end {
                    return false;
                }
                unsent = refused;
                std::thread::sleep(PAUSE);
            }
        }
        true
    }
}

/// What has to be bound, as a configuration, and what has to go.
fn difference(present: &Sockets, wanted: &ListenConfig) -> (ListenConfig, Vec<ListenerId>) {
    let mut missing = ListenConfig {
        require_listener: false,
        ..wanted.clone()
    };
    let mut gone = Vec::new();
    for group in &present.udp {
        match missing
            .udp
            .iter()
            .position(|address| *address == group.wanted)
        {
            Some(at) => drop(missing.udp.remove(at)),
            None => gone.push(group.id),
        }
    }
    let mut keep = |wanted: &mut Vec<UnixSocketConfig>, path: &std::path::Path, id| match wanted
        .iter()
        .position(|socket| socket.path == path)
    {
        Some(at) => drop(wanted.remove(at)),
        None => gone.push(id),
    };
    for one in &present.unixgram {
        keep(&mut missing.unixgram, one.file.path(), one.id);
    }
    for one in &present.streams {
        keep(&mut missing.unix_stream, one.file.path(), one.id);
    }
    (missing, gone)
}

fn lock(sockets: &Mutex<Sockets>) -> MutexGuard<'_, Sockets> {
    sockets.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl ListenerStep ===

impl ListenerStep {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.gone.is_empty()
    }

    /// What binding had to do without, in words.
    pub fn warnings(&self) -> &[String] {
        &self.fresh.warnings
    }

    /// Reads the new sockets, then drains and closes those that go. Waits for lanes until `timeout`
    /// is over; false when one did not answer, and then new listeners are closed again, or old ones
    /// stay bound.
    pub fn commit(mut self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let Some(sockets) = self.handle.shown.sockets.upgrade() else {
            return false;
        };
        let joined = self.fresh.is_empty() || self.join(&sockets, end);
        let left = self.gone.is_empty() || self.leave(&sockets, end);
        joined && left
    }

    fn join(&mut self, sockets: &Mutex<Sockets>, end: Instant) -> bool {
        let handle = &self.handle;
        let shown = &handle.shown;
        let mut states = ListenerState::all(&self.fresh);
        let mut ids = Vec::new();
        for info in std::mem::take(&mut self.fresh.infos) {
            let Some(id) = shown.ledger.add_listener(info) else {
                return false;
            };
            ids.push(id);
        }
        let lanes = handle.shared.lanes();
        let (done, met) = bounded(lanes);
        let told = handle.tell_all(lanes, end, |_| Command::Meet {
            ledger: Arc::clone(&shown.ledger),
            expects_senders: expects_senders(&shown.ledger, shown.origin_detection),
            done: done.clone(),
        });
        if !told || (0..lanes).any(|_| met.recv_deadline(end).is_err()) {
            return false;
        }
        let mut all = Vec::clone(&shown.listeners.load());
        for (id, state) in ids.iter().zip(states.drain(..)) {
            match all.get_mut(usize::from(id.0)) {
                Some(known) => *known = state,
                None => all.push(state),
            }
        }
        shown.listeners.store(Arc::new(all));
        let mut fresh = Sockets::none();
        fresh.adopt(&mut self.fresh, &ids);
        let watched = Control::Watch(Watched::all(&fresh));
        // Without it only the kernel's drops of these are not seen.
        let is_watched = handle.control.send_deadline(watched, end).is_ok();
        let told = handle.tell_all(lanes, end, |lane| Command::Listen(sources_of(&fresh, lane)));
        // They know their numbers by now.
        let same: Vec<ListenerId> = (0..LISTENERS_MAX as u16).map(ListenerId).collect();
        lock(sockets).adopt(&mut fresh, &same);
        told && is_watched
    }

    fn leave(&self, sockets: &Mutex<Sockets>, end: Instant) -> bool {
        let handle = &self.handle;
        let taken = lock(sockets).take(&self.gone);
        for file in taken.files() {
            if let Err(error) = file.remove() {
                tracing::warn!(path = %file.path().display(), %error, "socket file left behind");
            }
        }
        let lanes = handle.shared.lanes();
        let (done, left) = bounded(lanes);
        let drain_until =
            Instant::now() + DRAIN_MAX.min(end.saturating_duration_since(Instant::now()) / 2);
        let told = handle.tell_all(lanes, end, |_| Command::Leave {
            listeners: self.gone.clone(),
            drain_until,
            done: done.clone(),
        });
        let all_left = told && (0..lanes).all(|_| left.recv_deadline(end).is_ok());
        let unwatch = Control::Unwatch(self.gone.clone());
        let is_unwatched = handle.control.send_deadline(unwatch, end).is_ok();
        let mut all = Vec::clone(&handle.shown.listeners.load());
        for id in &self.gone {
            if let Some(state) = all.get_mut(usize::from(id.0)) {
                state.open = false;
            }
        }
        handle.shown.listeners.store(Arc::new(all));
        all_left && is_unwatched
    }
}
