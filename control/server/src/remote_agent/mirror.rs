//! A core agent's settings, as its stream tells them, and the layer of ours that follows them.
//!
//! The shape of events changed over the years: one entry per key with the source that won, or one per key
//! and source; whole subtrees or leaf keys; a layer that lost a key as a null value, or named beside the
//! value that counts without it. Kept by key and source, all of them come to the same.

use std::collections::{BTreeMap, BTreeSet};

use greyhound_config::layer::Layer;
use greyhound_config::live::Live;
use greyhound_config::live::change::{Cause, ChangeError, Outcome};
use greyhound_config::place::Place;
use greyhound_config::table;
use greyhound_proto::datadog::model::v1::config_event::Event;
use greyhound_proto::datadog::model::v1::{ConfigEvent, ConfigSetting};
use prost_types::Value;
use prost_types::value::Kind;
use tracing::warn;

use super::values;

/// The layer of ours.
const LAYER: Layer = Layer::RemoteConfig;
/// What says who and where this process is, and what a core agent turns off because we are there.
const OWN: &[&str] = &[
    "use_dogstatsd",
    "cmd_host",
    "cmd_port",
    "agent_ipc.host",
    "agent_ipc.port",
    "health_port",
    "expvar_port",
    "auth_token_file_path",
    "ipc_cert_file_path",
    "run_path",
];
/// Settings of our own are no business of a core agent.
const OWN_PREFIX: &str = "greyhound.";
/// Keys kept of one core agent, ours or not; far more than an Agent has.
const KEYS_MAX: usize = 16_384;

/// What one core agent said last.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// For the listing of settings.
    place: String,
    /// By key of ours and source: its value in our notation.
    values: BTreeMap<&'static str, BTreeMap<Source, String>>,
    /// What stands in our layer.
    applied: BTreeSet<&'static str>,
    /// Values our table does not take; warned of once.
    refused: BTreeSet<(&'static str, String)>,
}

/// A source in the order of precedence. One we do not know stands where the Agent puts those.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    layer: Layer,
    name: String,
}

// === impl Mirror ===

impl Mirror {
    pub(crate) fn new(address: String) -> Self {
        Self {
            place: format!("config stream of {address}"),
            values: BTreeMap::new(),
            applied: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Notes an event. Whether it was a snapshot, before which nothing counts.
    pub(crate) fn take(&mut self, event: ConfigEvent) -> bool {
        match event.event {
            Some(Event::Snapshot(snapshot)) => {
                self.values.clear();
                for setting in snapshot.settings.into_iter().take(KEYS_MAX) {
                    self.note(setting);
                }
                true
            }
            Some(Event::Update(update)) => {
                if let Some(setting) = update.setting {
                    self.note(setting);
                }
                false
            }
            None => false,
        }
    }

    fn note(&mut self, setting: ConfigSetting) {
        if let Some(gone) = Source::new(&setting.unset_source) {
            self.walk(&setting.key, None, &gone);
        }
        if let Some(source) = Source::new(&setting.source) {
            self.walk(&setting.key, setting.value.as_ref(), &source);
        }
    }

    /// Notes the value of a key, or those of the keys below it.
    fn walk(&mut self, key: &str, value: Option<&Value>, source: &Source) {
        let kind = value.and_then(|value| value.kind.as_ref());
        if let Some(row) = table::table().row(key) {
            if OWN.contains(&row.key) || row.key.starts_with(OWN_PREFIX) {
                return;
            }
            let sources = self.values.entry(row.key).or_default();
            match kind.and_then(text) {
                Some(text) => drop(sources.insert(source.clone(), text)),
                None => drop(sources.remove(source)),
            }
            return;
        }
        match kind {
            Some(Kind::StructValue(fields)) => {
                for (name, value) in &fields.fields {
                    self.walk(&format!("{key}.{name}"), Some(value), source);
                }
            }
            // A whole subtree of this source is gone.
            None | Some(Kind::NullValue(_)) => {
                let below = format!("{key}.");
                for (_, sources) in self
                    .values
                    .iter_mut()
                    .filter(|(key, _)| key.starts_with(&below))
                {
                    sources.remove(source);
                }
            }
            Some(_) => {}
        }
    }

    /// Makes our layer what the core agent said, in one generation. How many settings stand there now.
    /// What our table or the running process does not take is left out with a warning.
    pub(crate) fn apply(&mut self, live: &Live) -> usize {
        let mut wanted: BTreeMap<&'static str, String> = self
            .values
            .iter()
            .filter_map(|(key, sources)| {
                let (source, text) = sources.last_key_value()?;
                // What the other end has by default, we have by our own.
                (source.layer != Layer::Default).then(|| (*key, text.clone()))
            })
            .collect();
        loop {
            let outcome = live.edit(Cause::Stream, |store| {
                for key in self.applied.iter().filter(|key| !wanted.contains_key(*key)) {
                    store.unset(key, LAYER)?;
                }
                wanted.retain(|key, text| {
                    let place = Place::Other {
                        name: self.place.clone(),
                    };
                    let taken = store.set_text(key, LAYER, text, place);
                    if let Err(error) = &taken
                        && self.refused.insert((key, text.clone()))
                    {
                        warn!(key, %error, "a setting of the core agent is not taken");
                    }
                    taken.is_ok()
                });
                // What was refused now may have had a value before.
                for key in self.applied.iter().filter(|key| !wanted.contains_key(*key)) {
                    store.unset(key, LAYER)?;
                }
                Ok(())
            });
            match outcome {
                Ok(_) => {
                    self.applied = wanted.into_keys().collect();
                    return self.applied.len();
                }
                Err(ChangeError::Refused(keys)) => {
                    let before = wanted.len();
                    for result in &keys {
                        if let Outcome::Refused(why) = &result.outcome {
                            warn!(
                                key = result.key,
                                why, "a setting of the core agent is not taken"
                            );
                            wanted.remove(result.key);
                        }
                    }
                    if wanted.len() == before {
                        return self.applied.len();
                    }
                }
                Err(error) => {
                    warn!(%error, "the settings of the core agent are not taken");
                    return self.applied.len();
                }
            }
        }
    }
}

// === impl Source ===

impl Source {
    /// `None` for an empty one. `schema` says what is declared without a value, so it is a default.
    fn new(name: &str) -> Option<Self> {
        let layer = match name {
            "" => return None,
            "schema" => Layer::Default,
            name => Layer::from_text(name).unwrap_or(Layer::Unknown),
        };
        Some(Self {
            layer,
            name: name.to_owned(),
        })
    }
}

/// A value in the notation of the environment; `None` = no value.
fn text(kind: &Kind) -> Option<String> {
    match kind {
        Kind::NullValue(_) => None,
        Kind::StringValue(text) => Some(text.clone()),
        Kind::BoolValue(flag) => Some(flag.to_string()),
        kind => Some(values::json_of(kind).to_string()),
    }
}

#[cfg(test)]
mod tests;
