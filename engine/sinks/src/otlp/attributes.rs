//! Tags and host to attributes: those that say who sends go to the resource, the others to the point.

use std::borrow::Cow;

use greyhound_model::context::Context;
use greyhound_model::flush::FlushBatch;
use hashbrown::HashMap;

use crate::datadog::proto;

/// Tags that say who sends, and what OpenTelemetry calls them.
const RESOURCE: &[(&[u8], &str)] = &[
    (b"service", "service.name"),
    (b"env", "deployment.environment.name"),
    (b"version", "service.version"),
    (b"container_id", "container.id"),
    (b"container_name", "container.name"),
    (b"pod_name", "k8s.pod.name"),
    (b"kube_namespace", "k8s.namespace.name"),
    (b"kube_container_name", "k8s.container.name"),
    (b"kube_deployment", "k8s.deployment.name"),
    (b"kube_node", "k8s.node.name"),
];

/// Resources of one flush, each once, and who belongs to which.
#[derive(Debug)]
pub(super) struct Split<'b> {
    batch: &'b FlushBatch,
    numbers: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    /// Attributes of each resource, as fields 1 of `Resource`.
    pub(super) resources: Vec<Box<[u8]>>,
    scratch: Vec<u8>,
    /// Texts that were not UTF-8.
    pub(super) repaired: u64,
}

// === impl Split ===

impl<'b> Split<'b> {
    pub(super) fn new(batch: &'b FlushBatch) -> Self {
        Self {
            batch,
            numbers: HashMap::default(),
            resources: Vec::new(),
            scratch: Vec::new(),
            repaired: 0,
        }
    }

    /// The number of the resource a context belongs to.
    pub(super) fn of(&mut self, context: &Context) -> u32 {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let host = context.host_or(&self.batch.hostname);
        if !host.is_empty() {
            let host = self.utf8(host);
            write_attribute(&mut out, 1, "host.name", [&*host]);
        }
        for tags in groups(context) {
            let (key, _) = pair(tags.0);
            if let Some(name) = resource_name(key) {
                self.write(&mut out, 1, name, tags);
            }
        }
        let number = match self.numbers.get(&out[..]) {
            Some(&number) => number,
            None => {
                let number = self.resources.len() as u32;
                self.resources.push(out.as_slice().into());
                self.numbers.insert(out.as_slice().into(), number);
                number
            }
        };
        self.scratch = out;
        number
    }

    /// Writes the attributes of a point, as messages of this field.
    pub(super) fn write_point(&mut self, context: &Context, field: u32, out: &mut Vec<u8>) {
        for tags in groups(context) {
            let (key, _) = pair(tags.0);
            if resource_name(key).is_none() {
                let key = self.utf8(key);
                self.write(out, field, &key, tags);
            }
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, field: u32, name: &str, tags: (&[u8], Vec<&[u8]>)) {
        let first = self.utf8(pair(tags.0).1);
        if tags.1.is_empty() {
            write_attribute(out, field, name, [&*first]);
            return;
        }
        let mut all = vec![first];
        for tag in &tags.1 {
            all.push(self.utf8(pair(tag).1));
        }
        write_attribute(out, field, name, all.iter().map(|text| &**text));
    }

    fn utf8<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(bytes);
        self.repaired += u64::from(matches!(text, Cow::Owned(_)));
        text
    }
}

/// Tags by key: the first of each, and the further ones. Sorted tags of one key need not stand side by side
/// (`a`, `a-b:1`, `a:2`), and keys are few, so each looks for its own.
fn groups(context: &Context) -> impl Iterator<Item = (&[u8], Vec<&[u8]>)> {
    context.tags().enumerate().filter_map(move |(index, tag)| {
        let key = pair(tag).0;
        if key.is_empty() && pair(tag).1.is_empty() {
            return None;
        }
        let is_known = context.tags().take(index).any(|other| pair(other).0 == key);
        if is_known {
            return None;
        }
        let further = context.tags().skip(index + 1);
        let further = further.filter(|other| pair(other).0 == key).collect();
        Some((tag, further))
    })
}

fn pair(tag: &[u8]) -> (&[u8], &[u8]) {
    match tag.iter().position(|byte| *byte == b':') {
        Some(colon) => (&tag[..colon], &tag[colon + 1..]),
        None => (tag, b""),
    }
}

fn resource_name(key: &[u8]) -> Option<&'static str> {
    let found = RESOURCE.iter().find(|(tag, _)| *tag == key)?;
    Some(found.1)
}

/// `KeyValue { 1 key, 2 AnyValue { 1 text | 5 list } }`.
pub(super) fn write_attribute<'t>(
    out: &mut Vec<u8>,
    field: u32,
    name: &str,
    values: impl IntoIterator<Item = &'t str, IntoIter: Clone>,
) {
    let values = values.into_iter();
    let is_list = values.clone().nth(1).is_some();
    proto::message(out, field, |out| {
        proto::bytes(out, 1, name.as_bytes());
        proto::message(out, 2, |out| {
            if !is_list {
                for value in values {
                    proto::bytes(out, 1, value.as_bytes());
                }
                return;
            }
            proto::message(out, 5, |out| {
                for value in values {
                    proto::message(out, 1, |out| proto::bytes(out, 1, value.as_bytes()));
                }
            });
        });
    });
}
