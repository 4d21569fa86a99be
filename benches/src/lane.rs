//! A lane without sockets: packets from memory, buckets closed by hand.

use std::sync::Arc;

use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::origin::Sender;
use greyhound_model::time::{BucketWidth, Stamp};
use greyhound_pipeline::config::RulesConfig;
use greyhound_pipeline::context::hash::Seed;
use greyhound_pipeline::flush::Flusher;
use greyhound_pipeline::ledger::{Ledger, ListenerId, ListenerInfo, Transport};
use greyhound_pipeline::process::close::CloseScope;
use greyhound_pipeline::process::{LaneFlush, Packet, Processor, ProcessorParts};
use greyhound_pipeline::rules::Rules;

/// One lane and the flusher behind it.
#[derive(Debug)]
pub struct Lane {
    processor: Processor,
    flusher: Flusher,
    ledger: Arc<Ledger>,
}

// === impl Lane ===

impl Lane {
    /// A lane with these rules and a seed that does not change.
    pub fn new(config: &RulesConfig) -> Self {
        let info = ListenerInfo {
            id: "udp".into(),
            address: "memory".into(),
            transport: Transport::Udp,
            eol_required: false,
        };
        let ledger = Arc::new(Ledger::new(vec![info], 1));
        let rules = Arc::new(Rules::compile(config).0);
        let hostname: Arc<[u8]> = Arc::from(&b"bench"[..]);
        let seed = Seed::fixed(0x5eed_0001, 0x5eed_0003);
        let processor = Processor::new(ProcessorParts {
            lane: 0,
            ledger: Arc::clone(&ledger),
            rules: Arc::clone(&rules),
            origins: Arc::default(),
            width: BucketWidth::AGENT,
            usage: Arc::default(),
            seed,
            hostname: Arc::clone(&hostname),
        });
        let flusher = Flusher::new(rules, BucketWidth::AGENT, hostname, true, 1);
        Self {
            processor,
            flusher,
            ledger,
        }
    }

    /// Processes packets that arrived together.
    pub fn process(&mut self, at: f64, packets: &[Vec<u8>]) {
        let sender = Sender::default();
        let packets = packets.iter().map(|bytes| Packet { bytes, sender });
        self.processor
            .process(ListenerId(0), Stamp::at_unix_seconds(at), packets);
    }

    /// What a lane does at a flush.
    pub fn close(&mut self, at: f64) -> LaneFlush {
        self.processor
            .close(Stamp::at_unix_seconds(at), CloseScope::Over)
    }

    /// What the flush thread does then.
    pub fn flush(&mut self, at: f64, flush: LaneFlush) -> FlushBatch {
        self.flusher.flush(
            Stamp::at_unix_seconds(at),
            FlushCause::Interval,
            vec![flush],
        )
    }

    /// Samples aggregated so far.
    #[expect(
        clippy::misnamed_getters,
        reason = "the ledger has a field of that name that is not meant"
    )]
    pub fn samples(&self) -> u64 {
        self.ledger.read().total.samples_aggregated
    }
}
