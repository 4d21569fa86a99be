//! What the status page says about connection tracking.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use greyhound_conntrack::reader::view::{NamespaceView, State, Trouble, View};
use greyhound_server::register::{Problem, Severity, StatusSection};
use serde_json::{Value, json};

use super::{Shown, json as shape};

/// Clients a problem names.
const NAMED: usize = 5;

/// The section; empty while the mode is `off`.
pub struct ConntrackStatus(pub Arc<OnceLock<Shown>>);

// === impl ConntrackStatus ===

impl StatusSection for ConntrackStatus {
    fn name(&self) -> &str {
        "conntrack"
    }

    fn json(&self, _verbose: bool) -> Value {
        match self.0.get() {
            None => json!({ "mode": "off" }),
            Some(shown) => {
                let mut all = shape::overview(&shown.reader.view());
                all["dogstatsd"] = shape::dogstatsd(shown);
                all
            }
        }
    }

    fn text(&self, verbose: bool) -> String {
        let Some(shown) = self.0.get() else {
            return String::new();
        };
        let view = shown.reader.view();
        let mut text = format!("{:?}: {}", view.mode, view.state.as_str());
        if let Some(reason) = view.state.reason() {
            text.push_str(&format!(", {reason}"));
        }
        text.push('\n');
        for namespace in &view.namespaces {
            let entries = namespace.totals.unwrap_or_default();
            // Writing to a text cannot fail.
            writeln!(
                text,
                "namespace {}: {} of {} entries, {} rows, {} events lost",
                namespace.name,
                entries.entries,
                entries.max_entries,
                namespace.rows,
                namespace.lost_events
            )
            .ok();
            if let Some(hint) = &namespace.hint {
                writeln!(text, "  {}", hint.what).ok();
            }
        }
        if let Some(asking) = &shown.asking {
            let counts = asking.counts();
            writeln!(
                text,
                "UDP datagrams: {} from named clients, {} from senders that are not translated, {} unnamed",
                counts.attributed.load(Ordering::Relaxed),
                counts.untracked.load(Ordering::Relaxed),
                counts.unknown.load(Ordering::Relaxed)
            )
            .ok();
            let limit = if verbose { 100 } else { 10 };
            for client in asking.book().top(limit) {
                writeln!(text, "  {}: {} datagrams", client.address, client.datagrams).ok();
            }
        }
        text
    }

    fn problems(&self) -> Vec<Problem> {
        let Some(shown) = self.0.get() else {
            return Vec::new();
        };
        let view = shown.reader.view();
        let hints = view.namespaces.iter().filter_map(hint);
        stale(&view)
            .into_iter()
            .chain(state(&view))
            .chain(hints)
            .collect()
    }
}

fn stale(view: &View) -> Option<Problem> {
    if view.stale.count == 0 {
        return None;
    }
    let mut clients: Vec<String> = view
        .stale
        .flows
        .iter()
        .map(|(_, flow)| flow.original.source().to_string())
        .collect();
    clients.sort();
    clients.dedup();
    clients.truncate(NAMED);
    let mut namespaces: Vec<&str> = view.stale.flows.iter().map(|(name, _)| &**name).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let commands: Vec<String> = namespaces
        .iter()
        .map(|name| {
            format!("greyhound conntrack purge-stale --netns {name} --set greyhound.conntrack.allow_delete=true")
        })
        .collect();
    Some(Problem {
        severity: Severity::Critical,
        what: format!(
            "{} clients send to an address that is gone, their metrics are lost: {}",
            view.stale.count,
            clients.join(", ")
        ),
        cure: format!("{}; or restart these clients", commands.join("; ")),
    })
}

fn state(view: &View) -> Option<Problem> {
    let (severity, trouble) = match &view.state {
        State::Unsupported(trouble) => (Severity::Warning, trouble),
        State::Degraded(trouble) => (Severity::Note, trouble),
        _ => return None,
    };
    Some(problem(severity, trouble))
}

/// A namespace in which nothing can come is worth a line only.
fn hint(namespace: &NamespaceView) -> Option<Problem> {
    let hint = namespace.hint.as_ref()?;
    Some(problem(Severity::Note, hint))
}

fn problem(severity: Severity, trouble: &Trouble) -> Problem {
    let off = "greyhound.conntrack.mode: off ends it";
    Problem {
        severity,
        what: format!("connection tracking: {}", trouble.what),
        cure: match &*trouble.cure {
            "" => off.to_owned(),
            cure => format!("{cure}; {off}"),
        },
    }
}
