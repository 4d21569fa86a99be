//! What the status page says about connection tracking.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use greyhound_conntrack::reader::view::{State, View};
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
        stale(&view).into_iter().chain(state(&view)).collect()
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
    Some(Problem {
        severity: Severity::Critical,
        what: format!(
            "{} clients send to an address that is gone, their metrics are lost: {}",
            view.stale.count,
            clients.join(", ")
        ),
        cure: "greyhound conntrack purge-stale, with greyhound.conntrack.allow_delete; or restart these clients"
            .into(),
    })
}

fn state(view: &View) -> Option<Problem> {
    let (severity, reason) = match &view.state {
        State::Unsupported(reason) => (Severity::Warning, reason),
        State::Degraded(reason) => (Severity::Note, reason),
        _ => return None,
    };
    Some(Problem {
        severity,
        what: format!("connection tracking: {reason}"),
        cure: "grant CAP_NET_ADMIN, or set greyhound.conntrack.mode: off".into(),
    })
}
