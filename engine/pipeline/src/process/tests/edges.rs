//! Clocks that jump, samples from the future, answers that come late, memory that is not charged.

use super::*;
use crate::config::HistogramConfig;

fn with_copy() -> RulesConfig {
    RulesConfig {
        histogram: HistogramConfig {
            copy_to_distribution: true,
            copy_prefix: b"d.".to_vec(),
            ..HistogramConfig::default()
        },
        ..RulesConfig::default()
    }
}

#[test]
fn a_copy_from_the_future_keeps_its_context_until_its_bucket_is_over() {
    let mut rig = Rig::one(with_copy());
    rig.send(0, 1.0, "lag:7|h|T1000");
    for at in (10..=900).step_by(10) {
        assert_eq!(text(&rig.flush(f64::from(at))), [""; 0]);
        // New contexts, so that a number that was free would be taken.
        rig.send(0, f64::from(at) + 1.0, &format!("other{at}:1|d"));
        rig.send(0, f64::from(at) + 9.0, &format!("more{at}:1|d"));
        let own = rig.flush(f64::from(at) + 9.5);
        assert!(own.sketches.is_empty());
        rig.flusher.flush(
            Stamp::at_unix_seconds(f64::from(at)),
            FlushCause::Interval,
            vec![],
        );
        let now = Stamp::at_unix_seconds(f64::from(at) + 10.0);
        let taken = rig.lanes[0].close(now, CloseScope::Over);
        rig.flusher.flush(now, FlushCause::Interval, vec![taken]);
    }
    let flushed = rig.flush(1010.0);
    let names: Vec<String> = text(&flushed);
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("d.lag{} 1000: 1 7.0"), "{names:?}");
}

#[test]
fn copies_from_the_future_share_one_sketch() {
    let mut rig = Rig::one(with_copy());
    for _ in 0..1000 {
        rig.send(0, 1.0, "lag:7|h|T1000");
    }
    let sketches: usize = rig.lanes[0]
        .buckets
        .open()
        .iter()
        .map(|bucket| bucket.sketches.len())
        .sum();
    assert_eq!(sketches, 1);
}

#[test]
fn after_a_clock_that_was_far_ahead_nothing_lives_for_ever() {
    let mut rig = Rig::one(RulesConfig::default());
    rig.send(0, 1_000_000.0, "c:1|c\ng:1|g");
    rig.flush(1_000_010.0);
    // It is set right.
    rig.send(0, 1001.0, "other:1|c");
    assert_eq!(rig.flush(1010.0).series.len(), 2, "a zero of c as well");
    assert_eq!(rig.flush(1020.0).series.len(), 2, "both are silent now");
    for at in (1030..1500).step_by(10) {
        rig.flush(f64::from(at));
    }
    assert_eq!(rig.flush(1500.0).series.len(), 0);
    assert_eq!(rig.ledger.read().lanes.contexts, 0);
    assert_eq!(rig.flusher.cells().load().contexts, 0);
}

#[test]
fn an_answer_that_comes_a_flush_late_is_not_mixed_up() {
    let mut rig = Rig::one(RulesConfig::default());
    rig.send(0, 1.0, "old:1|g");
    let at = Stamp::at_unix_seconds;
    let first = rig.lanes[0].close(at(10.0), CloseScope::Over);
    rig.send(0, 11.0, "kept:1|g");
    let second = rig.lanes[0].close(at(50.0), CloseScope::Over);
    // The numbers of both are free again and given out anew.
    rig.send(0, 51.0, "new:2|g\nnewer:3|g");
    let third = rig.lanes[0].close(at(60.0), CloseScope::Over);
    let batch = rig
        .flusher
        .flush(at(60.0), FlushCause::Interval, vec![first, second, third]);
    assert_eq!(
        text(&batch),
        [
            "kept Gauge kept{} 10=1.000000",
            "new Gauge new{} 50=2.000000",
            "newer Gauge newer{} 50=3.000000",
            "old Gauge old{} 0=1.000000",
        ]
    );
    rig.send(0, 61.0, "new:4|g");
    assert_eq!(text(&rig.flush(70.0)), ["new Gauge new{} 60=4.000000"]);
}

#[test]
fn what_spellings_take_is_charged() {
    let mut rig = Rig::one(RulesConfig {
        limits: LimitsConfig {
            memory_bytes: 1 << 20,
            ..LimitsConfig::default()
        },
        ..RulesConfig::default()
    });
    for n in 0..1000 {
        // One short context of long spellings.
        let repeated = "a,".repeat(3000 + n % 8);
        rig.send(0, 1.0, &format!("m{}:1|g|#{repeated}", n / 8));
    }
    let held = rig.lanes[0].contexts.all_spelling_bytes();
    assert!(held <= 1 << 20, "{held}");
    assert!(rig.ledger.read().total.memory_limit > 0);
    rig.flush(10.0);
    rig.flush(60.0);
    assert_eq!(rig.ledger.read().lanes.memory_bytes, 0);
}

#[test]
fn what_sketches_take_is_charged() {
    let mut rig = Rig::one(RulesConfig {
        limits: LimitsConfig {
            memory_bytes: 1 << 20,
            ..LimitsConfig::default()
        },
        ..RulesConfig::default()
    });
    for name in 0..200 {
        for value in 0..1000 {
            rig.send(0, 1.0, &format!("m{name}:{}|d", 1.03f64.powi(value)));
        }
    }
    let held: usize = rig.lanes[0].buckets.open()[0]
        .sketches
        .iter()
        .map(|cell| cell.sketch.heap_bytes())
        .sum();
    assert!(held <= 1 << 20, "{held}");
    assert!(rig.ledger.read().total.memory_limit > 0);
    rig.flush(10.0);
    rig.flush(60.0);
    assert_eq!(rig.ledger.read().lanes.memory_bytes, 0);
}

#[test]
fn what_a_context_is_in_the_open_bucket_does_not_change_the_closed_one() {
    let mut rig = Rig::one(RulesConfig::default());
    rig.send(0, 5.0, "m:5|g");
    rig.send(0, 12.0, "m:1|c");
    assert_eq!(text(&rig.flush(13.0)), ["m Gauge m{} 0=5.000000"]);
    assert_eq!(text(&rig.flush(20.0)), ["m Rate m{} 10=1.000000"]);
    assert_eq!(text(&rig.flush(30.0)), [""; 0], "it began as a gauge");
}

#[test]
fn a_lane_that_starts_anew_after_its_answer_keeps_both_apart() {
    let mut rig = Rig::one(RulesConfig::default());
    let mut fresh = Rig::one(RulesConfig::default());
    let at = Stamp::at_unix_seconds;
    rig.send(0, 1.0, "old:1|g\nboth:2|g");
    let first = rig.lanes[0].close(at(10.0), CloseScope::Over);
    fresh.send(0, 11.0, "both:3|g\nnew:4|g");
    let second = fresh.lanes[0].close(at(20.0), CloseScope::Over);
    let batch = rig
        .flusher
        .flush(at(20.0), FlushCause::Interval, vec![first, second]);
    assert_eq!(
        text(&batch),
        [
            "both Gauge both{} 0=2.000000 10=3.000000",
            "new Gauge new{} 10=4.000000",
            "old Gauge old{} 0=1.000000",
        ]
    );
    fresh.send(0, 21.0, "new:5|g");
    let third = fresh.lanes[0].close(at(30.0), CloseScope::Over);
    let batch = rig
        .flusher
        .flush(at(30.0), FlushCause::Interval, vec![third]);
    assert_eq!(text(&batch), ["new Gauge new{} 20=5.000000"]);
}

/// A context of 600 bytes of tags, half of which are its own.
fn long_line(n: usize) -> String {
    let shared = "x".repeat(300);
    format!("m:1|g|#{shared},own:{n},{n:0300}")
}

#[test]
fn long_contexts_that_are_refused_leave_nothing_behind() {
    let mut rig = Rig::one(RulesConfig {
        limits: LimitsConfig {
            contexts: 10,
            ..LimitsConfig::default()
        },
        ..RulesConfig::default()
    });
    for n in 0..10 {
        rig.send(0, 1.0, &long_line(n));
    }
    let memory = rig.lanes[0].limiter.used_bytes();
    let shared = rig.lanes[0].builder.shared_bytes();
    for n in 10..5000 {
        rig.send(0, 1.0, &long_line(n));
    }
    assert_eq!(rig.ledger.read().total.context_limit, 4990);
    assert_eq!(rig.lanes[0].builder.shared_bytes(), shared);
    assert_eq!(rig.lanes[0].limiter.used_bytes(), memory);
    // What is known goes on.
    rig.send(0, 2.0, &long_line(3));
    assert_eq!(rig.ledger.read().total.context_limit, 4990);
}

#[test]
fn long_contexts_that_come_and_go_take_no_more_with_time() {
    let mut rig = Rig::one(RulesConfig::default());
    let mut most = [0u64; 60];
    for (bucket, most) in most.iter_mut().enumerate() {
        for n in bucket * 100..bucket * 100 + 1000 {
            rig.send(0, bucket as f64 * 10.0 + 1.0, &long_line(n));
        }
        *most = rig.lanes[0].limiter.used_bytes();
        rig.flush((bucket + 1) as f64 * 10.0);
    }
    let max = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
    let (early, late) = (max(&most[4..16]), max(&most[16..]));
    assert!(late * 20 <= early * 21, "{early} {late}");
    // And all of it comes back.
    for silent in 0..80 {
        rig.flush(2000.0 + f64::from(silent) * 10.0);
    }
    assert_eq!(rig.lanes[0].limiter.used_bytes(), 0);
    assert_eq!(rig.lanes[0].builder.shared_bytes(), 0);
}
