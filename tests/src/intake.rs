//! A Datadog intake that believes nothing: every payload it is sent is unpacked, decoded to its last byte and
//! held against every rule of the real one, whatever the test is about. What breaks a rule fails the test that
//! asks for the records, or at the latest the one that drops the intake.
//!
//! ```text
//!  daemon ──▶ door (TCP, TLS or nothing) ──▶ request ──▶ check ──▶ records
//!                                               └──▶ reply, as the test says: a status, late, never, a reset …
//! ```
//!
//! A payload counts as arrived when the intake took responsibility for it: it was answered 2xx, or the answer
//! was lost on purpose. Payloads that arrive twice are told apart by their bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub mod certificates;
mod check;
mod door;
pub mod payload;
mod protobuf;
pub mod records;
pub mod reply;
mod request;

pub use certificates::Certificate;
pub use records::{Arrival, Records};
pub use reply::Reply;
pub use request::{Class, Request};

use door::Door;

/// The key every intake takes until it is told otherwise.
pub const KEY: &str = "0123456789abcdef0123456789abcdef";

/// What the test knows about the sender, and the intake could not know otherwise.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Keys that are taken; others are answered 403.
    pub keys: Vec<String>,
    /// Bucket width; every point stands on this grid and every interval is this long.
    pub bucket_seconds: i64,
    /// Whether clients give times of their own, which stand on no grid and may repeat.
    pub own_times: bool,
    /// `Content-Encoding` of every payload; empty = none.
    pub encoding: &'static str,
    /// Bytes of a payload of series, as sent and before compression, and its points.
    pub series: [usize; 3],
    /// Bytes of any other payload, as sent and before compression.
    pub other: [usize; 2],
    /// Whether decoded payloads are kept; without, only counts and digests are.
    pub keeps_payloads: bool,
}

/// A running intake; ends with its owner.
pub struct Intake {
    shared: Arc<Shared>,
    door: Door,
}

/// What the connections share.
struct Shared {
    rules: Mutex<Rules>,
    reply: Mutex<Arc<Script>>,
    records: Mutex<Records>,
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

// === impl Rules ===

impl Default for Rules {
    fn default() -> Self {
        Self {
            keys: vec![KEY.to_owned()],
            bucket_seconds: 1,
            own_times: false,
            encoding: "zstd",
            series: [512_000, 5_242_880, 10_000],
            other: [2_621_440, 4_194_304],
            keeps_payloads: true,
        }
    }
}

// === impl Intake ===

impl Default for Intake {
    fn default() -> Self {
        Self::start()
    }
}

impl Intake {
    /// Plain HTTP on a free port of loopback, everything accepted.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// HTTPS with this certificate, which is for `localhost` and `127.0.0.1` unless it says otherwise.
    pub fn start_tls(certificate: &Certificate) -> Self {
        Self::start_with(Some(certificate))
    }

    fn start_with(certificate: Option<&Certificate>) -> Self {
        let shared = Arc::new(Shared {
            rules: Mutex::new(Rules::default()),
            reply: Mutex::new(Arc::new(|_: &Request| Reply::Accept)),
            records: Mutex::new(Records::default()),
        });
        let door = Door::open(Arc::clone(&shared), certificate);
        Self { shared, door }
    }

    /// What `dd_url` is to be.
    pub fn url(&self) -> String {
        self.door.url()
    }

    /// Changes the rules.
    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut lock(&self.shared.rules));
    }

    /// From now on every request is answered like this.
    pub fn reply(&self, reply: Reply) {
        self.reply_with(move |_| reply.clone());
    }

    /// The first so many payloads from now on are answered like this, all later ones accepted.
    pub fn reply_first(&self, count: u64, reply: Reply) {
        let from = self.records().requests;
        self.reply_with(move |request| match request.number < from + count {
            true => reply.clone(),
            false => Reply::Accept,
        });
    }

    /// From now on every request is answered as `script` says.
    pub fn reply_with(&self, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *lock(&self.shared.reply) = Arc::new(script);
    }

    /// Nobody listens any more; connections that exist are reset.
    pub fn close(&self) {
        self.door.close();
    }

    /// Listens again, at the same address.
    pub fn open(&self) {
        self.door.open_again();
    }

    /// Connections are reset; new ones are welcome.
    pub fn reset_connections(&self) {
        self.door.reset_connections();
    }

    /// Connections opened so far.
    pub fn connections(&self) -> u64 {
        self.door.connections()
    }

    /// What was recorded so far.
    ///
    /// # Panics
    /// When a payload broke a rule; the message lists the first ones.
    pub fn records(&self) -> Records {
        let records = lock(&self.shared.records);
        records.check();
        records.clone()
    }

    /// A figure out of the records, without copying them.
    ///
    /// # Panics
    /// When a payload broke a rule.
    pub fn look<T>(&self, at: impl FnOnce(&Records) -> T) -> T {
        let records = lock(&self.shared.records);
        records.check();
        at(&records)
    }

    /// Waits until `condition` holds of the records.
    ///
    /// # Panics
    /// When it does not in time, or a payload broke a rule.
    pub fn wait(&self, awaited: &str, condition: impl Fn(&Records) -> bool) {
        crate::wait::until(awaited, || self.look(&condition).then_some(()));
    }

    /// Requests of each class that came so far, whatever became of them.
    pub fn requests(&self) -> BTreeMap<Class, u64> {
        self.look(|records| records.requests_by_class.clone())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.door.close();
        if !std::thread::panicking() {
            lock(&self.shared.records).check();
        }
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

/// A panic of another thread is reported by that thread; what it held is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
