//! The one table of settings: every key, its type, default, environment names and help.
//!
//! File, environment, flags and whatever comes later resolve against it; the reference page and
//! the JSON Schema are printed from it. Rows whose feature this version lacks are kept and marked
//! [`Applies::NoEffect`], so that a `datadog.yaml` of the Agent is read without guesses and its
//! owner is told what does nothing here.

mod aggregator;
mod api;
mod conntrack;
mod control;
mod delivery;
mod dogstatsd;
mod greyhound;
mod origin;
mod otlp;
mod relay;
mod remote_agent;
mod remote_write;
mod routing;
mod secrets;
mod telemetry;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::kind::Kind;
use crate::kind::read::{self, Aside, Mismatch};
use crate::node::Node;
use crate::value::Value;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Dotted, lower case.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default in the notation of the environment.
    pub default: &'static str,
    /// What it does: one line, no final dot.
    pub help: &'static str,
    /// Whether this version acts on it.
    pub applies: Applies,
    /// Whether a change can be applied without a restart.
    pub reloadable: bool,
    /// Environment names beside those made from the key.
    extra_env: &'static [&'static str],
}

/// Whether a setting does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// Read and obeyed.
    Now,
    /// Read and checked, then ignored.
    NoEffect,
}

/// A heading of the reference page with its rows.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// Rows in the order of the page.
    pub rows: &'static [Row],
}

/// The table with its indexes.
#[derive(Debug)]
pub struct Table {
    rows: Vec<&'static Row>,
    by_key: HashMap<&'static str, usize>,
    by_env: HashMap<String, usize>,
    prefixes: HashSet<&'static str>,
    defaults: Vec<Value>,
}

/// What a dotted name means to the table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    /// A setting.
    Row(usize),
    /// The beginning of several.
    Prefix,
    /// Nothing.
    Unknown,
}

/// All sections, in the order of the reference page.
pub fn sections() -> &'static [Section] {
    const SECTIONS: &[Section] = &[
        Section {
            title: "Listening",
            rows: dogstatsd::LISTENING,
        },
        Section {
            title: "Processing",
            rows: dogstatsd::PROCESSING,
        },
        Section {
            title: "Names and histograms",
            rows: dogstatsd::NAMES,
        },
        Section {
            title: "Origin detection",
            rows: origin::ROWS,
        },
        Section {
            title: "Statistics, capture and telemetry",
            rows: telemetry::ROWS,
        },
        Section {
            title: "Aggregator and serializer",
            rows: aggregator::ROWS,
        },
        Section {
            title: "Host, logs and intake",
            rows: api::ROWS,
        },
        Section {
            title: "Control port",
            rows: control::ROWS,
        },
        Section {
            title: "Remote agents",
            rows: remote_agent::ROWS,
        },
        Section {
            title: "Connection tracking",
            rows: conntrack::ROWS,
        },
        Section {
            title: "Delivery",
            rows: delivery::ROWS,
        },
        Section {
            title: "Lanes and time",
            rows: greyhound::LANES,
        },
        Section {
            title: "Settings that change while running",
            rows: greyhound::CONFIG,
        },
        Section {
            title: "Secrets",
            rows: secrets::ROWS,
        },
        Section {
            title: "More listeners",
            rows: greyhound::LISTENERS,
        },
        Section {
            title: "Limits",
            rows: greyhound::LIMITS,
        },
        Section {
            title: "Outputs",
            rows: greyhound::OUTPUTS,
        },
        Section {
            title: "Remote write",
            rows: remote_write::ROWS,
        },
        Section {
            title: "OTLP",
            rows: otlp::ROWS,
        },
        Section {
            title: "Relay",
            rows: relay::ROWS,
        },
        Section {
            title: "Routing",
            rows: routing::ROWS,
        },
    ];
    SECTIONS
}

/// The table; built once.
pub fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(Table::build);
    &TABLE
}

// === impl Row ===

impl Row {
    pub(crate) const fn new(
        key: &'static str,
        kind: Kind,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            key,
            kind,
            default,
            help,
            applies: Applies::Now,
            reloadable: false,
            extra_env: &[],
        }
    }

    /// Marks a row that is read but does nothing.
    pub(crate) const fn no_effect(mut self) -> Self {
        self.applies = Applies::NoEffect;
        self
    }

    pub(crate) const fn reloadable(mut self) -> Self {
        self.reloadable = true;
        self
    }

    pub(crate) const fn env(mut self, names: &'static [&'static str]) -> Self {
        self.extra_env = names;
        self
    }

    /// Its environment names; the first that is set wins.
    pub fn env_names(&self) -> Vec<String> {
        let upper = self.key.to_ascii_uppercase().replace('.', "_");
        let own = self.is_own().then(|| upper.clone());
        let agent = format!("DD_{upper}");
        let extra = self.extra_env.iter().map(|name| (*name).to_owned());
        own.into_iter().chain([agent]).chain(extra).collect()
    }

    /// Whether the key is ours and not the Agent's.
    pub fn is_own(&self) -> bool {
        self.key.starts_with("greyhound.")
    }

    /// Whether its value must not be shown.
    pub const fn is_secret(&self) -> bool {
        self.kind.is_secret()
    }

    /// Reads its value from the notation of flags and the environment; nothing is put aside.
    pub(crate) fn read_text(&self, text: &str) -> Result<Value, Mismatch> {
        let mut asides = Vec::new();
        let value = self.read_text_leniently(text, &mut asides)?;
        match asides.pop() {
            Some(aside) => Err(aside.mismatch),
            None => Ok(value),
        }
    }

    /// The same; what the Agent goes on without is added to `asides`.
    pub(crate) fn read_text_leniently(
        &self,
        text: &str,
        asides: &mut Vec<Aside>,
    ) -> Result<Value, Mismatch> {
        if !self.kind.is_structured() {
            return read::value(&self.kind, &Node::scalar(text), asides);
        }
        // Text that is not JSON stays text, which no structured kind takes.
        let node = match serde_json::from_str(text) {
            Ok(json) => Node::from_json(json),
            Err(_) => Node::scalar(text),
        };
        read::value(&self.kind, &node, asides)
    }
}

// === impl Table ===

impl Table {
    fn build() -> Self {
        let rows: Vec<&'static Row> = sections().iter().flat_map(|section| section.rows).collect();
        let mut table = Self {
            by_key: HashMap::with_capacity(rows.len()),
            by_env: HashMap::with_capacity(2 * rows.len()),
            prefixes: HashSet::new(),
            defaults: Vec::with_capacity(rows.len()),
            rows,
        };
        for (index, row) in table.rows.iter().enumerate() {
            table.by_key.insert(row.key, index);
            for name in row.env_names() {
                table.by_env.insert(name, index);
            }
            for (at, _) in row.key.match_indices('.') {
                table.prefixes.insert(&row.key[..at]);
            }
            let default = row.read_text(row.default);
            table
                .defaults
                .push(default.expect("a test reads every default of the table"));
        }
        table
    }

    /// All rows, in the order of the reference page.
    pub fn rows(&self) -> &[&'static Row] {
        &self.rows
    }

    /// The row of a dotted key in lower case.
    pub fn row(&self, key: &str) -> Option<&'static Row> {
        self.by_key.get(key).map(|&index| self.rows[index])
    }

    pub(crate) fn index(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn index_of_env(&self, name: &str) -> Option<usize> {
        self.by_env.get(name).copied()
    }

    pub(crate) fn default(&self, index: usize) -> &Value {
        &self.defaults[index]
    }

    pub(crate) fn named(&self, path: &str) -> Named {
        match self.by_key.get(path) {
            Some(&index) => Named::Row(index),
            None if self.prefixes.contains(path) => Named::Prefix,
            None => Named::Unknown,
        }
    }

    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &'static str> {
        self.prefixes.iter().copied()
    }
}

#[cfg(test)]
mod tests;
