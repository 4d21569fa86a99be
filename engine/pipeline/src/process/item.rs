//! Events and service checks: completed, kept, and sent with the next flush.
//!
//! No mapping, no namespace, no name filter; tags are those of the client, the static ones and the
//! origin's, sorted and unique.

use greyhound_model::event::Event;
use greyhound_model::service_check::ServiceCheck;
use greyhound_wire::tags::{TagMetadata, Tags};
use greyhound_wire::{
    Event as SentEvent, OriginFields, ServiceCheck as SentCheck, write_unescaped,
};

use super::Processor;
use super::admission::client_tag;
use crate::context::limiter::Limit;
use crate::enrich::{Identity, enrich};
use crate::ledger::Tally;

/// Bytes charged for an event or check beside its texts.
const ITEM_BYTES: u64 = 256;

impl Processor {
    pub(super) fn event(&mut self, event: &SentEvent<'_>, sender: u32, tally: &mut Tally) {
        tally.events += 1;
        let bytes = event.title.len() + event.text.len() + event.tags.raw().map_or(0, <[u8]>::len);
        if !self.has_room(bytes, event.title, tally) {
            return;
        }
        let (tags, tag_host) = self.item_tags(event.tags, &event.origin, sender);
        let unescape = |text: &[u8]| {
            let mut out = Vec::with_capacity(text.len());
            write_unescaped(text, &mut out);
            out
        };
        self.events.push(Event {
            title: unescape(event.title),
            text: unescape(event.text),
            unix_seconds: self.item_time(event.timestamp),
            priority: event.priority,
            alert_type: event.alert_type,
            host: self.item_host(event.host, tag_host),
            aggregation_key: event.aggregation_key.to_vec(),
            source_type: event.source_type.to_vec(),
            tags,
        });
        tally.items_collected += 1;
    }

    pub(super) fn service_check(&mut self, check: &SentCheck<'_>, sender: u32, tally: &mut Tally) {
        tally.service_checks += 1;
        let tags = check.tags.raw().map_or(0, <[u8]>::len);
        let bytes = check.name.len() + check.message.len() + tags;
        if !self.has_room(bytes, check.name, tally) {
            return;
        }
        let (tags, tag_host) = self.item_tags(check.tags, &check.origin, sender);
        self.service_checks.push(ServiceCheck {
            name: check.name.to_vec(),
            status: check.status,
            unix_seconds: self.item_time(check.timestamp),
            host: self.item_host(check.host, tag_host),
            message: check.message.to_vec(),
            tags,
        });
        tally.items_collected += 1;
    }

    fn has_room(&mut self, bytes: usize, name: &[u8], tally: &mut Tally) -> bool {
        let limits = &self.rules.limits;
        let held = self.events.len() + self.service_checks.len();
        let limit = if limits.events != 0 && held >= limits.events as usize {
            Limit::Events
        } else if !self.limiter.take(limits, bytes as u64 + ITEM_BYTES) {
            Limit::Memory
        } else {
            self.item_bytes += bytes as u64 + ITEM_BYTES;
            return true;
        };
        *tally.limit_mut(limit) += 1;
        self.note_refusal(limit, 1, name);
        false
    }

    /// Final tags, and the host a `host:` tag names.
    fn item_tags(
        &self,
        tags: Tags<'_>,
        origin: &OriginFields<'_>,
        sender: u32,
    ) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let mut special = TagMetadata {
            cardinality: origin.cardinality,
            ..TagMetadata::default()
        };
        let mut all: Vec<Vec<u8>> = tags
            .iter()
            .filter(|tag| !special.take(tag))
            .map(<[u8]>::to_vec)
            .collect();
        all.extend_from_slice(&self.rules.tags);
        let identity = Identity {
            socket_container: self.origins.entity(sender),
            pod_uid: Some(special.entity_id).filter(|uid| !uid.is_empty()),
            local: origin.local_data(),
            external: origin.external_data(),
            client: self.origins.client(sender),
            cardinality: special.cardinality,
        };
        enrich(&self.rules.origin, self.origins.table(), &identity, |tag| {
            all.push(tag.to_vec())
        });
        all.extend(client_tag(&self.rules, identity.client));
        all.sort_unstable();
        all.dedup();
        (all, special.host.map(<[u8]>::to_vec))
    }

    /// The client's time; none, or zero, means now.
    fn item_time(&self, sent: Option<i64>) -> i64 {
        sent.filter(|&seconds| seconds != 0)
            .unwrap_or_else(|| i64::from(self.arrival.second))
    }

    /// `h:` unless empty, else the `host:` tag, else our own.
    fn item_host(&self, sent: &[u8], tag: Option<Vec<u8>>) -> Vec<u8> {
        match (sent, tag) {
            ([], Some(host)) => host,
            ([], None) => self.hostname.to_vec(),
            (host, _) => host.to_vec(),
        }
    }
}
