//! Samples counted by context, over lanes, live, and gone with the context.

use super::*;

fn counted(rig: &Rig) -> Vec<(String, u64, u32)> {
    let mut from = Some(0);
    let mut all = Vec::new();
    while let Some(first) = from {
        // Small pieces, so that there are several.
        let piece = rig.flusher.survey(first, 2);
        all.extend(piece.contexts.into_iter().map(|surveyed| {
            let context = format!("{:?}", surveyed.context);
            (context, surveyed.samples, surveyed.last_seen)
        }));
        from = piece.next;
    }
    all.sort();
    all
}

fn row(context: &str, samples: u64, last_seen: u32) -> (String, u64, u32) {
    (context.to_owned(), samples, last_seen)
}

#[test]
fn samples_of_all_lanes_are_counted_by_context_while_it_is_wanted() {
    let mut rig = Rig::new(&RulesConfig::default(), 2);
    rig.send(0, 1.0, "a:1|c");
    rig.flush(10.0);
    assert_eq!(counted(&rig), [row("a{}", 0, 1)], "nobody counts");
    rig.usage.count_contexts(true);
    rig.flusher.count_contexts(true);
    rig.send(
        0,
        11.0,
        "a:1|c\na:1:2:3|c\nb:1|g|#x\nd:5|d\ns:m|s\nt:1|g|T99",
    );
    rig.send(1, 13.0, "b:1|g|#x\na:nan|g\nbad");
    rig.flush(20.0);
    let all = [
        row("a{}", 5, 13),
        row("b{x}", 2, 13),
        row("d{}", 1, 11),
        row("s{}", 1, 11),
        row("t{}", 1, 11),
    ];
    assert_eq!(counted(&rig), all);
    rig.send(1, 21.0, "b:1|g|#x");
    rig.flush(30.0);
    assert_eq!(counted(&rig)[1], row("b{x}", 3, 21));
    rig.usage.count_contexts(false);
    rig.flusher.count_contexts(false);
    rig.send(0, 31.0, "b:1|g|#x");
    rig.flush(40.0);
    assert_eq!(counted(&rig)[1], row("b{x}", 0, 31), "forgotten");
}

#[test]
fn a_number_that_is_given_out_anew_begins_at_nothing() {
    let mut rig = Rig::one(RulesConfig::default());
    rig.usage.count_contexts(true);
    rig.flusher.count_contexts(true);
    rig.send(0, 1.0, "a:1|g\na:1|g");
    rig.flush(10.0);
    assert_eq!(counted(&rig), [row("a{}", 2, 1)]);
    for at in 2..60 {
        rig.flush(f64::from(at) * 10.0);
    }
    assert_eq!(counted(&rig), [], "expired");
    rig.send(0, 601.0, "b:1|g");
    rig.flush(610.0);
    assert_eq!(counted(&rig), [row("b{}", 1, 601)]);
}
