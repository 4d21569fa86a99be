//! Looking ahead changes nothing but the time it takes.

use proptest::prelude::*;

use super::*;

/// Lines of every sort, few contexts, so that spellings, types and limits meet.
fn line() -> impl Strategy<Value = String> {
    let metric = (
        0..6u32,
        prop_oneof!["c", "g", "ms", "h", "d", "s"],
        prop_oneof![
            Just("1"),
            Just("2.5"),
            Just("3:4:5"),
            Just("nan"),
            Just("x")
        ],
        prop_oneof![
            Just(""),
            Just("|#a:1,b:2"),
            Just("|#b:2,a:1"),
            Just("|#a:1,a:1"),
            Just("|#host:h,a")
        ],
        prop_oneof![Just(""), Just("|@0.5"), Just("|T1700000000")],
        0..2usize,
    )
        .prop_map(|(name, kind, value, tags, more, long)| {
            let long = ",long:tag".repeat(long * 40);
            let long = if tags.is_empty() { "" } else { long.as_str() };
            format!("name.{name}:{value}|{kind}{more}{tags}{long}")
        });
    prop_oneof![
        20 => metric,
        1 => Just("_e{1,1}:a|b".to_owned()),
        1 => Just("_sc|check|0".to_owned()),
        1 => Just("broken".to_owned()),
    ]
}

proptest! {
    #[test]
    fn it_gives_the_same_as_going_one_by_one(
        packets in proptest::collection::vec(proptest::collection::vec(line(), 1..90), 1..12),
        limited in any::<bool>(),
    ) {
        let mut config = RulesConfig::default();
        if limited {
            config.limits.contexts = 5;
            config.limits.set_members = 2;
            config.limits.histogram_values = 3;
            config.limits.events = 2;
        }
        let run = |ahead_from: usize| {
            let mut rig = Rig::one(config.clone());
            rig.lanes[0].ahead_from = ahead_from;
            let mut batches = Vec::new();
            for (at, lines) in packets.iter().enumerate() {
                rig.send(0, 4.0 * at as f64, &lines.join("\n"));
                batches.push(format!("{:?}", text(&rig.flush(4.0 * at as f64 + 1.0))));
            }
            batches.push(format!("{:?}", text(&rig.flush(1000.0))));
            (batches, rig.ledger.read())
        };
        let (plain, plain_ledger) = run(usize::MAX);
        let (ahead, ahead_ledger) = run(0);
        prop_assert_eq!(plain, ahead);
        prop_assert_eq!(format!("{:?}", plain_ledger.total), format!("{:?}", ahead_ledger.total));
        prop_assert_eq!(format!("{:?}", plain_ledger.lanes), format!("{:?}", ahead_ledger.lanes));
    }
}
