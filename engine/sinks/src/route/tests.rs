//! Rules: who gets what, and that nothing is lost or made on the way.

use proptest::prelude::*;

use super::select::{Router, Selection};
use super::view::View;
use super::*;
use crate::fixtures::{batch, context, counter, flush, gauge};
use crate::policy::{GaugeRule, TagAction};
use greyhound_model::event::{AlertType, Event, Priority};
use greyhound_model::flush::{FlushBatch, SketchSeries};
use greyhound_model::series::SeriesKind;
use greyhound_model::service_check::{ServiceCheck, Status};
use greyhound_model::sketch::Sketch;

const SINKS: [&str; 3] = ["prometheus", "datadog", "datadog-2"];

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(names: &[&str], tags: &[&str], hosts: &[&str], outputs: &[&str]) -> RuleConfig {
    RuleConfig {
        names: texts(names),
        tags: texts(tags),
        hosts: texts(hosts),
        outputs: texts(outputs),
    }
}

fn rules(rules: Vec<RuleConfig>) -> RoutingConfig {
    RoutingConfig {
        rules,
        ..RoutingConfig::default()
    }
}

fn router(config: &RoutingConfig) -> Router {
    Router::new(Routing::compile(config, &SINKS, |_| false).expect("rules"))
}

fn seen(batch: &Arc<FlushBatch>, selection: &Selection, sink: usize) -> Arc<FlushBatch> {
    View::new(sink).of(batch, selection)
}

fn names(batch: &FlushBatch) -> Vec<String> {
    let series = batch.series.iter();
    series
        .map(|series| String::from_utf8_lossy(series.context.name()).into_owned())
        .collect()
}

#[test]
fn the_first_rule_that_fits_decides_and_the_rest_goes_to_the_default() {
    let config = RoutingConfig {
        rules: vec![
            rule(&["pay.*"], &["env:prod"], &[], &["datadog-2"]),
            rule(&["pay.*"], &[], &[], &[]),
            rule(&[], &["team:*", "env:*"], &["agent-*"], &["data*"]),
        ],
        default_outputs: texts(&["prometheus"]),
        policies: Vec::new(),
    };
    let mut router = router(&config);
    let batch = Arc::new(flush([
        counter("pay.ok", "env:prod", 1.0),
        counter("pay.ok", "env:dev", 1.0),
        counter("web", "env:dev,team:a", 1.0),
        counter("web", "env:dev", 1.0),
    ]));
    for _ in 0..2 {
        let selection = router.select(&batch).expect("there are rules");
        let sinks = [0, 1, 2].map(|sink| names(&seen(&batch, &selection, sink)));
        assert_eq!(sinks[0], ["web"]);
        assert_eq!(sinks[1], ["web"]);
        assert_eq!(sinks[2], ["pay.ok", "web"]);
        assert_eq!([0, 1, 2].map(|sink| selection.points(sink)), [1, 1, 2]);
    }
    assert_eq!(router.tally().nowhere(Nowhere::Rule), 2);
    let counts: Vec<_> = router.routing().counts().collect();
    assert_eq!(
        counts,
        [(Some(1), 2), (Some(2), 2), (Some(3), 2), (None, 2)]
    );
}

#[test]
fn without_rules_the_flush_itself_is_handed_on() {
    assert!(router(&RoutingConfig::default()).select(&batch()).is_none());
    // And with rules, to the sinks that take everything.
    let mut router = router(&rules(vec![rule(&["a"], &[], &[], &["*"])]));
    let batch = Arc::new(flush([counter("a", "", 1.0), counter("b", "", 1.0)]));
    let selection = router.select(&batch).expect("there are rules");
    assert!(Arc::ptr_eq(&seen(&batch, &selection, 1), &batch));
}

#[test]
fn events_have_no_name_and_checks_have_theirs() {
    let config = rules(vec![
        rule(&["*"], &["env:prod"], &[], &["datadog"]),
        rule(&["up"], &[], &[], &[]),
    ]);
    let mut batch = batch();
    batch.events.push(Event {
        title: b"up".to_vec(),
        text: Vec::new(),
        unix_seconds: 1,
        priority: Priority::Normal,
        alert_type: AlertType::Info,
        host: Vec::new(),
        aggregation_key: Vec::new(),
        source_type: Vec::new(),
        tags: vec![b"env:prod".to_vec()],
    });
    batch.service_checks.push(ServiceCheck {
        name: b"up".to_vec(),
        status: Status::Ok,
        unix_seconds: 1,
        host: Vec::new(),
        message: Vec::new(),
        tags: Vec::new(),
    });
    let batch = Arc::new(batch);
    let mut router = router(&config);
    let selection = router.select(&batch).expect("there are rules");
    assert_eq!([0, 1, 2].map(|sink| selection.points(sink)), [0, 1, 0]);
    assert_eq!(seen(&batch, &selection, 1).events.len(), 1);
    assert_eq!(router.tally().nowhere(Nowhere::Rule), 1);
}

#[test]
fn why_nothing_is_sent_is_told_apart() {
    let mut nobody = rules(vec![rule(&["gone"], &[], &[], &["otlp"])]);
    nobody.default_outputs.clear();
    let routing = Routing::compile(&nobody, &SINKS, |name| name == "otlp").expect("rules");
    let mut router = Router::new(routing);
    let batch = flush([counter("gone", "", 1.0), gauge("other", "", 1.0)]);
    assert_eq!(router.select(&batch).expect("rules").points(0), 0);
    assert_eq!(router.tally().nowhere(Nowhere::Absent), 1);
    assert_eq!(router.tally().nowhere(Nowhere::NoRule), 1);
}

#[test]
fn an_output_nobody_knows_is_refused_with_its_place() {
    let config = rules(vec![
        rule(&[], &[], &[], &["datadog*"]),
        rule(&[], &[], &[], &["datdog"]),
    ]);
    let error = Routing::compile(&config, &SINKS, |_| false).expect_err("a typing mistake");
    assert_eq!(
        error.to_string(),
        "rule 2 of `greyhound.routing.rules` names the output `datdog`, there is none; \
         running are prometheus, datadog, datadog-2"
    );
}

#[test]
fn other_rules_are_in_force_at_once() {
    let batch = flush([counter("a", "", 1.0)]);
    let mut router = router(&rules(vec![rule(&["a"], &[], &[], &["datadog"])]));
    assert_eq!(router.select(&batch).expect("rules").points(1), 1);
    let config = rules(vec![rule(&["a"], &[], &[], &["prometheus"])]);
    router.set(Routing::compile(&config, &SINKS, |_| false).expect("rules"));
    assert_eq!(router.select(&batch).expect("rules").points(1), 0);
}

#[test]
fn a_route_can_be_explained() {
    let config = rules(vec![rule(&["a*"], &[], &[], &["datadog*"])]);
    let routing = Routing::compile(&config, &SINKS, |_| false).expect("rules");
    let explain = |name| routing.explain(&context(name, ""), b"h", &SINKS);
    assert_eq!(explain("ab"), (Some(1), vec!["datadog", "datadog-2"]));
    assert_eq!(explain("b"), (None, SINKS.to_vec()));
}

/// One sample of the property test: name, tags, value.
type Item = (u8, Vec<u8>, f64);

fn item_context(item: &Item) -> Context {
    let tags: Vec<String> = item
        .1
        .iter()
        .map(|tag| format!("k{}:v{tag}", tag % 3))
        .collect();
    context(&format!("m{}", item.0), &tags.join(","))
}

/// Every context once, as in a flush.
fn distinct(items: Vec<Item>) -> Vec<(Context, f64)> {
    let mut seen: Vec<(Context, f64)> = Vec::new();
    for item in &items {
        let context = item_context(item);
        if !seen.iter().any(|(known, _)| *known == context) {
            seen.push((context, item.2));
        }
    }
    seen
}

proptest! {
    // What comes out of all views is what went in, whatever rules and policies do.
    #[test]
    fn nothing_is_lost_or_made_between_rules_and_sinks(
        counters in proptest::collection::vec((0u8..4, proptest::collection::vec(0u8..6, 0..4), 0f64..100.0), 0..30),
        sketches in proptest::collection::vec((0u8..4, proptest::collection::vec(0u8..6, 0..4), 1f64..100.0), 0..10),
        chosen in proptest::collection::vec((0usize..5, 0usize..4, 0usize..8), 0..4),
        dropped in proptest::option::of((0usize..4, 0usize..4)),
    ) {
        const NAMES: [&str; 5] = ["m0", "m1", "m*", "*2", "none"];
        const TAGS: [&[&str]; 4] = [&[], &["k0:*"], &["k1:v1"], &["k0:*", "k2:v2"]];
        const OUTPUTS: [&[&str]; 8] = [
            &[], &["*"], &["prometheus"], &["datadog"], &["datadog*"], &["datadog-2"],
            &["prometheus", "datadog"], &["prometheus", "datadog-2"],
        ];
        let config = RoutingConfig {
            rules: chosen.iter().map(|&(n, t, o)| rule(&[NAMES[n]], TAGS[t], &[], OUTPUTS[o])).collect(),
            default_outputs: texts(&["prometheus", "datadog"]),
            policies: dropped.iter().map(|&(output, tags)| PolicyConfig {
                outputs: texts(&[["prometheus", "datadog", "data*", "*"][output]]),
                names: Vec::new(),
                action: if tags == 3 { TagAction::Keep } else { TagAction::Drop },
                tags: texts([&["k0"][..], &["k*"], &["host", "k1"], &["k2"]][tags]),
                gauges: GaugeRule::Sum,
            }).collect(),
        };
        let mut router = router(&config);
        let (counters, sketches) = (distinct(counters), distinct(sketches));
        let mut made = batch();
        for (context, value) in &counters {
            let name = String::from_utf8_lossy(context.name()).into_owned();
            let mut series = counter(&name, "", *value);
            series.context = context.clone();
            made.series.push(series.clone());
            series.kind = SeriesKind::Gauge;
            made.series.push(series);
        }
        for (context, value) in &sketches {
            let mut sketch = Sketch::default();
            sketch.insert(*value, 1.0);
            made.sketches.push(SketchSeries { context: context.clone(), points: vec![(crate::fixtures::BUCKET, sketch)] });
        }
        let made = Arc::new(made);
        let Some(selection) = router.select(&made) else {
            prop_assert!(config.rules.is_empty() && config.policies.is_empty());
            return Ok(());
        };
        // The rules as a reader would hold them against a context.
        let takes = |context: &Context, sink: usize| {
            let fits = |rule: &&RuleConfig| {
                rule.names.iter().any(|name| Glob::new(name).matches(context.name()))
                    && rule.tags.iter().all(|tag| context.tags().any(|own| Glob::new(tag).matches(own)))
            };
            let rule = config.rules.iter().find(fits);
            let outputs = rule.map_or(&config.default_outputs, |rule| &rule.outputs);
            outputs.iter().any(|output| Glob::new(output).matches(SINKS[sink].as_bytes()))
        };
        for sink in 0..SINKS.len() {
            let view = seen(&made, &selection, sink);
            for name in 0..4 {
                let name = format!("m{name}");
                let of = |context: &Context| context.name() == name.as_bytes();
                let want: f64 = counters.iter().filter(|(c, _)| of(c) && takes(c, sink)).map(|(_, v)| v).sum();
                for kind in [SeriesKind::Rate, SeriesKind::Gauge] {
                    let got: f64 = view.series.iter()
                        .filter(|series| of(&series.context) && series.kind == kind)
                        .flat_map(|series| series.points.as_slice())
                        .map(|point| point.value)
                        .sum();
                    prop_assert!((got - want).abs() <= 1e-9 * want.abs().max(1.0), "{} {} {}", name, got, want);
                }
                let want = sketches.iter().filter(|(c, _)| of(c) && takes(c, sink)).count() as u64;
                let got: u64 = view.sketches.iter().filter(|s| of(&s.context))
                    .flat_map(|s| &s.points).map(|(_, sketch)| sketch.count()).sum();
                prop_assert_eq!(got, want);
            }
            // No two series of one identity are left.
            let mut identities: Vec<_> = view.series.iter()
                .map(|series| (series.context.clone(), series.kind == SeriesKind::Rate)).collect();
            identities.sort();
            let count = identities.len();
            identities.dedup();
            prop_assert_eq!(count, identities.len());
            prop_assert!(view.point_count() <= selection.points(sink));
        }
        let anywhere: u64 = counters.iter().filter(|(c, _)| (0..3).any(|s| takes(c, s))).count() as u64 * 2
            + sketches.iter().filter(|(c, _)| (0..3).any(|s| takes(c, s))).count() as u64;
        let nowhere: u64 = Nowhere::ALL.iter().map(|reason| router.tally().nowhere(*reason)).sum();
        prop_assert_eq!(anywhere + nowhere, made.point_count());
    }
}
