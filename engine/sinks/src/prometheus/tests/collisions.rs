//! What may not stand beside what.

use super::*;

/// Flushes one batch after the other; the second is refused, and the page stays that of the first.
fn check_collision(first: FlushBatch, second: FlushBatch) {
    let mut rig = rig();
    rig.take(first);
    let before = rig.page();
    let points = second.point_count();
    let receipt = rig.accept(second);
    assert_eq!(receipt.dropped(Reason::Collision), points);
    assert_eq!(rig.page(), before);
    assert_eq!(rig.telemetry("greyhound.prometheus.collisions"), 1.0);
}

fn summary(name: &str) -> FlushBatch {
    FlushBatch {
        sketches: vec![distribution(name, "", &[1.0])],
        ..f::batch()
    }
}

#[test]
fn two_contexts_cannot_share_a_series() {
    let one = |series| flush([series]);
    check_collision(one(gauge("a.b", "", 1.0)), one(gauge("a_b", "", 2.0)));
    check_collision(one(gauge("a", "x.y:1", 1.0)), one(gauge("a", "x_y:1", 2.0)));
    check_collision(one(gauge("a", "", 1.0)), one(gauge("a", "k:", 2.0)));
    check_collision(one(gauge("a", "k", 1.0)), one(gauge("a", "k:true", 2.0)));
    check_collision(
        one(counter("hits", "", 1.0)),
        one(counter("hits.total", "", 2.0)),
    );
}

#[test]
fn a_family_has_one_type() {
    let one = |series| flush([series]);
    check_collision(one(gauge("a", "x:1", 1.0)), one(counter("a", "x:2", 1.0)));
    check_collision(one(counter("a", "", 1.0)), one(gauge("a", "", 1.0)));
    check_collision(summary("a"), one(gauge("a", "x:1", 1.0)));
}

#[test]
fn samples_of_two_families_cannot_meet() {
    let one = |series| flush([series]);
    check_collision(summary("a"), one(gauge("a.sum", "x:1", 1.0)));
    check_collision(one(gauge("a.count", "", 1.0)), summary("a"));
    check_collision(one(counter("a", "", 1.0)), one(gauge("a.total", "", 1.0)));
    check_collision(one(gauge("a_total", "", 1.0)), one(counter("a", "", 1.0)));
}

#[test]
fn names_that_only_look_alike_live_together() {
    let mut rig = rig();
    let mut batch = flush([
        counter("a.count", "", 1.0),
        counter("a.sum", "", 1.0),
        gauge("b_created", "", 1.0),
        counter("b", "", 1.0),
        gauge("c", "x:1", 1.0),
        gauge("c", "x:1,y:2", 1.0),
    ]);
    batch.sketches = vec![distribution("a", "", &[1.0])];
    rig.take(batch);
    assert_eq!(rig.samples().len(), 10);
}

#[test]
fn a_histogram_and_a_distribution_do_not_share_a_summary() {
    let mut first = f::batch();
    first.histograms = vec![histogram("a", "", Unit::None, &[1.0])];
    check_collision(first, summary("a"));
}
