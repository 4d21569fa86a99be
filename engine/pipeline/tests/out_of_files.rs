//! When the process runs out of descriptors, a stream client waits in the kernel's backlog and loses
//! nothing, and other listeners work on. A process of its own: the limit holds for all of it.

use std::fs::{File, Permissions};
use std::io::Write;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greyhound_model::flush::FlushBatch;
use greyhound_model::time::SystemClock;
use greyhound_pipeline::config::{Config, UnixSocketConfig};
use greyhound_pipeline::engine::handle::Handle;
use greyhound_pipeline::engine::{Engine, Output};
use greyhound_sys::rlimit;

const DEADLINE: Duration = Duration::from_secs(20);

struct Forget;

impl Output for Forget {
    fn deliver(&mut self, _batch: Arc<FlushBatch>) {}
}

fn wait_for(handle: &Handle, what: &str, condition: impl Fn(&Handle) -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition(handle) {
        assert!(Instant::now() < end, "never {what}: {:?}", handle.receive());
        std::thread::yield_now();
    }
}

#[test]
fn a_client_that_cannot_be_accepted_waits_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("stream.socket");
    let mut config = Config::default();
    config.listen.udp = vec!["127.0.0.1:0".parse().unwrap()];
    config.listen.unix_stream = vec![UnixSocketConfig {
        path: path.clone(),
        mode: 0o722,
        owner: None,
        group: None,
        allow_open_folder: false,
    }];
    let clock = Arc::new(SystemClock::default());
    let engine = Engine::start(config, clock, Box::new(Forget)).unwrap();
    let handle = engine.handle();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(&handle.listeners()[0].info.address).unwrap();

    // One descriptor more: the client takes it, and accepting finds none.
    let lowest_free = File::open("/dev/null").unwrap().as_raw_fd();
    rlimit::limit_open_files(u64::try_from(lowest_free).unwrap() + 1).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"\x08\0\0\0hits:1|c").unwrap();
    wait_for(&handle, "backed off twice", |handle| {
        handle.receive().accept_backoffs >= 2
    });
    udp.send(b"hits:1|c").unwrap();
    wait_for(&handle, "read UDP", |handle| {
        handle.ledger().read().total.metrics == 1
    });
    assert_eq!(handle.connections(), 0);

    rlimit::raise_open_files().unwrap();
    wait_for(&handle, "accepted", |handle| {
        handle.ledger().read().total.metrics == 2
    });
    let stopped = engine.stop(DEADLINE);
    assert!(stopped.clean);
    assert_eq!(stopped.ledger.remainder(), 0);
    assert_eq!(stopped.ledger.total.metrics, 2);
}
