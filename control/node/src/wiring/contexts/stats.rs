//! Samples per context, in the shape of the Agent's statistics. Bounded: the most sampled contexts stay.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::{Duration, SystemTime};

use greyhound_model::context::Host;
use greyhound_pipeline::flush::survey::Surveyed;
use serde_json::{Map, Value, json};

/// Contexts in one answer; of a million nobody reads the rest.
const ROWS_MAX: usize = 20_000;

/// The contexts with the most samples.
#[derive(Default)]
pub(super) struct MostSampled(Vec<Surveyed>);

// === impl MostSampled ===

impl MostSampled {
    pub(super) fn take(&mut self, surveyed: Surveyed) {
        if surveyed.samples == 0 {
            return;
        }
        self.0.push(surveyed);
        if self.0.len() >= 2 * ROWS_MAX {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.0.len() > ROWS_MAX {
            let by_samples = |row: &Surveyed| std::cmp::Reverse(row.samples);
            self.0.select_nth_unstable_by_key(ROWS_MAX, by_samples);
            self.0.truncate(ROWS_MAX);
        }
    }

    pub(super) fn json(mut self) -> Value {
        self.cut();
        let rows = self.0.iter().map(|row| (key(row).to_string(), shown(row)));
        Value::Object(rows.collect::<Map<_, _>>())
    }
}

/// The same for the same context in every process of this version.
fn key(row: &Surveyed) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.context.name().hash(&mut hasher);
    match row.context.host() {
        Host::Own => 0_u8.hash(&mut hasher),
        Host::Named(host) => host.hash(&mut hasher),
    }
    for tag in row.context.tags() {
        tag.hash(&mut hasher);
    }
    hasher.finish()
}

fn shown(row: &Surveyed) -> Value {
    let tags: Vec<_> = row.context.tags().map(String::from_utf8_lossy).collect();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(row.last_seen.into());
    json!({
        "name": String::from_utf8_lossy(row.context.name()),
        "count": row.samples,
        "last_seen": humantime::format_rfc3339_seconds(at).to_string(),
        "tags": tags.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_model::context::Context;

    fn row(name: String, samples: u64) -> Surveyed {
        Surveyed {
            context: Context::new(name.as_bytes(), Host::Own, [&b"b:2"[..], b"a:1"]),
            kind: None,
            last_seen: 1_700_000_000,
            samples,
        }
    }

    #[test]
    fn a_row_has_the_agents_fields() {
        let mut most = MostSampled::default();
        most.take(row("m".to_owned(), 3));
        most.take(row("silent".to_owned(), 0));
        let shown = most.json();
        let rows: Vec<&Value> = shown.as_object().expect("an object").values().collect();
        assert_eq!(
            rows,
            [&json!({
                "name": "m", "count": 3, "last_seen": "2023-11-14T22:13:20Z", "tags": "a:1 b:2",
            })]
        );
    }

    #[test]
    fn the_most_sampled_stay() {
        let mut most = MostSampled::default();
        for number in 0..(2 * ROWS_MAX as u64 + 5) {
            most.take(row(format!("m{number}"), number + 1));
        }
        let shown = most.json();
        let rows = shown.as_object().expect("an object");
        assert_eq!(rows.len(), ROWS_MAX);
        let least = rows.values().map(|row| row["count"].as_u64()).min();
        assert_eq!(least, Some(Some(ROWS_MAX as u64 + 6)));
    }
}
