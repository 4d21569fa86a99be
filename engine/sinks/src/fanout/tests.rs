//! Sinks that work, hang, break and lie, behind one fan-out.

use std::sync::Mutex;
use std::sync::mpsc;

use super::*;
use crate::fixtures::{self as f, counter};

/// Long enough for anything that happens at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A sink that does what it is told at every flush.
struct Puppet<F> {
    name: &'static str,
    act: F,
    finished: Arc<Mutex<Vec<&'static str>>>,
}

impl<F: FnMut(&FlushBatch) -> Receipt + Send> Sink for Puppet<F> {
    fn name(&self) -> &str {
        self.name
    }

    fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt {
        (self.act)(batch)
    }

    fn finish(&mut self, _: Instant) {
        self.finished.lock().expect("no panic").push(self.name);
    }
}

fn puppet(
    name: &'static str,
    act: impl FnMut(&FlushBatch) -> Receipt + Send + 'static,
) -> Box<dyn Sink> {
    Box::new(Puppet {
        name,
        act,
        finished: Arc::default(),
    })
}

fn good(name: &'static str) -> Box<dyn Sink> {
    puppet(name, |batch| Receipt::delivered_all(batch.point_count()))
}

/// A flush of this many points.
fn flush(points: usize) -> Arc<FlushBatch> {
    Arc::new(f::flush(
        (0..points).map(|at| counter(&format!("c{at}"), "", 1.0)),
    ))
}

fn start(sinks: Vec<Box<dyn Sink>>, queue_flushes: usize) -> Fanout {
    let config = FanoutConfig {
        queue_flushes,
        ..FanoutConfig::default()
    };
    Fanout::start(sinks, &config).expect("threads start")
}

fn stop(fanout: &Fanout) -> Vec<SinkReport> {
    let reports = fanout.stop(Instant::now() + PATIENCE);
    for report in &reports {
        assert!(report.finished, "{report:?}");
        assert_eq!(report.totals.waiting(), 0, "{report:?}");
    }
    reports
}

fn telemetry(fanout: &Fanout, name: &str, labels: &[(&str, &str)]) -> f64 {
    let mut snapshot = greyhound_telemetry::Snapshot::default();
    fanout.telemetry().collect(&mut snapshot);
    snapshot.get(name, labels).unwrap_or_default()
}

#[test]
fn every_sink_gets_every_flush_without_a_copy() {
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let spy = |name| {
        let seen = Arc::clone(&seen);
        puppet(name, move |batch| {
            seen.lock()
                .expect("no panic")
                .push(std::ptr::from_ref(batch).addr());
            Receipt::delivered_all(batch.point_count())
        })
    };
    let fanout = start(vec![spy("a"), spy("b")], 8);
    let batches: Vec<_> = (1..4).map(flush).collect();
    for batch in &batches {
        fanout.deliver(batch);
    }
    for report in stop(&fanout) {
        assert_eq!(report.totals.settled.delivered(), 6);
    }
    let mut seen = seen.lock().expect("no panic").clone();
    seen.sort_unstable();
    let mut expected: Vec<_> = batches
        .iter()
        .flat_map(|batch| [Arc::as_ptr(batch).addr(); 2])
        .collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[test]
fn a_slow_sink_loses_only_its_own_and_all_of_it_is_counted() {
    let (entered, inside) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let slow = puppet("slow", move |batch| {
        entered.send(()).expect("the test listens");
        gate.recv().expect("the test releases");
        Receipt::delivered_all(batch.point_count())
    });
    let fanout = start(vec![slow, good("fast")], 2);
    fanout.deliver(&flush(1));
    inside.recv_timeout(PATIENCE).expect("the sink is at work");
    // One in hand, two in the queue, the rest is refused.
    for _ in 0..5 {
        fanout.deliver(&flush(10));
        let deadline = Instant::now() + PATIENCE;
        while telemetry(
            &fanout,
            "greyhound.sink.points_waiting",
            &[("sink", "fast")],
        ) > 0.0
        {
            assert!(Instant::now() < deadline, "the fast sink is held up");
            thread::yield_now();
        }
    }
    let refused = [("sink", "slow"), ("reason", "queue_full")];
    assert_eq!(
        telemetry(&fanout, "greyhound.sink.points_dropped", &refused),
        30.0
    );
    let slow_only = [("sink", "slow")];
    assert_eq!(
        telemetry(&fanout, "greyhound.sink.refused_flushes", &slow_only),
        3.0
    );
    assert_eq!(
        telemetry(&fanout, "greyhound.sink.points_waiting", &slow_only),
        21.0
    );
    assert_eq!(
        telemetry(&fanout, "greyhound.sink.queue_flushes", &slow_only),
        2.0
    );
    for _ in 0..3 {
        release.send(()).expect("the sink waits");
    }
    let reports = stop(&fanout);
    assert_eq!(reports[0].totals.settled.delivered(), 21);
    assert_eq!(reports[1].totals.settled.delivered(), 51);
    for report in reports {
        assert_eq!(report.totals.flushed, 51);
    }
}

#[test]
fn points_have_a_limit_of_their_own_but_one_flush_always_fits() {
    let (release, gate) = mpsc::channel::<()>();
    let slow = puppet("slow", move |batch| {
        gate.recv().expect("the test releases");
        Receipt::delivered_all(batch.point_count())
    });
    let config = FanoutConfig {
        queue_flushes: 100,
        queue_points_max: 10,
    };
    let fanout = Fanout::start(vec![slow], &config).expect("threads start");
    fanout.deliver(&flush(50));
    let deadline = Instant::now() + PATIENCE;
    while telemetry(&fanout, "greyhound.sink.queue_flushes", &[]) > 0.0 {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    for points in [6, 4, 1] {
        fanout.deliver(&flush(points));
    }
    for _ in 0..3 {
        release.send(()).expect("the sink waits");
    }
    let totals = stop(&fanout)[0].totals;
    assert_eq!(totals.settled.delivered(), 60);
    assert_eq!(totals.settled.dropped(Reason::QueueFull), 1);
}

#[test]
fn a_sink_that_panics_goes_on_with_the_next_flush() {
    let broken = puppet("broken", |batch| {
        assert_ne!(batch.point_count(), 2, "this one is unlucky");
        Receipt::delivered_all(batch.point_count())
    });
    let fanout = start(vec![broken], 8);
    for points in 1..4 {
        fanout.deliver(&flush(points));
    }
    let totals = stop(&fanout)[0].totals;
    assert_eq!(totals.settled.dropped(Reason::Panic), 2);
    assert_eq!(totals.settled.delivered(), 4);
    assert_eq!(telemetry(&fanout, "greyhound.sink.panics", &[]), 1.0);
}

#[test]
fn a_sink_that_hangs_does_not_hold_up_the_stop() {
    let (_never, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let hanging = puppet("hanging", move |_| {
        let end = gate.lock().expect("no panic").recv();
        assert!(end.is_err(), "the test never sends");
        Receipt::default()
    });
    let fanout = start(vec![hanging, good("fine")], 8);
    fanout.deliver(&flush(3));
    let reports = fanout.stop(Instant::now() + Duration::from_millis(50));
    assert!(!reports[0].finished);
    assert_eq!(reports[0].totals.waiting(), 3);
    assert!(reports[1].finished);
    assert_eq!(reports[1].totals.waiting(), 0);
}

#[test]
fn what_is_still_queued_at_the_deadline_is_counted() {
    let (entered, inside) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let slow = puppet("slow", move |batch| {
        entered.send(()).expect("the test listens");
        // Ends with an error when the test lets go.
        gate.recv().ok();
        Receipt::delivered_all(batch.point_count())
    });
    let fanout = start(vec![slow], 8);
    for _ in 0..3 {
        fanout.deliver(&flush(1));
    }
    inside.recv_timeout(PATIENCE).expect("the sink is at work");
    assert!(!fanout.stop(Instant::now())[0].finished);
    // Whatever it chooses first, queue or stop, after the first flush the deadline has passed.
    drop(release);
    let reports = stop(&fanout);
    assert_eq!(reports[0].totals.settled.total(), 3);
    assert!(reports[0].totals.settled.delivered() >= 1);
    fanout.deliver(&flush(4));
    let totals = fanout.totals();
    assert_eq!(totals[0].1.settled.dropped(Reason::Stopped), 4);
    assert_eq!(totals[0].1.waiting(), 0);
}

#[test]
fn a_sink_may_settle_its_points_later() {
    struct Later(Option<Arc<SinkLedger>>, u64);
    impl Sink for Later {
        fn name(&self) -> &str {
            "later"
        }
        fn attach(&mut self, ledger: Arc<SinkLedger>) {
            self.0 = Some(ledger);
        }
        fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt {
            self.1 += batch.point_count();
            Receipt::default()
        }
        fn finish(&mut self, _: Instant) {
            let ledger = self.0.as_ref().expect("attached first");
            ledger.settle(&Receipt::delivered_all(self.1));
        }
    }
    let fanout = start(vec![Box::new(Later(None, 0))], 8);
    fanout.deliver(&flush(5));
    assert_eq!(fanout.totals()[0].1.waiting(), 5);
    assert_eq!(stop(&fanout)[0].totals.settled.delivered(), 5);
}

#[test]
fn two_sinks_of_one_name_are_refused() {
    let error = Fanout::start(vec![good("twin"), good("twin")], &FanoutConfig::default());
    assert_eq!(
        error.expect_err("refused").to_string(),
        "two sinks are called `twin`"
    );
}

#[test]
fn every_sink_is_told_to_finish_once() {
    let finished: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let sink = Box::new(Puppet {
        name: "one",
        act: |batch: &FlushBatch| Receipt::delivered_all(batch.point_count()),
        finished: Arc::clone(&finished),
    });
    let fanout = start(vec![sink], 1);
    stop(&fanout);
    stop(&fanout);
    assert_eq!(*finished.lock().expect("no panic"), ["one"]);
}

#[test]
fn what_rules_and_policies_do_is_in_the_account_of_each_sink() {
    use crate::policy::{GaugeRule, PolicyConfig, TagAction};
    use crate::route::{RoutingConfig, RuleConfig};
    let fanout = start(vec![good("a"), good("b")], 8);
    let config = RoutingConfig {
        rules: vec![RuleConfig {
            names: vec!["only.a".to_owned()],
            outputs: vec!["a".to_owned()],
            ..RuleConfig::default()
        }],
        policies: vec![PolicyConfig {
            outputs: vec!["a".to_owned()],
            names: Vec::new(),
            action: TagAction::Drop,
            tags: vec!["pod".to_owned()],
            gauges: GaugeRule::Avg,
        }],
        ..RoutingConfig::default()
    };
    let routing = fanout
        .compile_routing(&config, |_| false)
        .expect("both outputs are there");
    fanout.set_routing(routing);
    let batch = Arc::new(f::flush([
        f::counter("only.a", "pod:1", 1.0),
        f::counter("only.a", "pod:2", 1.0),
        f::counter("both", "", 1.0),
    ]));
    fanout.deliver(&batch);
    let [a, b] = &stop(&fanout)[..] else {
        panic!("two sinks")
    };
    let account = |report: &SinkReport| {
        let totals = report.totals;
        assert_eq!(totals.waiting(), 0);
        (
            totals.flushed,
            totals.passed_by,
            totals.merged,
            totals.settled.delivered(),
        )
    };
    assert_eq!(account(a), (3, 0, 1, 2));
    assert_eq!(account(b), (1, 2, 0, 1));
}
