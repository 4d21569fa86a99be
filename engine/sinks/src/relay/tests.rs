//! The relay: lines as they are sent, and receivers that come late, go away, or never were.

use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use super::*;
use crate::fixtures::{
    BUCKET, aggregates, batch, context, counter, distribution, event, flush, gauge, histogram,
    service_check,
};
use crate::sink::{Reason, SinkTotals};
use greyhound_model::flush::{Members, SetSeries};
use greyhound_model::series::{Points, Unit};

const PATIENCE: Duration = Duration::from_secs(20);

fn config(address: &str) -> RelayConfig {
    let address: Address = address.parse().expect("an address");
    RelayConfig {
        packet_len_bytes_max: address.packet_len(),
        address,
        queue_bytes_max: 1 << 20,
        timestamps: Timestamps::Own,
        histograms: Histograms::Samples,
        own_host_tag: true,
    }
}

/// Lines of a flush, without any socket.
fn lines_of(config: RelayConfig, batch: &FlushBatch) -> (Vec<String>, u64, Receipt) {
    let mut sink = RelaySink::new(config);
    let mut receipt = Receipt::default();
    let (mut lines, mut points) = (Vec::new(), 0);
    let mut push = |packet: pack::Packet| {
        points += packet.points;
        let text = String::from_utf8(packet.bytes).expect("text");
        lines.extend(text.lines().map(str::to_owned));
    };
    let mut packer = Packer::new(sink.config.packet_len_bytes_max, &mut receipt, &mut push);
    sink.encode(batch, &mut packer);
    packer.finish();
    (lines, points, receipt)
}

fn lines(batch: &FlushBatch) -> Vec<String> {
    let (lines, points, receipt) = lines_of(config("udp://h:1"), batch);
    assert_eq!(points + receipt.total(), batch.point_count(), "{lines:?}");
    lines
}

#[test]
fn counters_and_gauges_carry_their_tags_and_host() {
    let mut other = gauge("g", "", -1.5);
    other.context = Context::new(b"g", greyhound_model::context::Host::Named(b""), []);
    assert_eq!(
        lines(&flush([counter("c", "b,a:1", 42.0), other])),
        ["c:42|c|#host:agent-host,a:1,b", "g:-1.5|g|#host:"]
    );
    let (without, ..) = lines_of(
        RelayConfig {
            own_host_tag: false,
            ..config("udp://h:1")
        },
        &flush([counter("c", "", 1.0)]),
    );
    assert_eq!(without, ["c:1|c"]);
}

#[test]
fn a_time_of_its_own_stays_and_that_of_a_bucket_goes() {
    let mut own = gauge("g", "", 1.0);
    own.points = Points::One(greyhound_model::series::Point {
        unix_seconds: BUCKET + 3,
        value: 1.0,
    });
    let mut batch = flush([counter("c", "", 1.0), own]);
    let host = "|#host:agent-host";
    assert_eq!(
        lines(&batch),
        [
            format!("c:1|c{host}"),
            format!("g:1|g{host}|T{}", BUCKET + 3)
        ]
    );
    batch.cause = FlushCause::Timestamped;
    assert_eq!(lines(&batch)[0], format!("c:1|c{host}|T{BUCKET}"));
    for (timestamps, times) in [(Timestamps::All, 2), (Timestamps::Never, 0)] {
        let config = RelayConfig {
            timestamps,
            ..config("udp://h:1")
        };
        let (lines, ..) = lines_of(config, &batch);
        assert_eq!(
            lines.iter().filter(|line| line.contains("|T")).count(),
            times
        );
    }
}

#[test]
fn sets_are_their_members_and_distributions_their_values() {
    let mut batch = flush([gauge("s", "", 2.0), gauge("plain", "", 5.0)]);
    let members: Members = ["x", "y"].iter().map(|m| m.as_bytes().into()).collect();
    batch.sets.push(SetSeries {
        context: context("s", ""),
        points: vec![(BUCKET, Arc::new(members))],
    });
    batch
        .sketches
        .push(distribution("d", "", &[1.0, 2.0, 2.0, 2.0, 2.0, 9.0]));
    let mut lines = lines(&batch);
    lines.sort();
    let host = "|#host:agent-host";
    assert_eq!(lines[0], format!("d:1:9|d{host}"));
    assert!(
        lines[1].starts_with("d:2") && lines[1].ends_with(&format!("|d|@0.25{host}")),
        "{lines:?}"
    );
    assert_eq!(
        lines[2..],
        [
            format!("plain:5|g{host}"),
            format!("s:x|s{host}"),
            format!("s:y|s{host}")
        ]
    );
}

#[test]
fn histograms_are_values_or_their_aggregates() {
    let values = [1.0, 3.0];
    let mut batch = flush(aggregates("h", "", &values));
    batch
        .histograms
        .push(histogram("h", "", Unit::Millisecond, &values));
    assert_eq!(lines(&batch), ["h:1:3|ms|#host:agent-host"]);
    let config = RelayConfig {
        histograms: Histograms::Aggregates,
        ..config("udp://h:1")
    };
    let (lines, points, _) = lines_of(config, &batch);
    assert_eq!(
        lines,
        ["h.max:3|g|#host:agent-host", "h.count:2|c|#host:agent-host"]
    );
    assert_eq!(points, 2);
}

#[test]
fn events_and_checks_are_written_as_they_came() {
    let mut batch = batch();
    batch.events.push(event(b"title", b"a\nb"));
    batch.service_checks.push(service_check(b"up", b"x\ny"));
    let time = BUCKET + 3;
    assert_eq!(
        lines(&batch),
        [
            format!("_e{{5,4}}:title|a\\nb|d:{time}|h:agent-host|t:warning|#a:1"),
            format!("_sc|up|2|d:{time}|h:agent-host|m:x\\ny"),
        ]
    );
}

#[test]
fn what_would_break_a_line_is_refused_or_tamed() {
    let (lines, points, receipt) = lines_of(
        config("udp://h:1"),
        &flush([counter("a:b", "", 1.0), counter("ok", "a|b", 1.0)]),
    );
    assert_eq!(lines, ["ok:1|c|#host:agent-host,a_b"]);
    assert_eq!((points, receipt.dropped(Reason::Invalid)), (1, 1));
}

#[test]
fn packets_of_values_stay_within_their_length() {
    let values: Vec<f64> = (1..3000).map(|n| f64::from(n) * 1.01).collect();
    let mut made = batch();
    made.sketches.push(distribution("dist", "a:1", &values));
    let mut sink = RelaySink::new(config("udp://h:1"));
    let mut receipt = Receipt::default();
    let mut push = |packet: pack::Packet| assert!(packet.bytes.len() <= 1432);
    let mut packer = Packer::new(1432, &mut receipt, &mut push);
    sink.encode(&made, &mut packer);
    packer.finish();
}

fn started(address: &str, queue_bytes_max: usize) -> (RelaySink, Arc<SinkLedger>) {
    let mut sink = RelaySink::new(RelayConfig {
        queue_bytes_max,
        ..config(address)
    });
    let ledger = Arc::new(SinkLedger::default());
    sink.attach(Arc::clone(&ledger));
    (sink, ledger)
}

fn accept(sink: &mut RelaySink, ledger: &SinkLedger, batch: FlushBatch) {
    ledger.add(batch.point_count());
    let receipt = sink.accept(&Arc::new(batch));
    ledger.settle(&receipt);
}

fn ended(sink: &mut RelaySink, ledger: &SinkLedger, patience: Duration) -> SinkTotals {
    sink.finish(Instant::now() + patience);
    let totals = ledger.totals();
    assert_eq!(totals.waiting(), 0, "{totals:?}");
    totals
}

#[test]
fn packets_arrive_by_udp() {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    receiver.set_read_timeout(Some(PATIENCE)).expect("set");
    let address = format!("udp://{}", receiver.local_addr().expect("bound"));
    let (mut sink, ledger) = started(&address, 1 << 20);
    accept(&mut sink, &ledger, flush([counter("c", "", 1.0)]));
    let mut bytes = [0; 100];
    let len = receiver.recv(&mut bytes).expect("a packet");
    assert_eq!(&bytes[..len], b"c:1|c|#host:agent-host");
    assert_eq!(ended(&mut sink, &ledger, PATIENCE).settled.delivered(), 1);
}

#[test]
fn a_receiver_that_comes_late_gets_what_waited() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let (mut sink, ledger) = started(&format!("unixgram://{}", path.display()), 1 << 20);
    accept(&mut sink, &ledger, flush([counter("c", "", 1.0)]));
    // It has tried at least once before anybody listens.
    let cells = sink.sender.cells();
    let until = Instant::now() + PATIENCE;
    while cells.failures() == 0 {
        assert!(Instant::now() < until, "no attempt");
        std::thread::yield_now();
    }
    let receiver = UnixDatagram::bind(&path).expect("a socket");
    receiver.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut bytes = [0; 100];
    receiver.recv(&mut bytes).expect("a packet");
    assert_eq!(ended(&mut sink, &ledger, PATIENCE).settled.delivered(), 1);
}

#[test]
fn a_stream_has_frames_and_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (mut sink, ledger) = started(&format!("unix://{}", path.display()), 1 << 20);
    let frame = || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut len = [0; 4];
        stream.read_exact(&mut len).expect("a length");
        let mut frame = vec![0; u32::from_le_bytes(len) as usize];
        stream.read_exact(&mut frame).expect("a frame");
        String::from_utf8(frame).expect("text")
    };
    accept(&mut sink, &ledger, flush([counter("c", "", 1.0)]));
    assert_eq!(frame(), "c:1|c|#host:agent-host");
    // The connection is gone, so this packet goes by a new one.
    accept(&mut sink, &ledger, flush([counter("c", "", 2.0)]));
    assert_eq!(frame(), "c:2|c|#host:agent-host");
    assert_eq!(ended(&mut sink, &ledger, PATIENCE).settled.delivered(), 2);
}

#[test]
fn what_nobody_takes_is_bounded_and_counted() {
    let (mut sink, ledger) = started("unixgram:///nonexistent/socket", 10_000);
    for _ in 0..20 {
        let many = (0..100).map(|n| counter(&format!("counter.{n}"), "", 1.0));
        accept(&mut sink, &ledger, flush(many));
    }
    assert!(sink.sender.bytes() <= 10_000);
    let totals = ended(&mut sink, &ledger, Duration::ZERO);
    assert_eq!(totals.settled.delivered(), 0);
    let dropped = |reason| totals.settled.dropped(reason);
    assert!(dropped(Reason::MemoryFull) > 0 && dropped(Reason::Deadline) > 0);
    assert_eq!(
        dropped(Reason::MemoryFull) + dropped(Reason::Deadline),
        2000
    );
}
