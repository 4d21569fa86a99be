//! The merged view against an obvious model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const KEYS: [&str; 3] = ["dogstatsd_port", "greyhound.lanes", "statsd_forward_port"];

proptest! {
    #[test]
    fn the_highest_layer_wins_after_any_history(
        steps in proptest::collection::vec((0..3_usize, 1..12_usize, proptest::option::of(0..9_u8)), 0..60),
    ) {
        let mut store = Store::new();
        let mut model: BTreeMap<(usize, Layer), String> = BTreeMap::new();
        let place = Place::Other { name: "test".to_owned() };
        let mut generation = 0;
        for (key, layer, value) in steps {
            let layer = Layer::ALL[layer];
            let text = value.map(|value| value.to_string());
            let changed = match &text {
                Some(text) => model.insert((key, layer), text.clone()).as_ref() != Some(text),
                None => model.remove(&(key, layer)).is_some(),
            };
            generation += u64::from(changed);
            let reached = match &text {
                Some(text) => store.set_text(KEYS[key], layer, text, place.clone()),
                None => store.unset(KEYS[key], layer),
            };
            prop_assert_eq!(reached.unwrap(), generation);
        }
        for (index, key) in KEYS.iter().enumerate() {
            let resolved = store.get(key).unwrap();
            let winner = model.range((index, Layer::Default)..=(index, Layer::Cli)).next_back();
            match winner {
                Some(((_, layer), text)) => {
                    prop_assert_eq!((resolved.layer, resolved.value.text()), (*layer, text.clone()));
                }
                None => prop_assert!(resolved.is_default()),
            }
            let held = model.range((index, Layer::Default)..=(index, Layer::Cli)).count();
            prop_assert_eq!(store.layers(key).len(), held);
        }
    }
}

#[test]
fn values_of_another_type_or_out_of_range_are_refused() {
    let mut store = Store::new();
    let place = Place::Other {
        name: "remote".to_owned(),
    };
    let rows = [
        ("greyhound.lanes", Value::Int(5000)),
        ("greyhound.lanes", Value::Bool(true)),
        ("log_level", Value::Text("loud".to_owned())),
        ("histogram_percentiles", Value::Numbers(vec![0.5, f64::NAN])),
        (
            "greyhound.prometheus.listen",
            Value::Text("nowhere".to_owned()),
        ),
    ];
    for (key, value) in rows {
        let error = store
            .set(key, Layer::RemoteConfig, value, place.clone())
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("remote: `{key}` is ")),
            "{error}"
        );
    }
    let secret = Value::Text("hunter2".to_owned());
    let error = store
        .set("api_key", Layer::RemoteConfig, secret, place)
        .unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    assert_eq!(store.generation(), 0);
}

#[test]
fn the_listing_says_who_set_what() {
    let mut store = Store::new();
    let place = Place::Flag {
        name: "--set".to_owned(),
    };
    store
        .set_text("greyhound.lanes", Layer::Cli, "2", place.clone())
        .unwrap();
    let listing = store.effective();
    assert_eq!(listing.len(), table::table().rows().len());
    let line = listing
        .iter()
        .find(|line| line.key == "greyhound.lanes")
        .unwrap();
    assert_eq!(
        (line.value.as_str(), line.layer, &line.place),
        ("2", Layer::Cli, &place)
    );
    assert!(!line.is_default && line.has_effect && !line.reloadable);
    let line = listing
        .iter()
        .find(|line| line.key == "metric_filterlist")
        .unwrap();
    assert!(line.is_default && line.reloadable);
}
