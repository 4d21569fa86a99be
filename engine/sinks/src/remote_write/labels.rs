//! Names and labels, as the `Label` messages that go out: sorted by name, none twice, none empty.

use greyhound_model::context::Context;
use greyhound_model::series::Suffix;
use greyhound_telemetry::text::sanitize_name;

use super::series::Role;
use crate::datadog::proto;
use crate::prometheus::names::{FamilyKind, Labels, family_name};

/// Renders the labels of one context, for each of its series. Keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Renderer {
    labels: Labels,
    text: String,
}

// === impl Renderer ===

impl Renderer {
    /// Takes the labels of a context, and says whether one had to be repaired. `own_host` is given when the
    /// engine's own host has to be named.
    pub(super) fn start(&mut self, context: &Context, own_host: Option<&[u8]>) -> bool {
        self.labels.render(context, own_host);
        self.labels.repaired()
    }

    /// The labels of one series. An external label stands back behind one of the series.
    pub(super) fn render(
        &mut self,
        family: &str,
        ending: &str,
        quantile: Option<f64>,
        external: &[(String, String)],
    ) -> Box<[u8]> {
        let Self { labels, text, .. } = self;
        text.clear();
        text.push_str(family);
        text.push_str(ending);
        let name_len = text.len();
        if let Some(quantile) = quantile {
            text.push_str(&quantile.to_string());
        }
        let (name, quantile_text) = text.split_at(name_len);
        let mut all: Vec<(&str, &str)> = Vec::with_capacity(16);
        all.push(("__name__", name));
        if quantile.is_some() {
            all.push(("quantile", quantile_text));
        }
        all.extend(labels.iter());
        let own = all.len();
        for (name, value) in external {
            if all[..own].iter().all(|(other, _)| other != name) {
                all.push((name, value));
            }
        }
        all.sort_unstable_by_key(|(name, _)| *name);
        let mut out = Vec::with_capacity(all.iter().map(|(n, v)| n.len() + v.len() + 8).sum());
        for (name, value) in all {
            proto::message(&mut out, 1, |out| {
                proto::bytes(out, 1, name.as_bytes());
                proto::bytes(out, 2, value.as_bytes());
            });
        }
        out.into_boxed_slice()
    }
}

/// The name of a family, the same as on the Prometheus page: `_total` behind counters.
pub(super) fn family(context: &Context, role: Role) -> String {
    let mut name = String::new();
    match role {
        Role::Total(Suffix::None) => {
            family_name(context.name(), FamilyKind::Counter, &mut name);
            name.push_str("_total");
        }
        Role::Total(suffix) | Role::Last(suffix) => {
            let mut full = context.name().to_vec();
            suffix.append_to(&mut full);
            sanitize_name(&full, &mut name);
        }
        Role::Distribution => sanitize_name(context.name(), &mut name),
    }
    name
}

/// External labels as they are compared and sent: sanitised, sorted, the last of a name counts, empty ones go.
pub(super) fn external(labels: &[(String, String)]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in labels {
        let mut clean = String::new();
        greyhound_telemetry::text::sanitize_label(name.as_bytes(), &mut clean);
        all.retain(|(other, _)| *other != clean);
        if !value.is_empty() {
            all.push((clean, value.clone()));
        }
    }
    all.sort_unstable();
    all
}
