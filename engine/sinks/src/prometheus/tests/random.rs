//! Random flushes against a plain model, and hostile ones against the strict reader.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Increment {
    name: usize,
    tag: usize,
    value: i32,
}

fn increments() -> impl Strategy<Value = Vec<Vec<Increment>>> {
    let one = (0..4_usize, 0..4_usize, -50..1000_i32).prop_map(|(name, tag, value)| Increment {
        name,
        tag,
        value,
    });
    proptest::collection::vec(proptest::collection::vec(one, 0..30), 0..12)
}

/// Any bytes, of which many sanitise to the same.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(&b"ab._-:1\"\\ "[..]),
        1 => any::<u8>(),
    ];
    let ending = prop::sample::select(vec![
        "", "", "_total", ".sum", "_count", ".created", "_bucket",
    ]);
    (proptest::collection::vec(byte, 0..5), ending).prop_map(|(mut bytes, ending)| {
        bytes.extend_from_slice(ending.as_bytes());
        bytes
    })
}

#[derive(Clone, Debug)]
struct Anything {
    name: Vec<u8>,
    tags: Vec<Vec<u8>>,
    host: Option<Vec<u8>>,
    kind: u8,
    value: f64,
}

fn anything() -> impl Strategy<Value = Anything> {
    (
        hostile(),
        proptest::collection::vec(hostile(), 0..4),
        proptest::option::of(hostile()),
        0..4_u8,
        any::<f64>(),
    )
        .prop_map(|(name, tags, host, kind, value)| Anything {
            name,
            tags,
            host,
            kind,
            value,
        })
}

proptest! {
    #[test]
    fn running_totals_are_the_sum_of_all_increments(flushes in increments()) {
        let mut rig = rig();
        let mut model: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for increments in flushes {
            let mut sums: BTreeMap<(usize, usize), f64> = BTreeMap::new();
            for Increment { name, tag, value } in increments {
                *sums.entry((name, tag)).or_default() += f64::from(value);
            }
            for (key, sum) in &sums {
                *model.entry(*key).or_default() += sum;
            }
            rig.take(flush(sums.into_iter().map(|((name, tag), sum)| {
                counter(&format!("n{name}"), &format!("t:{tag}"), sum)
            })));
            rig.wait(10);
        }
        let expected: Vec<_> = model
            .into_iter()
            .map(|((name, tag), total)| format!("n{name}_total{{t=\"{tag}\"}} {total}"))
            .collect();
        prop_assert_eq!(rig.samples(), expected);
    }

    #[test]
    fn no_flush_makes_a_bad_page_or_loses_a_point_uncounted(
        flushes in proptest::collection::vec(proptest::collection::vec(anything(), 0..12), 1..6),
        classic in any::<bool>(),
        own_host_label in any::<bool>(),
        created_lines in any::<bool>(),
    ) {
        let mut rig = Rig::new(|config| {
            config.expiry_seconds = 25;
            config.series_max = 40;
            config.own_host_label = own_host_label;
            config.created_lines = created_lines;
            if classic {
                config.classic_buckets = vec![0.0, 1.0];
            }
        });
        for items in flushes {
            let mut batch = f::batch();
            for item in items {
                let host = item.host.as_deref().map_or(Host::Own, Host::Named);
                let tags = item.tags.iter().map(Vec::as_slice);
                let context = Context::new(&item.name, host, tags);
                match item.kind {
                    0 => batch.series.push(f::series(context, SeriesKind::Rate, item.value)),
                    1 => batch.series.push(f::series(context, SeriesKind::Gauge, item.value)),
                    2 => batch.sketches.push(SketchSeries {
                        context,
                        points: vec![(BUCKET, f::sketch_of(&[item.value]))],
                    }),
                    _ => {
                        let mut series = histogram("", "", Unit::None, &[item.value]);
                        series.context = context;
                        batch.histograms.push(series);
                    }
                }
            }
            let receipt = rig.accept(batch);
            prop_assert_eq!(receipt.dropped(Reason::Unsupported), 0);
            rig.page();
            rig.wait(10);
        }
    }
}
