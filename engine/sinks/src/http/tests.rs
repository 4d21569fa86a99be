//! The server over real sockets, spoken to by hand.

use std::io::{Read, Write};
use std::net::TcpStream as Socket;

use greyhound_model::time::{Clock, SystemClock};
use greyhound_telemetry::{Desc, Kind};

use super::*;
use crate::config::PrometheusConfig;
use crate::fixtures::{counter, flush, gauge};
use crate::prometheus::{self, PrometheusSink};
use crate::sink::Sink;

const PATIENCE: Duration = Duration::from_secs(20);

static ANSWER: Desc = Desc {
    name: "test.answer",
    kind: Kind::Counter,
    unit: "",
    help: "The answer.",
    labels: &[],
};

fn config() -> HttpConfig {
    HttpConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..HttpConfig::default()
    }
}

fn pages() -> (Pages, PrometheusSink) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let built = prometheus::build(&PrometheusConfig::default(), clock);
    let (sink, exposition) = built.expect("defaults are right");
    let pages = Pages {
        metrics: Some(exposition),
        telemetry: Arc::new(|| {
            let mut snapshot = Snapshot::default();
            snapshot.push(&ANSWER, &[], 42.0);
            snapshot
        }),
        live: Arc::new(|| Health::Good),
        ready: Arc::new(|| Health::Bad("not ready: no listener".to_owned())),
    };
    (pages, sink)
}

fn start(config: &HttpConfig) -> (HttpServer, PrometheusSink) {
    let (pages, sink) = pages();
    let server = HttpServer::start(config, pages).expect("a free port");
    (server, sink)
}

fn connect(server: &HttpServer) -> Socket {
    let socket = Socket::connect(server.local_addr()).expect("the server listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// Sends `request` and reads until the server closes.
fn exchange(server: &HttpServer, request: &str) -> String {
    let mut socket = connect(server);
    socket
        .write_all(request.as_bytes())
        .expect("the server reads");
    let mut answer = Vec::new();
    socket
        .read_to_end(&mut answer)
        .expect("the server answers and closes");
    String::from_utf8(answer).expect("answers are text")
}

fn get(server: &HttpServer, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n");
    exchange(server, &request)
}

/// Takes a chunked body apart.
fn body(answer: &str) -> String {
    let (head, mut rest) = answer.split_once("\r\n\r\n").expect("a head");
    if !head.contains("transfer-encoding: chunked") {
        return rest.to_owned();
    }
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a chunk size");
        let size = usize::from_str_radix(size, 16).expect("a hex size");
        if size == 0 {
            return body;
        }
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").expect("an end of chunk");
    }
}

fn stop(server: HttpServer) {
    assert!(server.stop(Instant::now() + PATIENCE), "nothing was cut");
}

#[test]
fn aggregates_come_in_the_form_that_was_asked_for() {
    let (server, mut sink) = start(&config());
    let batch = Arc::new(flush([counter("page.views", "env:prod", 3.0)]));
    assert_eq!(sink.accept(&batch).delivered(), 1);
    let plain = get(&server, "/metrics", "");
    assert!(plain.starts_with("HTTP/1.1 200 OK\r\n"), "{plain}");
    assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(body(&plain).ends_with("page_views_total{env=\"prod\"} 3\n"));
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2\r\n";
    let open = get(&server, "/metrics", prometheus);
    assert!(
        open.contains(
            "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        ),
        "{open}"
    );
    assert!(body(&open).contains("# TYPE page_views counter\n"));
    assert!(body(&open).ends_with("# EOF\n"));
    stop(server);
}

#[test]
fn a_large_page_arrives_whole() {
    let (server, mut sink) = start(&config());
    let names = (0..20_000).map(|at| gauge(&format!("m{at:05}"), "some:tag,of:length", 1.0));
    assert_eq!(sink.accept(&Arc::new(flush(names))).delivered(), 20_000);
    let page = body(&get(&server, "/metrics", ""));
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(samples.count(), 20_000);
    // HTTP/1.0 knows no chunks: the end of the stream is the end of the page.
    let old = exchange(&server, "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(old.ends_with(&page), "the same page");
    stop(server);
}

#[test]
fn own_counters_probes_and_index() {
    let (server, _sink) = start(&config());
    assert!(get(&server, "/telemetry", "").contains("\ntest__answer 42\n"));
    let live = get(&server, "/live", "");
    assert!(live.starts_with("HTTP/1.1 200 OK\r\n") && live.ends_with("\r\n\r\nok\n"));
    let ready = get(&server, "/ready?verbose", "");
    assert!(
        ready.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{ready}"
    );
    assert!(ready.ends_with("\r\n\r\nnot ready: no listener\n"));
    assert!(get(&server, "/", "").contains("/metrics "));
    stop(server);
}

#[test]
fn what_is_not_there_or_not_allowed_says_so() {
    let (server, _sink) = start(&config());
    for path in [
        "/nothing",
        "/metrics/",
        "//metrics",
        "/metrics%2f",
        "/unknown",
    ] {
        let answer = get(&server, path, "");
        assert!(
            answer.starts_with("HTTP/1.1 404 Not Found\r\n"),
            "{path}: {answer}"
        );
    }
    for method in ["POST", "DELETE", "BREW"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(&server, &request);
        assert!(
            answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    }
    let mut snapshot = Snapshot::default();
    server.telemetry().collect(&mut snapshot);
    let requests = |labels| snapshot.get("greyhound.http.requests", labels);
    assert_eq!(requests(&[("path", "unknown"), ("code", "404")]), Some(5.0));
    assert_eq!(
        requests(&[("path", "/metrics"), ("code", "405")]),
        Some(3.0)
    );
    stop(server);
}

#[test]
fn a_head_request_gets_the_head() {
    let (server, mut sink) = start(&config());
    assert_eq!(
        sink.accept(&Arc::new(flush([gauge("g", "", 1.0)])))
            .delivered(),
        1
    );
    for path in ["/metrics", "/telemetry", "/", "/live"] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(&server, &request);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\ncontent-type: text/plain"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    stop(server);
}

#[test]
fn without_the_sink_there_is_no_page() {
    let (mut pages, _sink) = pages();
    pages.metrics = None;
    let server = HttpServer::start(&config(), pages).expect("a free port");
    let answer = get(&server, "/metrics", "");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(answer.contains("the Prometheus sink is off"), "{answer}");
    stop(server);
}

/// Reads one answer of known length from a connection that stays open.
fn read_answer(socket: &mut Socket, ending: &[u8]) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(ending) {
        socket.read_exact(&mut byte).expect("more to come");
        answer.push(byte[0]);
    }
    String::from_utf8(answer).expect("answers are text")
}

#[test]
fn a_connection_serves_many_requests() {
    let (server, _sink) = start(&config());
    let mut socket = connect(&server);
    for _ in 0..3 {
        socket
            .write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("the server reads");
        assert!(read_answer(&mut socket, b"\r\n\r\nok\n").starts_with("HTTP/1.1 200 OK\r\n"));
    }
    drop(socket);
    stop(server);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (server, _sink) = start(&config());
    let long = format!("X-Long: {}\r\n", "x".repeat(32 * 1024));
    assert!(get(&server, "/live", &long).starts_with("HTTP/1.1 431 "));
    let many: String = (0..65).map(|at| format!("X-{at}: y\r\n")).collect();
    assert!(get(&server, "/live", &many).starts_with("HTTP/1.1 431 "));
    assert!(get(&server, "/live", "X-Short: y\r\n").starts_with("HTTP/1.1 200 "));
    stop(server);
}

#[test]
fn garbage_is_answered_and_cut() {
    let (server, _sink) = start(&config());
    let answer = exchange(&server, "\x16\x03\x01\x02garbage\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    stop(server);
}

/// Waits until the server closes the connection, and returns what came before.
fn until_closed(mut socket: Socket) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is as good an end as any.
    if let Err(error) = socket.read_to_end(&mut rest) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }
    rest
}

#[test]
fn a_head_that_never_ends_is_cut() {
    let (server, _sink) = start(&HttpConfig {
        head_timeout: Duration::from_millis(50),
        ..config()
    });
    let mut socket = connect(&server);
    socket
        .write_all(b"GET /live HTTP/1.1\r\nHost:")
        .expect("the server reads");
    until_closed(socket);
    stop(server);
}

#[test]
fn a_connection_without_a_byte_is_cut() {
    let (server, _sink) = start(&HttpConfig {
        stall_timeout: Duration::from_millis(50),
        ..config()
    });
    until_closed(connect(&server));
    stop(server);
}

#[test]
fn a_reader_that_never_reads_is_cut() {
    let (server, mut sink) = start(&HttpConfig {
        stall_timeout: Duration::from_millis(100),
        ..config()
    });
    let tag = format!("long:{}", "x".repeat(2000));
    let names = (0..20_000).map(|at| gauge(&format!("m{at:05}"), &tag, 1.0));
    assert_eq!(sink.accept(&Arc::new(flush(names))).delivered(), 20_000);
    let mut socket = connect(&server);
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the server reads");
    let deadline = Instant::now() + PATIENCE;
    let asked = || {
        let mut snapshot = Snapshot::default();
        server.telemetry().collect(&mut snapshot);
        snapshot.sum("greyhound.http.requests") > 0.0
    };
    while !asked() || server.telemetry.open() > 0 {
        assert!(
            Instant::now() < deadline,
            "the reader still holds its connection"
        );
        thread::yield_now();
    }
    stop(server);
}

#[test]
fn connections_over_the_limit_wait_for_their_turn() {
    let (server, _sink) = start(&HttpConfig {
        connections_max: 1,
        ..config()
    });
    let mut first = connect(&server);
    first
        .write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the server reads");
    read_answer(&mut first, b"ok\n");
    let mut second = connect(&server);
    second
        .write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the kernel takes it");
    assert_eq!(server.telemetry.open(), 1);
    drop(first);
    read_answer(&mut second, b"ok\n");
    drop(second);
    stop(server);
}

#[test]
fn a_taken_address_names_the_setting() {
    let (server, _sink) = start(&config());
    let taken = HttpConfig {
        listen: server.local_addr(),
        ..config()
    };
    let error = HttpServer::start(&taken, pages().0).expect_err("taken");
    let text = error.to_string();
    assert!(text.contains("greyhound.prometheus.listen"), "{text}");
    assert!(text.contains(&server.local_addr().to_string()), "{text}");
    stop(server);
}

#[test]
fn a_stop_ends_idle_connections_and_frees_the_port() {
    let (server, _sink) = start(&config());
    let addr = server.local_addr();
    let mut idle = connect(&server);
    idle.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the server reads");
    read_answer(&mut idle, b"ok\n");
    stop(server);
    assert!(until_closed(idle).is_empty());
    assert!(Socket::connect(addr).is_err(), "nobody listens");
}

#[test]
fn a_stop_cuts_what_is_still_open_at_the_deadline() {
    let (server, mut sink) = start(&config());
    let tag = format!("long:{}", "x".repeat(2000));
    let names = (0..20_000).map(|at| gauge(&format!("m{at:05}"), &tag, 1.0));
    assert_eq!(sink.accept(&Arc::new(flush(names))).delivered(), 20_000);
    let mut stuck = connect(&server);
    stuck
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the server reads");
    let mut first = [0];
    stuck.read_exact(&mut first).expect("the page has begun");
    assert!(!server.stop(Instant::now() + Duration::from_millis(50)));
}
