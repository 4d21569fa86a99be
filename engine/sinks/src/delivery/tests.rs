//! Against a destination that does what the test says, and a ledger that has to come out even.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use super::*;
use crate::client::ClientConfig;
use crate::spool::SyncPolicy;

/// What the destination does with one request.
#[derive(Clone, Debug)]
enum Act {
    Answer(&'static str),
    /// Reads it whole and hangs up.
    HangUp,
}

const OK: Act = Act::Answer("202 Accepted\r\n");

/// Follows a script, then accepts everything. Keeps the bodies it accepted.
struct Server {
    address: SocketAddr,
    accepted: Arc<Mutex<Vec<Vec<u8>>>>,
    requests: Arc<AtomicU64>,
}

impl Server {
    fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Self {
            address: listener.local_addr().expect("bound"),
            accepted: Arc::default(),
            requests: Arc::default(),
        };
        let script = Arc::new(Mutex::new(VecDeque::from_iter(script)));
        let (accepted, requests) = (Arc::clone(&server.accepted), Arc::clone(&server.requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let next = || script.lock().expect("whole").pop_front().unwrap_or(OK);
                serve(stream, next, &accepted, &requests);
            }
        });
        server
    }

    fn accepted(&self) -> Vec<Vec<u8>> {
        let mut bodies = self.accepted.lock().expect("whole").clone();
        bodies.sort();
        bodies
    }
}

fn serve(
    mut stream: TcpStream,
    next: impl Fn() -> Act,
    accepted: &Mutex<Vec<Vec<u8>>>,
    requests: &AtomicU64,
) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let (head_len, body_len) = loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some(head_len) = text.find("\r\n\r\n") {
            let len = text
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next())
                .and_then(|len| len.parse::<usize>().ok())
                .unwrap_or(0);
            if request.len() >= head_len + 4 + len {
                break (head_len + 4, len);
            }
        }
        match stream.read(&mut buffer) {
            Ok(len) if len > 0 => request.extend_from_slice(&buffer[..len]),
            _ => return,
        }
    };
    requests.fetch_add(1, Ordering::Relaxed);
    let body = request[head_len..head_len + body_len].to_vec();
    match next() {
        Act::Answer(answer) => {
            if answer.starts_with('2') {
                accepted.lock().expect("whole").push(body);
            }
            let head = format!("HTTP/1.1 {answer}Content-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).ok();
        }
        // It arrived, but nobody says so.
        Act::HangUp => accepted.lock().expect("whole").push(body),
    }
}

struct Plain {
    uri: Uri,
}

impl Target for Plain {
    fn classes(&self) -> &'static [&'static str] {
        &["one", "two"]
    }

    fn address(&self) -> String {
        self.uri.to_string()
    }

    fn request(&self, _: u8, _: u8) -> (Uri, HeaderMap) {
        (self.uri.clone(), HeaderMap::new())
    }

    fn split(&self, payload: &Payload) -> Option<[Payload; 2]> {
        let half = payload.body.len() / 2;
        let part = |body: Bytes| Payload {
            points: body.len() as u32,
            body,
            ..payload.clone()
        };
        (half > 0).then(|| {
            [
                part(payload.body.slice(..half)),
                part(payload.body.slice(half..)),
            ]
        })
    }
}

/// One point for each byte, so that sums can be compared.
fn payload(body: &'static [u8]) -> Payload {
    Payload {
        class: 0,
        encoding: 0,
        points: body.len() as u32,
        body: Bytes::from_static(body),
    }
}

fn config() -> DeliveryConfig {
    DeliveryConfig {
        memory_bytes_max: 1_000_000,
        concurrency_max: 4,
        backoff: BackoffConfig {
            base: Duration::from_millis(20),
            max: Duration::from_millis(100),
            ..BackoffConfig::default()
        },
        drop_on_auth_error: false,
        age_max: Duration::from_secs(3600),
        spool: None,
    }
}

fn spool(folder: &Path) -> SpoolConfig {
    SpoolConfig {
        folder: folder.to_owned(),
        bytes_max: 1_000_000,
        disk_share_max: 1.0,
        sync: SyncPolicy::Interval,
        segment_len_bytes: 100_000,
    }
}

struct Running {
    delivery: Delivery,
    ledger: Arc<SinkLedger>,
}

impl Running {
    fn start(address: SocketAddr, config: DeliveryConfig) -> Self {
        let uri = format!("http://{address}/").parse().expect("an address");
        let client = Client::new(&ClientConfig {
            timeout: Duration::from_secs(5),
            ..ClientConfig::default()
        });
        let delivery = Delivery::new(
            config,
            Arc::new(Plain { uri }),
            client.expect("a client"),
            Egress::start().expect("threads"),
        );
        let ledger = Arc::new(SinkLedger::default());
        delivery.start(Arc::clone(&ledger));
        Self { delivery, ledger }
    }

    fn push(&self, payloads: &[Payload]) {
        self.push_at(payloads, now());
    }

    fn push_at(&self, payloads: &[Payload], now: i64) {
        let points = payloads.iter().map(|one| u64::from(one.points)).sum();
        self.ledger.add(points);
        self.delivery.push(payloads.iter().cloned(), now);
    }

    fn dropped(&self, reason: Reason) -> u64 {
        self.ledger.totals().settled.dropped(reason)
    }

    /// Waits until nothing waits.
    fn wait_settled(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.ledger.totals().waiting() > 0 {
            let status = self.delivery.view().status();
            assert!(Instant::now() < deadline, "still waiting: {status:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn wait(&self, done: impl Fn(&status::DeliveryStatus) -> bool) -> status::DeliveryStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let status = self.delivery.view().status();
            if done(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "not so: {status:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops, and checks that every point has its place.
    fn stop(self) -> crate::sink::SinkTotals {
        self.delivery
            .stop(Instant::now() + Duration::from_millis(200));
        let totals = self.ledger.totals();
        assert_eq!(totals.waiting(), 0, "{totals:?}");
        totals
    }
}

fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
        .cast_signed()
}

/// A port nobody listens on.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

#[test]
fn errors_are_tried_again_until_the_payload_arrives_once() {
    for act in [
        "500 Oops\r\n",
        "503 Busy\r\n",
        "404 Where\r\n",
        "408 Slow\r\n",
        "301 There\r\nLocation: http://127.0.0.1:1/\r\n",
    ] {
        let server = Server::start([Act::Answer(act), Act::Answer(act)]);
        let running = Running::start(server.address, config());
        running.push(&[payload(b"abc")]);
        running.wait_settled();
        assert_eq!(server.accepted(), [b"abc".to_vec()], "{act}");
        let status = running.delivery.view().status();
        assert_eq!((status.retries, status.resent_payloads), (2, 0), "{act}");
        assert!(status.last_error.expect("an error").1.contains(&act[..3]));
        assert_eq!(running.stop().settled.delivered(), 3);
    }
}

#[test]
fn a_refused_payload_is_dropped_and_the_next_one_is_sent() {
    let server = Server::start([Act::Answer("400 No\r\n"), Act::Answer("410 Gone\r\n")]);
    let mut serial = config();
    serial.concurrency_max = 1;
    let running = Running::start(server.address, serial);
    running.push(&[payload(b"a"), payload(b"bb"), payload(b"ccc")]);
    running.wait_settled();
    assert_eq!(server.accepted(), [b"ccc".to_vec()]);
    assert_eq!(running.dropped(Reason::Http400), 1);
    assert_eq!(running.dropped(Reason::HttpOther), 2);
    running.stop();
}

#[test]
fn an_unknown_outcome_is_sent_again_and_counted() {
    let server = Server::start([Act::HangUp]);
    let running = Running::start(server.address, config());
    running.push(&[payload(b"abc")]);
    running.wait_settled();
    let status = running.delivery.view().status();
    let duplicates = server.accepted().len() as u64 - 1;
    assert_eq!((duplicates, status.resent_payloads), (1, 1));
    assert_eq!(status.resent_points, 3);
    running.stop();
}

#[test]
fn a_payload_too_large_is_halved_once() {
    let too_large = || Act::Answer("413 Large\r\n");
    let server = Server::start([too_large(), too_large()]);
    let mut serial = config();
    serial.concurrency_max = 1;
    let running = Running::start(server.address, serial);
    running.push(&[payload(b"abcd")]);
    running.wait_settled();
    let accepted = server.accepted();
    assert_eq!(accepted.len(), 1, "one half arrives, one is refused again");
    assert_eq!(running.dropped(Reason::Http413), 2);
    assert_eq!(running.stop().settled.delivered(), 2);
}

#[test]
fn a_key_that_is_not_accepted_keeps_the_data_until_another_one_is_tried() {
    let server = Server::start([Act::Answer("403 Forbidden\r\n")]);
    let running = Running::start(server.address, config());
    running.push(&[payload(b"abc")]);
    let status = running.wait(|status| status.last_error.is_some() && status.in_flight == 0);
    assert_eq!(status.queued_points, 3);
    let open = status.classes[0].breaker;
    assert!(
        matches!(open, status::BreakerStatus::Open { seconds } if seconds > 50.0),
        "{open}"
    );
    running.delivery.view().try_now();
    running.wait_settled();
    assert_eq!(server.accepted().len(), 1);
    running.stop();

    let server = Server::start([Act::Answer("403 Forbidden\r\n")]);
    let mut like_the_agent = config();
    like_the_agent.drop_on_auth_error = true;
    let running = Running::start(server.address, like_the_agent);
    running.push(&[payload(b"abc")]);
    running.wait_settled();
    assert_eq!(running.dropped(Reason::HttpAuth), 3);
    running.stop();
}

#[test]
fn retry_after_holds_one_class_and_not_the_other() {
    let server = Server::start([Act::Answer("429 Slow\r\nRetry-After: 100\r\n")]);
    let running = Running::start(server.address, config());
    running.push(&[payload(b"abc")]);
    running.wait(|status| status.retries == 1);
    let other = Payload {
        class: 1,
        ..payload(b"de")
    };
    running.push(&[other]);
    running.wait(|status| status.delivered_payloads == 1);
    assert_eq!(server.accepted(), [b"de".to_vec()]);
    let totals = running.stop();
    assert_eq!(totals.settled.dropped(Reason::Deadline), 3);
}

#[test]
fn memory_is_bounded_and_the_oldest_goes() {
    let mut small = config();
    small.memory_bytes_max = 10;
    let running = Running::start(nobody(), small);
    for body in [b"aaaa", b"bbbb", b"cccc", b"dddd"] {
        running.push(&[payload(body)]);
        let status = running.delivery.view().status();
        assert!(status.memory_bytes <= 10, "{status:?}");
    }
    // One of them may have been on its way when room was made; it is never the one that goes.
    assert!(running.dropped(Reason::MemoryFull) >= 4);
    let totals = running.stop();
    assert_eq!(totals.settled.dropped_total(), 16);
}

#[test]
fn what_is_too_old_is_dropped_unsent() {
    let server = Server::start([]);
    let running = Running::start(server.address, config());
    running.push_at(&[payload(b"abc")], now() - 4000);
    running.wait_settled();
    assert_eq!(running.dropped(Reason::TooOld), 3);
    assert_eq!(server.accepted(), Vec::<Vec<u8>>::new());
    running.stop();
}

#[test]
fn what_lies_on_disk_is_sent_by_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut durable = config();
    durable.spool = Some(spool(folder.path()));
    // So small that no body stays in memory.
    durable.memory_bytes_max = 4;
    let running = Running::start(nobody(), durable.clone());
    running.push(&[payload(b"abc"), payload(b"defg"), payload(b"hijkl")]);
    running.wait(|status| status.retries > 0);
    let totals = running.stop();
    assert_eq!((totals.kept, totals.settled.dropped_total()), (12, 0));

    let server = Server::start([]);
    let running = Running::start(server.address, durable.clone());
    let status = running.wait(|status| status.delivered_payloads == 3);
    assert_eq!(status.recovered_payloads, 3);
    let expected = [b"abc".to_vec(), b"defg".to_vec(), b"hijkl".to_vec()];
    assert_eq!(server.accepted(), expected);
    assert_eq!(running.stop().settled.delivered(), 12);

    let running = Running::start(server.address, durable);
    running.wait(|status| !matches!(status.disk, status::DiskStatus::Opening));
    assert_eq!(running.delivery.view().status().recovered_payloads, 0);
    running.stop();
    assert_eq!(server.accepted().len(), 3, "nothing is sent twice");
}

#[test]
fn a_disk_that_cannot_be_used_is_done_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").expect("a file");
    let mut durable = config();
    durable.spool = Some(spool(&file));
    let server = Server::start([]);
    let running = Running::start(server.address, durable);
    running.push(&[payload(b"abc")]);
    running.wait_settled();
    let status = running.delivery.view().status();
    assert!(
        matches!(status.disk, status::DiskStatus::Degraded(_)),
        "{status:?}"
    );
    assert_eq!(status.disk_errors, 1);
    running.stop();
}

#[test]
fn fresh_payloads_overtake_old_ones() {
    let mut queue = Queue::new(1, false, &config());
    let mut push = |made_at, points| {
        let entry = Entry {
            seq: 0,
            class: 0,
            encoding: 0,
            points,
            made_at,
            len_bytes: 1,
            body: Some(Bytes::from_static(b"x")),
            place: None,
            is_half: false,
        };
        assert!(queue.admit(1, false));
        queue.push(entry, false);
    };
    for (made_at, points) in [(0, 1), (1, 2), (100, 3), (101, 4)] {
        push(made_at, points);
    }
    let mut order = Vec::new();
    while let queue::Step::Send(job) = queue.next(Instant::now(), 105) {
        order.push(job.entry.points);
        queue.finish(&job);
    }
    assert_eq!(order, [3, 4, 1, 2]);
    assert_eq!(
        (queue.entries, queue.memory_bytes, queue.in_flight),
        (0, 0, 0)
    );
}
