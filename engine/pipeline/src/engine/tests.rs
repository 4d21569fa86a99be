//! The whole engine over real sockets. Every test ends with the ledger's remainder.

mod datagrams;
mod failures;
mod follow;
mod joining;
mod lanes;
mod streams;
mod timestamped;

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use crossbeam_channel::Receiver;
use greyhound_model::time::{BucketWidth, SystemClock};

use super::*;
use crate::config::UnixSocketConfig;
use crate::ledger::{ListenerId, Tally};

const DEADLINE: Duration = Duration::from_secs(20);

/// Keeps every batch.
struct Keep(Sender<Arc<FlushBatch>>);

impl Output for Keep {
    fn deliver(&mut self, batch: Arc<FlushBatch>) {
        self.0.try_send(batch).unwrap();
    }
}

/// An engine, what it delivers, and a folder for its sockets.
struct Bench {
    engine: Engine,
    batches: Receiver<Arc<FlushBatch>>,
    folder: tempfile::TempDir,
}

impl Bench {
    /// `adapt` gets a config without listeners and the folder.
    fn start(adapt: impl FnOnce(&mut Config, &Path)) -> Self {
        Self::start_at(Arc::new(SystemClock::default()), adapt)
    }

    fn start_at(clock: Arc<dyn Clock>, adapt: impl FnOnce(&mut Config, &Path)) -> Self {
        let folder = folder();
        let mut config = Config::default();
        adapt(&mut config, folder.path());
        let (sender, batches) = bounded(10_000);
        let engine = Engine::start(config, clock, Box::new(Keep(sender))).unwrap();
        Self {
            engine,
            batches,
            folder,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self, listener: usize) -> SocketAddr {
        self.engine.handle().listeners()[listener]
            .info
            .address
            .parse()
            .unwrap()
    }

    fn tally(&self, listener: u16) -> Tally {
        self.engine.handle().ledger().listener(ListenerId(listener))
    }

    /// Waits until the engine has got so far.
    fn wait_for(&self, what: &str, condition: impl Fn(&Handle) -> bool) {
        let handle = self.engine.handle();
        let end = Instant::now() + DEADLINE;
        while !condition(&handle) {
            assert!(
                Instant::now() < end,
                "never {what}: {:?}",
                handle.ledger().read()
            );
            std::thread::yield_now();
        }
    }

    /// Stops, checks the ledger, and adds up all counters by name.
    fn stop(self) -> (Stopped, Totals) {
        let stopped = self.engine.stop(DEADLINE);
        assert!(stopped.clean);
        assert_eq!(stopped.ledger.remainder(), 0, "{}", stopped.ledger);
        assert_eq!(stopped.ledger.samples_open(), 0, "{}", stopped.ledger);
        let totals = Totals(self.batches.try_iter().collect());
        (stopped, totals)
    }
}

/// Everything that was delivered.
struct Totals(Vec<Arc<FlushBatch>>);

impl Totals {
    /// Sum of all points under this name.
    fn sum(&self, name: &str) -> f64 {
        self.0
            .iter()
            .flat_map(|batch| &batch.series)
            .filter(|series| series.full_name() == name.as_bytes())
            .flat_map(|series| series.points.as_slice())
            .map(|point| point.value)
            .sum()
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn socket_at(path: std::path::PathBuf) -> UnixSocketConfig {
    UnixSocketConfig {
        path,
        mode: 0o722,
        owner: None,
        group: None,
        allow_open_folder: false,
    }
}

/// Fails the test instead of blocking for ever when nobody reads.
fn unixgram_client(path: &Path) -> UnixDatagram {
    let client = UnixDatagram::unbound().unwrap();
    client.connect(path).unwrap();
    client.set_write_timeout(Some(DEADLINE)).unwrap();
    client
}

fn stream_client(path: &Path) -> UnixStream {
    let client = UnixStream::connect(path).unwrap();
    client.set_write_timeout(Some(DEADLINE)).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

fn send_frame(client: &mut UnixStream, frame: &[u8]) {
    let len = u32::try_from(frame.len()).unwrap();
    client.write_all(&len.to_le_bytes()).unwrap();
    client.write_all(frame).unwrap();
}
