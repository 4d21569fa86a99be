//! A snapshot of our own counters as a page.

use super::{FamilyType, Format, Writer};
use crate::desc::Kind;
use crate::snapshot::{HistogramValue, Sample, Snapshot, Value};

/// Appends every series of `snapshot` as one whole page, names in the Agent's exposition form
/// (`dogstatsd.processed` becomes `dogstatsd__processed`).
pub fn write_snapshot(snapshot: &Snapshot, format: Format, out: &mut Vec<u8>) {
    let mut writer = Writer::new(out, format);
    let (mut family, mut name) = ("", String::new());
    for sample in snapshot.iter() {
        let desc = sample.desc;
        if desc.name != family {
            family = desc.name;
            name = desc.exposition_name();
            let family_type = match desc.kind {
                Kind::Counter => FamilyType::Counter,
                Kind::Gauge => FamilyType::Gauge,
                Kind::Histogram => FamilyType::Histogram,
            };
            writer.family(&name, family_type, desc.help, desc.unit);
        }
        match sample.value {
            Value::Number(value) => writer.sample(&name, "", sample.labels(), *value),
            Value::Histogram(value) => write_histogram(&mut writer, &name, sample, value),
        }
    }
    writer.finish();
}

fn write_histogram(
    writer: &mut Writer<'_>,
    name: &str,
    sample: Sample<'_>,
    value: &HistogramValue,
) {
    let bounds = value.buckets.iter().copied();
    for (bound, count) in bounds.chain([(f64::INFINITY, value.count)]) {
        let mut le = Vec::new();
        writer.format().write_label_number(bound, &mut le);
        let labels = (sample.labels())
            .map(|(name, value)| (name, value.as_bytes()))
            .chain([("le", le.as_slice())]);
        writer.sample(name, "_bucket", labels, count as f64);
    }
    writer.sample(name, "_sum", sample.labels(), value.sum);
    writer.sample(name, "_count", sample.labels(), value.count as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desc::Desc;
    use crate::histogram::LatencyHistogram;

    static PROCESSED: Desc = Desc {
        name: "dogstatsd.processed",
        kind: Kind::Counter,
        unit: "samples",
        help: "Samples taken.",
        labels: &["state"],
    };
    static CONTEXTS: Desc = Desc {
        name: "aggregator.dogstatsd_contexts",
        kind: Kind::Gauge,
        unit: "contexts",
        help: "Contexts alive.",
        labels: &[],
    };
    static LATENCY: Desc = Desc {
        name: "dogstatsd.listener_read_latency",
        kind: Kind::Histogram,
        unit: "ns",
        help: "Time not spent reading.",
        labels: &["transport"],
    };

    fn page(format: Format) -> String {
        let histogram = LatencyHistogram::new(&[300, 500]);
        let mut recorder = histogram.recorder();
        for ns in [100, 400, 900] {
            recorder.record(ns);
        }
        recorder.publish();
        let mut snapshot = Snapshot::default();
        snapshot.push(&PROCESSED, &["ok"], 12.0);
        snapshot.push(&PROCESSED, &["error"], 1.0);
        snapshot.push(&CONTEXTS, &[], 3.0);
        snapshot.push_histogram(&LATENCY, &["udp"], &histogram.read());
        let mut out = Vec::new();
        write_snapshot(&snapshot, format, &mut out);
        String::from_utf8(out).expect("a page is text")
    }

    #[test]
    fn plain_text() {
        assert_eq!(
            page(Format::TEXT),
            "\
# HELP aggregator__dogstatsd_contexts Contexts alive.
# TYPE aggregator__dogstatsd_contexts gauge
aggregator__dogstatsd_contexts 3
# HELP dogstatsd__listener_read_latency Time not spent reading.
# TYPE dogstatsd__listener_read_latency histogram
dogstatsd__listener_read_latency_bucket{transport=\"udp\",le=\"300\"} 1
dogstatsd__listener_read_latency_bucket{transport=\"udp\",le=\"500\"} 2
dogstatsd__listener_read_latency_bucket{transport=\"udp\",le=\"+Inf\"} 3
dogstatsd__listener_read_latency_sum{transport=\"udp\"} 1400
dogstatsd__listener_read_latency_count{transport=\"udp\"} 3
# HELP dogstatsd__processed Samples taken.
# TYPE dogstatsd__processed counter
dogstatsd__processed{state=\"error\"} 1
dogstatsd__processed{state=\"ok\"} 12
"
        );
    }

    #[test]
    fn open_metrics_keeps_the_names() {
        let page = page(Format::OPEN_METRICS);
        assert!(
            page.contains("# TYPE dogstatsd__processed unknown\n"),
            "{page}"
        );
        assert!(
            page.contains("# UNIT aggregator__dogstatsd_contexts contexts\n"),
            "{page}"
        );
        assert!(page.contains("le=\"300.0\"} 1\n"), "{page}");
        assert!(page.ends_with("# EOF\n"), "{page}");
    }

    #[test]
    fn an_empty_snapshot_is_a_valid_page() {
        let mut out = Vec::new();
        write_snapshot(&Snapshot::default(), Format::OPEN_METRICS, &mut out);
        assert_eq!(out, b"# EOF\n");
    }
}
