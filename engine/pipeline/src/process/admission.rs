//! A spelling that is new: which context does it mean, and may it take part?
//!
//! Runs once per spelling, not per message: map the name, take out special tags, put the namespace
//! before the name, ask the filter, add static and origin tags, then find or make the context.

use std::net::IpAddr;

use greyhound_model::context::{Host, Spelled};
use greyhound_model::metric::MetricKind;
use greyhound_wire::Metric;
use greyhound_wire::tags::TagMetadata;

use super::sender::UNKNOWN;
use super::{Processor, Refusal};
use crate::context::limiter::Limit;
use crate::context::table::{ContextTable, NONE, RawKey};
use crate::enrich::{Identity, enrich};
use crate::ledger::Tally;
use crate::rules::Rules;

/// What becomes of a spelling.
enum Verdict {
    Context(u32),
    Filtered,
    Refused(Limit),
}

impl Processor {
    /// The spelling of this key, made now, or the limit that refuses it.
    #[cold]
    #[inline(never)]
    pub(super) fn admit(
        &mut self,
        hash: u64,
        key: &RawKey<'_>,
        metric: &Metric<'_>,
    ) -> Result<u32, Limit> {
        let verdict = self.judge(key, metric);
        let bytes = ContextTable::spelling_bytes_max(key);
        // What is taken is what comes to be held, less what is pushed out.
        let entry = match verdict {
            Verdict::Context(context) => {
                while !self.limiter.take(&self.rules.limits, bytes) {
                    let held = self.contexts.all_spelling_bytes();
                    if !self.contexts.drop_spelling(context) {
                        return Err(Limit::Memory);
                    }
                    self.limiter.give(held - self.contexts.all_spelling_bytes());
                }
                let held = self.contexts.all_spelling_bytes();
                let entry = self.contexts.add_spelling(hash, key, context);
                self.give_spellings(held + bytes);
                entry
            }
            Verdict::Filtered => {
                let held = self.contexts.all_spelling_bytes();
                let entry = self.contexts.add_filtered(hash, key);
                self.limiter.charge(bytes);
                self.give_spellings(held + bytes);
                entry
            }
            Verdict::Refused(limit) => return Err(limit),
        };
        Ok(entry)
    }

    /// Gives back the bytes of spellings that are no more, of those that were `held`.
    pub(super) fn give_spellings(&mut self, held: u64) {
        let gone = held.saturating_sub(self.contexts.all_spelling_bytes());
        self.limiter.give(gone);
    }

    fn judge(&mut self, key: &RawKey<'_>, metric: &Metric<'_>) -> Verdict {
        let rules = &self.rules;
        let mapped = rules
            .mapper
            .as_ref()
            .and_then(|mapper| mapper.map(&mut self.mapper_cache, metric.name));
        let mut special = TagMetadata {
            cardinality: metric.origin.cardinality,
            ..TagMetadata::default()
        };
        self.builder.clear();
        let mut client_tags = 0u32;
        for tag in metric.tags.iter() {
            client_tags = client_tags.saturating_add(1);
            if !special.take(tag) {
                self.builder.push_tag(tag);
            }
        }
        for tag in mapped.iter().flat_map(|mapped| mapped.tags.iter()) {
            if !special.take(tag) {
                self.builder.push_tag(tag);
            }
        }
        let name = mapped.map_or(metric.name, |mapped| &mapped.name);
        let name = rules.namespace.apply(name, &mut self.name_scratch);
        if rules.filter.intake_refuses(name) {
            return Verdict::Filtered;
        }
        let limit = rules.limits.tags_per_metric;
        if limit != 0 && client_tags > limit {
            return Verdict::Refused(Limit::Tags);
        }
        for tag in &rules.tags {
            self.builder.push_tag(tag);
        }
        let local = metric.origin.local_data();
        let identity = Identity {
            socket_container: self.origins.entity(key.origin),
            pod_uid: Some(special.entity_id).filter(|uid| !uid.is_empty()),
            local,
            external: metric.origin.external_data(),
            client: self.origins.client(key.origin),
            cardinality: special.cardinality,
        };
        enrich(&rules.origin, self.origins.table(), &identity, |tag| {
            self.builder.push_tag(tag)
        });
        if let Some(tag) = client_tag(rules, identity.client) {
            self.builder.push_tag(&tag);
        }
        if metric.kind == MetricKind::Distribution
            && let Some(rule) = rules.tag_filter.keep(name)
        {
            self.builder.retain_tags(|tag| rule.keeps(tag));
        }
        let host = host(special.host, &self.hostname);
        // Limits are shared out by who sends: the socket's word first, then the client's, then its address.
        let socket = match identity.client {
            Some(_) => UNKNOWN,
            None => key.origin,
        };
        let origin = match (socket, local.container_id, special.entity_id) {
            (UNKNOWN, [], []) => key.origin,
            (UNKNOWN, [], uid) => self.origins.number(uid),
            (UNKNOWN, id, _) => self.origins.number(id),
            (number, ..) => number,
        };
        self.builder.seal(name, host);
        if let Some(context) = self.contexts.find_context(&self.builder) {
            return Verdict::Context(context);
        }
        let spelled = Spelled {
            name: key.name,
            tags: key.tags,
        };
        self.new_context(origin, Some(spelled))
            .map_or_else(Verdict::Refused, Verdict::Context)
    }

    /// The context that the copies of this one's samples go to, or [`NONE`] when there is no room.
    #[cold]
    pub(super) fn admit_copy(&mut self, context: u32) -> u32 {
        let Some(original) = self.contexts.context(context).cloned() else {
            return NONE;
        };
        let rules = &self.rules;
        let Some(prefix) = &rules.histogram.copy_prefix else {
            return NONE;
        };
        self.copy_scratch.clear();
        self.copy_scratch.extend_from_slice(prefix);
        self.copy_scratch.extend_from_slice(original.name());
        let name = self.copy_scratch.as_slice();
        self.builder.clear();
        let rule = rules.tag_filter.keep(name);
        for tag in original.tags() {
            if rule.is_none_or(|rule| rule.keeps(tag)) {
                self.builder.push_tag(tag);
            }
        }
        let origin = self.contexts.slot(context).origin;
        self.builder.seal(name, original.host());
        let copy = match self.contexts.find_context(&self.builder) {
            Some(copy) => copy,
            None => match self.new_context(origin, None) {
                Ok(copy) => copy,
                Err(limit) => {
                    self.note_refusal(limit, 1, original.name());
                    return NONE;
                }
            },
        };
        self.contexts.slot(context).copy = copy;
        copy
    }

    /// A context of what the builder has sealed, if the limits allow one more. Texts it shares with
    /// others are charged once, to nobody: the limit can be passed by those of one context. One that is
    /// refused leaves neither texts nor charge behind, however many are.
    fn new_context(&mut self, origin: u32, spelled: Option<Spelled<'_>>) -> Result<u32, Limit> {
        let held = self.builder.shared_bytes();
        let context = self.builder.make(spelled);
        self.limiter
            .charge((self.builder.shared_bytes() - held) as u64);
        let bytes = ContextTable::context_bytes(&context);
        let admitted = self
            .limiter
            .admit_context(&self.rules.limits, origin, bytes);
        if let Err(limit) = admitted {
            for tag in context.tags() {
                self.growth.note(tag);
            }
            let held = self.builder.shared_bytes();
            self.builder.discard(context);
            self.limiter
                .give((held - self.builder.shared_bytes()) as u64);
            return Err(limit);
        }
        self.lane_tally.contexts_created += 1;
        Ok(self
            .contexts
            .add_context(context, origin, self.arrival.second))
    }

    /// Counts the samples of a message that [`admit`](Self::admit) refused.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse_metric(
        &mut self,
        limit: Limit,
        metric: &Metric<'_>,
        samples: u64,
        tally: &mut Tally,
    ) {
        *tally.limit_mut(limit) += samples;
        self.note_refusal(limit, samples, metric.name);
    }

    /// Remembers that a limit said no; told once per flush, with the first case.
    pub(super) fn note_refusal(&mut self, limit: Limit, count: u64, metric: &[u8]) {
        if let Some(refusal) = self
            .refusals
            .iter_mut()
            .find(|refusal| refusal.limit == limit)
        {
            refusal.count += count;
            return;
        }
        self.refusals.push(Refusal {
            limit,
            count,
            metric: metric.to_vec(),
            fastest_tag: None,
        });
    }
}

/// The tag with the address of a client behind UDP, when one is asked for.
pub(super) fn client_tag(rules: &Rules, client: Option<IpAddr>) -> Option<Vec<u8>> {
    let mut tag = rules.client_tag.clone()?;
    tag.extend_from_slice(format!(":{}", client?).as_bytes());
    Some(tag)
}

/// The host a special tag names; the engine's own name is the same host as no name.
fn host<'a>(named: Option<&'a [u8]>, own: &[u8]) -> Host<'a> {
    match named {
        Some(name) if name != own => Host::Named(name),
        _ => Host::Own,
    }
}
