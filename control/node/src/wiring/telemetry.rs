//! What the running engine counts beside its ledger, for the registry behind `/telemetry`.

pub mod settings;

use std::sync::{Arc, LazyLock};

use greyhound_pipeline::engine::handle::Handle;
use greyhound_pipeline::ledger::{ListenerId, Transport};
use greyhound_pipeline::receive::telemetry::ReceiveTally;
use greyhound_pipeline::telemetry::PipelineTelemetry;
use greyhound_telemetry::{Desc, DuplicateName, Kind, Registry, Snapshot, Source, docs};

/// Reads a running engine.
#[derive(Debug)]
struct EngineTelemetry(Handle);

const fn desc(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Desc {
    Desc {
        name,
        kind,
        unit,
        help,
        labels,
    }
}

const LISTENER: &[&str] = &["listener_id", "address"];

const KERNEL_DROPS: usize = 0;
const BUFFER: usize = 1;
const QUEUE: usize = 2;
const CONNECTIONS: usize = 3;
const FORWARDED: usize = 4;
const READY: usize = 5;
const ORIGIN_ERRORS: usize = 6;
/// The receive counters follow behind these.
const FIXED: [Desc; 7] = [
    desc(
        "greyhound.listener.kernel_drops",
        Kind::Counter,
        "datagrams",
        LISTENER,
        "Datagrams the kernel dropped before us, because the receive queue was full.",
    ),
    desc(
        "greyhound.listener.receive_buffer",
        Kind::Gauge,
        "bytes",
        LISTENER,
        "Receive buffer the kernel granted.",
    ),
    desc(
        "dogstatsd.packets_channel_size",
        Kind::Gauge,
        "batches",
        &[],
        "Packet batches that wait for a lane to help.",
    ),
    desc(
        "dogstatsd.uds_connections",
        Kind::Gauge,
        "connections",
        &["listener_id", "transport"],
        "Unix stream connections open; a datagram socket counts as one.",
    ),
    desc(
        "greyhound.forward.packets",
        Kind::Counter,
        "packets",
        &["state"],
        "Packets copied to statsd_forward_host.",
    ),
    desc(
        "greyhound.ready",
        Kind::Gauge,
        "",
        &[],
        "1 while every lane answers and the engine is not stopping.",
    ),
    desc(
        "dogstatsd.uds_origin_detection_error",
        Kind::Counter,
        "packets",
        &["listener_id", "transport"],
        "Packets or connections without sender credentials although origin detection is on.",
    ),
];

/// The fixed ones, then one per field of [`ReceiveTally`].
static DESCRIPTORS: LazyLock<Vec<Desc>> = LazyLock::new(|| {
    let receive = ReceiveTally::FIELDS.iter().map(|&(field, help)| {
        // A handful of names for the life of the process.
        let name = Box::leak(format!("greyhound.receive.{field}").into_boxed_str());
        desc(name, Kind::Counter, "", &[], help)
    });
    FIXED.into_iter().chain(receive).collect()
});

/// Registers everything an engine counts.
///
/// # Errors
/// When a name is taken.
pub fn register(registry: &Registry, handle: &Handle) -> Result<(), DuplicateName> {
    let ledger = Arc::clone(handle.ledger());
    registry.register(Arc::new(PipelineTelemetry::new(
        ledger,
        Arc::clone(handle.flush_cells()),
    )))?;
    registry.register(Arc::new(EngineTelemetry(handle.clone())))
}

/// The reference page of everything Greyhound counts, in Markdown.
pub fn reference_page() -> String {
    let all = greyhound_pipeline::telemetry::descriptors()
        .chain(DESCRIPTORS.iter())
        .chain(settings::DESCRIPTORS.iter())
        .chain(greyhound_conntrack::telemetry::descriptors())
        .chain(greyhound_sinks::descriptors())
        .chain(greyhound_server::telemetry::descriptors())
        .chain(greyhound_server::registry::telemetry::descriptors())
        .chain(greyhound_server::configstream::telemetry::descriptors());
    format!(
        "# What Greyhound counts\n\n\
         Printed by `greyhound config counters` from the tables in the code; served at `/telemetry`. Names without\n\
         `greyhound.` are the Agent's.\n\n{}",
        docs::markdown(all)
    )
}

// === impl EngineTelemetry ===

impl Source for EngineTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let (handle, descs) = (&self.0, &*DESCRIPTORS);
        let mut has_streams = false;
        for (index, listener) in handle.listeners().iter().enumerate() {
            let labels = [listener.info.id.as_str(), listener.info.address.as_str()];
            // There are never 65,536 listeners: each has a file descriptor.
            let drops = handle.kernel_drops().of(ListenerId(index as u16));
            out.push(&descs[KERNEL_DROPS], &labels, drops as f64);
            let transport = listener.info.transport;
            if transport == Transport::Unixgram {
                out.push(&descs[CONNECTIONS], &[labels[0], transport.as_str()], 1.0);
            }
            has_streams |= transport == Transport::UnixStream;
            if let Some(buffer) = &listener.receive_buffer {
                out.push(&descs[BUFFER], &labels, buffer.effective_bytes as f64);
            }
        }
        out.push(&descs[QUEUE], &[], handle.queue_len() as f64);
        if has_streams {
            let open = handle.connections() as f64;
            out.push(
                &descs[CONNECTIONS],
                &["uds-unix", Transport::UnixStream.as_str()],
                open,
            );
        }
        // Counted over all Unix sockets of a lane, not by socket.
        let missing = handle.receive().credentials_missing as f64;
        out.push(&descs[ORIGIN_ERRORS], &["uds", ""], missing);
        if let Some(forwarded) = handle.forwarded() {
            out.push(&descs[FORWARDED], &["ok"], forwarded.packets.get() as f64);
            out.push(&descs[FORWARDED], &["error"], forwarded.errors.get() as f64);
        }
        out.push(&descs[READY], &[], f64::from(u8::from(handle.is_ready())));
        for (desc, value) in descs[FIXED.len()..].iter().zip(handle.receive().values()) {
            out.push(desc, &[], value as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/telemetry.md");
        let page = reference_page();
        if std::env::var_os("GREYHOUND_BLESS").is_some() {
            std::fs::write(&path, &page).expect("docs/ can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == page,
            "docs/telemetry.md is old: GREYHOUND_BLESS=1 cargo test -p greyhound the_page_in_docs"
        );
    }

    #[test]
    fn every_counter_has_a_name_of_its_own_and_a_help_text() {
        let mut names: Vec<_> = DESCRIPTORS.iter().map(|desc| desc.name).collect();
        assert_eq!(names.len(), FIXED.len() + ReceiveTally::FIELDS.len());
        assert!(DESCRIPTORS.iter().all(|desc| !desc.help.is_empty()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DESCRIPTORS.len());
    }
}
