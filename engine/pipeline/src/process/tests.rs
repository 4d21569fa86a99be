//! The processor and the flusher together, under simulated time.

mod ahead;
mod count;
mod edges;

use std::sync::Arc;

use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::origin::Sender;
use greyhound_model::time::{BucketWidth, Stamp};

use super::close::CloseScope;
use super::{Packet, Processor, ProcessorParts};
use crate::config::{LimitsConfig, RulesConfig};
use crate::context::hash::Seed;
use crate::context::limiter::SharedUsage;
use crate::flush::Flusher;
use crate::ledger::{Ledger, ListenerId, ListenerInfo, Transport};
use crate::rules::Rules;

const LISTENER: ListenerId = ListenerId(0);

struct Rig {
    lanes: Vec<Processor>,
    flusher: Flusher,
    ledger: Arc<Ledger>,
    usage: Arc<SharedUsage>,
}

impl Rig {
    fn new(config: &RulesConfig, lanes: usize) -> Self {
        let info = ListenerInfo {
            id: "udp".into(),
            address: "test".into(),
            transport: Transport::Udp,
            eol_required: false,
        };
        let ledger = Arc::new(Ledger::new(vec![info], lanes));
        let rules = Arc::new(Rules::compile(config).0);
        let hostname: Arc<[u8]> = Arc::from(&b"agent-host"[..]);
        let usage = Arc::<SharedUsage>::default();
        let processors = (0..lanes)
            .map(|lane| {
                Processor::new(ProcessorParts {
                    lane,
                    ledger: Arc::clone(&ledger),
                    rules: Arc::clone(&rules),
                    origins: Arc::default(),
                    width: BucketWidth::AGENT,
                    usage: Arc::clone(&usage),
                    seed: Seed::fixed(1, 2),
                    hostname: Arc::clone(&hostname),
                })
            })
            .collect();
        let flusher = Flusher::new(rules, BucketWidth::AGENT, hostname, false, lanes);
        Self {
            lanes: processors,
            flusher,
            ledger,
            usage,
        }
    }

    fn one(config: RulesConfig) -> Self {
        Self::new(&config, 1)
    }

    fn send(&mut self, lane: usize, at: f64, text: &str) {
        let packet = Packet {
            bytes: text.as_bytes(),
            sender: Sender::default(),
        };
        let processor = &mut self.lanes[lane];
        processor.tally_mut(LISTENER).datagrams_read += 1;
        processor.process(LISTENER, Stamp::at_unix_seconds(at), [packet]);
    }

    fn flush(&mut self, at: f64) -> FlushBatch {
        self.close(at, CloseScope::Over)
    }

    fn close(&mut self, at: f64, scope: CloseScope) -> FlushBatch {
        let now = Stamp::at_unix_seconds(at);
        let flushes = self
            .lanes
            .iter_mut()
            .map(|lane| lane.close(now, scope))
            .collect();
        let batch = self.flusher.flush(now, FlushCause::Interval, flushes);
        assert_eq!(self.ledger.read().remainder(), 0, "{}", self.ledger.read());
        batch
    }
}

/// Series and sketches as sorted text.
fn text(batch: &FlushBatch) -> Vec<String> {
    let series = batch.series.iter().map(|series| {
        let points: Vec<String> = series
            .points
            .as_slice()
            .iter()
            .map(|point| format!("{}={:.6}", point.unix_seconds, point.value))
            .collect();
        let name = String::from_utf8_lossy(&series.full_name()).into_owned();
        format!(
            "{name} {:?} {:?} {}",
            series.kind,
            series.context,
            points.join(" ")
        )
    });
    let sketches = batch.sketches.iter().map(|sketch| {
        let points: Vec<String> = sketch
            .points
            .iter()
            .map(|(start, sketch)| {
                let bins: Vec<_> = sketch.bins().collect();
                format!("{start}: {} {:.6} {bins:?}", sketch.count(), sketch.sum())
            })
            .collect();
        format!("{:?} {}", sketch.context, points.join(" "))
    });
    let mut all: Vec<String> = series.chain(sketches).collect();
    all.sort();
    all
}

#[test]
fn two_spellings_of_one_tag_set_are_one_context() {
    let mut rig = Rig::one(RulesConfig::default());
    rig.send(0, 1.0, "m:1|c|#a,b\nm:1|c|#b,a\nm:1|c|#a,b,a");
    assert_eq!(text(&rig.flush(10.0)), ["m Rate m{a,b} 0=3.000000"]);
    assert_eq!(rig.ledger.read().lanes.contexts, 1);
    assert_eq!(rig.ledger.read().lanes.spellings, 3);
}

#[test]
fn an_open_bucket_can_be_sent_or_dropped_at_the_end() {
    for (scope, sent, dropped) in [(CloseScope::All, 2, 0), (CloseScope::OverDropOpen, 1, 1)] {
        let mut rig = Rig::one(RulesConfig::default());
        rig.send(0, 1.0, "a:1|g");
        rig.send(0, 12.0, "b:2|g");
        assert_eq!(rig.close(14.0, scope).series.len(), sent);
        let reading = rig.ledger.read();
        assert_eq!(reading.lanes.samples_open_dropped, dropped);
        assert_eq!(reading.items_aggregated(), 2 - dropped);
        assert_eq!(reading.samples_open(), 0);
    }
}

#[test]
fn the_newest_context_over_the_limit_is_refused_and_counted() {
    let limits = LimitsConfig {
        contexts: 2,
        ..LimitsConfig::default()
    };
    let mut rig = Rig::one(RulesConfig {
        limits,
        ..RulesConfig::default()
    });
    rig.send(0, 1.0, "a:1|c\nb:1|c\nc:1:2|c|#user:7\na:1|c");
    let total = rig.ledger.read().total;
    assert_eq!((total.context_limit, total.samples_aggregated), (2, 3));
    let refusals = rig.lanes[0]
        .close(Stamp::at_unix_seconds(10.0), CloseScope::Over)
        .refusals;
    assert_eq!((refusals.len(), refusals[0].count), (1, 2));
    assert_eq!(refusals[0].metric, b"c");
    assert_eq!(refusals[0].fastest_tag, Some((b"user".to_vec(), 1)));
}

#[test]
fn members_values_and_tags_over_their_limits_are_refused_one_by_one() {
    let limits = LimitsConfig {
        set_members: 2,
        histogram_values: 3,
        tags_per_metric: 2,
        ..LimitsConfig::default()
    };
    let mut rig = Rig::one(RulesConfig {
        limits,
        ..RulesConfig::default()
    });
    rig.send(
        0,
        1.0,
        "s:a|s\ns:b|s\ns:c|s\ns:a|s\nh:1:2:3:4|h\nt:1|c|#a,b,c\nt:1|c|#a,b",
    );
    let total = rig.ledger.read().total;
    assert_eq!(
        (total.member_limit, total.value_limit, total.tag_limit),
        (1, 1, 1)
    );
    assert_eq!(total.samples_aggregated, 3 + 3 + 1);
    rig.flush(10.0);
}

#[test]
fn memory_is_given_back_when_buckets_close_and_contexts_expire() {
    let limits = LimitsConfig {
        memory_bytes: 100_000,
        ..LimitsConfig::default()
    };
    let mut rig = Rig::one(RulesConfig {
        limits,
        ..RulesConfig::default()
    });
    for n in 0..10_000 {
        rig.send(0, 1.0, &format!("m:1|g|#n:{n}"));
    }
    let refused = rig.ledger.read().total.memory_limit;
    assert!(refused > 9000, "{refused}");
    rig.flush(10.0);
    rig.flush(60.0);
    assert_eq!(rig.ledger.read().lanes.memory_bytes, 0);
    rig.send(0, 61.0, "m:1|g|#fresh");
    assert_eq!(rig.ledger.read().total.memory_limit, refused);
}

#[test]
fn a_forgotten_context_starts_with_its_next_kind() {
    let mut rig = Rig::one(RulesConfig::default());
    rig.send(0, 1.0, "m:1|g");
    rig.flush(10.0);
    rig.flush(30.0);
    rig.send(0, 31.0, "m:1|c");
    assert_eq!(text(&rig.flush(40.0)), ["m Rate m{} 30=1.000000"]);
    assert_eq!(text(&rig.flush(50.0)), ["m Rate m{} 40=0.000000"]);
}

#[test]
fn a_silent_counter_goes_on_after_its_lane_forgot_it() {
    let mut rig = Rig::new(&RulesConfig::default(), 2);
    rig.send(0, 5.0, "m:1|c");
    rig.flush(10.0);
    let mut zeros = 0;
    for at in (20..=400).step_by(10) {
        zeros += rig.flush(f64::from(at)).series.len();
    }
    // Buckets 10 to 300: the sample of second 5 keeps it alive while 5 + 300 > bucket.
    assert_eq!(zeros, 30);
    assert_eq!(rig.ledger.read().lanes.contexts, 0);
    assert_eq!(rig.flusher.cells().load().contexts, 0);
}

#[test]
fn traffic_just_after_the_boundary_leaves_no_hole_in_the_zeros() {
    let mut rig = Rig::one(RulesConfig::default());
    rig.send(0, 1.0, "c:1|c");
    rig.flush(10.0);
    rig.send(0, 20.1, "g:1|g");
    assert_eq!(text(&rig.flush(20.2)), ["c Rate c{} 10=0.000000"]);
}

#[test]
fn the_clock_jumping_ahead_makes_one_flush_and_loses_nothing() {
    let mut rig = Rig::one(RulesConfig::default());
    rig.send(0, 1.0, "m:1|g");
    rig.send(0, 86_400.0, "m:2|g");
    assert_eq!(
        text(&rig.flush(86_410.0)),
        ["m Gauge m{} 0=1.000000 86400=2.000000"]
    );
}

#[test]
fn the_gauge_that_came_last_wins_over_lanes() {
    let mut rig = Rig::new(&RulesConfig::default(), 3);
    rig.send(2, 1.0, "m:1|g");
    rig.send(0, 3.0, "m:3|g");
    rig.send(1, 2.0, "m:2|g");
    assert_eq!(text(&rig.flush(10.0)), ["m Gauge m{} 0=3.000000"]);
}

#[test]
fn what_clients_say_of_themselves_is_tapped() {
    let mut rig = Rig::new(&RulesConfig::default(), 2);
    rig.send(
        0,
        1.0,
        "datadog.dogstatsd.client.packets_sent:5|c|#client:py",
    );
    rig.send(
        1,
        2.0,
        "datadog.dogstatsd.client.packets_sent:7|c|#client:go",
    );
    rig.send(
        1,
        2.0,
        "datadog.dogstatsd.client.bytes_dropped_writer:9|c|#client:go",
    );
    assert_eq!(rig.flush(10.0).series.len(), 3, "and they are forwarded");
    rig.send(
        0,
        11.0,
        "datadog.dogstatsd.client.packets_sent:1|c|#client:py",
    );
    rig.flush(20.0);
    let tally = rig.flusher.cells().load();
    assert_eq!(
        (tally.client_packets_sent, tally.client_bytes_dropped_writer),
        (13, 9)
    );
}

mod lanes_do_not_matter {
    use super::*;
    use proptest::prelude::*;

    fn line() -> impl Strategy<Value = String> {
        // One kind per name: clashing kinds are decided by the first sample, and which lane's sample
        // is first is not defined.
        let kind = prop::sample::select(vec!["g", "c", "h", "ms", "s", "d"]);
        let rate = prop::sample::select(vec!["", "|@0.5", "|@0.3"]);
        let tags =
            prop::sample::select(vec!["", "|#a:1", "|#a:1,b:2", "|#b:2,a:1", "|#host:x,a:1"]);
        (
            kind,
            0..3u8,
            prop::collection::vec(-1000i32..1000, 1..4),
            rate,
            tags,
        )
            .prop_map(|(kind, name, values, rate, tags)| {
                let values: Vec<String> = values
                    .iter()
                    .map(|value| (f64::from(*value) / 8.0).to_string())
                    .collect();
                let values = if kind == "s" {
                    values[0].clone()
                } else {
                    values.join(":")
                };
                format!("{kind}.{name}:{values}|{kind}{rate}{tags}")
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        // Messages at growing times, each to a random lane; flushes now and then.
        #[test]
        fn one_two_or_four_lanes_give_the_same(
            steps in prop::collection::vec((line(), 0..4usize, 0..3000u32, 0..20u8), 1..150),
        ) {
            let mut rigs: Vec<Rig> =
                [1, 2, 4].map(|lanes| Rig::new(&RulesConfig::default(), lanes)).into();
            let mut at = 1_000_000.0;
            for (line, lane, pause_millis, flush) in steps {
                at += f64::from(pause_millis + 1) / 1000.0;
                for rig in &mut rigs {
                    let lanes = rig.lanes.len();
                    rig.send(lane % lanes, at, &line);
                }
                if flush == 0 {
                    let outputs: Vec<_> = rigs.iter_mut().map(|rig| text(&rig.flush(at))).collect();
                    prop_assert_eq!(&outputs[0], &outputs[1]);
                    prop_assert_eq!(&outputs[0], &outputs[2]);
                }
            }
            let outputs: Vec<_> =
                rigs.iter_mut().map(|rig| text(&rig.close(at, CloseScope::All))).collect();
            prop_assert_eq!(&outputs[0], &outputs[1]);
            prop_assert_eq!(&outputs[0], &outputs[2]);
        }
    }
}
