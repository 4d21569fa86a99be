//! Settings that change while packets come in.

use greyhound_model::time::{SimulatedClock, Stamp};

use super::*;
use crate::config::RulesConfig;

const WAIT: Duration = Duration::from_secs(10);

fn tagged(tag: &str) -> Rules {
    let config = RulesConfig {
        tags: vec![tag.as_bytes().to_vec()],
        ..Config::default().rules
    };
    Rules::compile(&config).0
}

/// Sum of all points under this name and tag.
fn sum_with_tag(totals: &Totals, name: &str, tag: &str) -> f64 {
    totals
        .0
        .iter()
        .flat_map(|batch| &batch.series)
        .filter(|series| series.full_name() == name.as_bytes())
        .filter(|series| series.context.tags().any(|own| own == tag.as_bytes()))
        .flat_map(|series| series.points.as_slice())
        .map(|point| point.value)
        .sum()
}

#[test]
fn all_lanes_follow_other_rules_and_nothing_is_lost() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.lanes.lanes = 2;
        config.lanes.workers = 1;
    });
    let address = bench.address(0);
    let handle = bench.engine.handle();
    let clients: Vec<_> = (0..8)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let mut sent = 0;
    for generation in 0..50_u64 {
        for client in &clients {
            client.send_to(b"hits:1|c", address).unwrap();
            sent += 1;
        }
        let tag = format!("generation:{}", generation % 2);
        assert!(handle.set_rules(tagged(&tag), WAIT));
        assert_eq!(handle.rules_generation(), generation + 1);
    }
    // All of these arrive under the last rules, `generation:1`.
    bench.wait_for("all read", |handle| {
        handle.ledger().read().total.samples == sent
    });
    client_sends(&clients[0], address, 10);
    bench.wait_for("all read", |handle| {
        handle.ledger().read().total.samples == sent + 10
    });
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), sent as f64 + 10.0);
    assert!(sum_with_tag(&totals, "hits", "generation:1") >= 10.0);
    assert!(sum_with_tag(&totals, "hits", "generation:0") > 0.0);
}

fn client_sends(client: &UdpSocket, address: SocketAddr, count: usize) {
    for _ in 0..count {
        client.send_to(b"hits:1|c", address).unwrap();
    }
}

/// Sends at these seconds, asks for another width after the second of them, and returns the starts
/// and lengths under which the counts left.
fn widths(old: u32, new: u32, seconds: &[u64]) -> Vec<(i64, u32, f64)> {
    let at = |second: u64| Stamp {
        wall_nanos: second * 1_000_000_000,
        monotonic_nanos: second * 1_000_000_000,
    };
    let clock = Arc::new(SimulatedClock::new(at(seconds[0])));
    let bench = Bench::start_at(clock.clone(), |config, _| {
        config.listen.udp = vec![loopback()];
        config.lanes.lanes = 1;
        config.flush.bucket_width = BucketWidth::try_new(old).unwrap();
        config.rules.counter_expiry_seconds = 0;
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let handle = bench.engine.handle();
    for (index, &second) in seconds.iter().enumerate() {
        clock.set(at(second));
        assert!(handle.flush(WAIT));
        if index == 1 {
            assert!(handle.set_bucket_width(BucketWidth::try_new(new).unwrap(), WAIT));
        }
        client.send_to(b"hits:1|c", bench.address(0)).unwrap();
        bench.wait_for("read", |handle| {
            handle.ledger().read().total.samples == index as u64 + 1
        });
    }
    let (_, totals) = bench.stop();
    let mut points = Vec::new();
    for batch in &totals.0 {
        for series in &batch.series {
            for point in series.points.as_slice() {
                points.push((point.unix_seconds, batch.interval_seconds, point.value));
            }
        }
    }
    points
}

#[test]
fn shorter_buckets_begin_where_the_last_long_one_ends() {
    let points = widths(10, 2, &[1001, 1009, 1010, 1012, 1013, 1014]);
    assert_eq!(
        points,
        [
            (1000, 10, 2.0),
            (1010, 2, 1.0),
            (1012, 2, 2.0),
            (1014, 2, 1.0)
        ]
    );
}

#[test]
fn longer_buckets_wait_until_none_begins_where_a_short_one_did() {
    let points = widths(2, 10, &[1001, 1003, 1005, 1009, 1010, 1019, 1020]);
    assert_eq!(
        points,
        [
            (1000, 2, 1.0),
            (1002, 2, 1.0),
            (1004, 2, 1.0),
            (1008, 2, 1.0),
            (1010, 10, 2.0),
            (1020, 10, 1.0)
        ]
    );
}

#[test]
fn no_start_is_sent_twice_whatever_the_widths() {
    for (old, new) in [(5, 8), (10, 7), (7, 10), (3, 4)] {
        let seconds: Vec<u64> = (1000..1060).collect();
        let points = widths(old, new, &seconds);
        let total: f64 = points.iter().map(|point| point.2).sum();
        assert_eq!(total, 60.0, "{old} to {new}");
        assert!(
            points.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "{old} to {new}: {points:?}"
        );
        assert!(points.iter().any(|point| point.1 == new));
    }
}
