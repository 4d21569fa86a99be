//! Text as the intake wants it: UTF-8, within its lengths, some tags in other places.

use std::borrow::Cow;

use greyhound_model::context::Context;
use greyhound_model::flush::FlushBatch;

use super::proto;

const NAME_LEN_BYTES_MAX: usize = 350;
const HOST_LEN_BYTES_MAX: usize = 255;
const TAGS_LEN_BYTES_MAX: usize = 100 * 1024;
const RESOURCES_MAX: usize = 500;

const DEVICE: &[u8] = b"device:";
const RESOURCE: &[u8] = b"dd.internal.resource:";

/// Points may be this far ahead of the flush, in seconds.
const AHEAD_SECONDS_MAX: i64 = 600;

/// Repairs text, and counts how often it had to.
#[derive(Debug)]
pub(super) struct Text {
    tags_max: usize,
    /// Texts that were not UTF-8.
    pub(super) repaired: u64,
    /// Tags and resources that were cut off.
    pub(super) tags_cut: u64,
}

// === impl Text ===

impl Text {
    pub(super) fn new(tags_max: usize) -> Self {
        Self {
            tags_max,
            repaired: 0,
            tags_cut: 0,
        }
    }

    /// The text, each invalid sequence replaced by U+FFFD.
    pub(super) fn utf8<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(bytes);
        self.repaired += u64::from(matches!(text, Cow::Owned(_)));
        text
    }

    /// The host of a context, no longer than the intake takes.
    pub(super) fn host<'a>(&mut self, batch: &'a FlushBatch, context: &'a Context) -> Cow<'a, str> {
        match self.utf8(context.host_or(&batch.hostname)) {
            Cow::Borrowed(host) => Cow::Borrowed(clip(host, HOST_LEN_BYTES_MAX)),
            Cow::Owned(host) => Cow::Owned(clip(&host, HOST_LEN_BYTES_MAX).to_owned()),
        }
    }

    /// Writes the tags as texts of one field, those apart that name a resource.
    pub(super) fn tags(&mut self, context: &Context, field: u32, out: &mut Vec<u8>) {
        let tags = context.tags().filter(|tag| resource(tag).is_none());
        self.write_tags(tags, field, out);
    }

    /// Writes every tag as a text of one field, for messages that have no resources.
    pub(super) fn all_tags(&mut self, context: &Context, field: u32, out: &mut Vec<u8>) {
        self.write_tags(context.tags(), field, out);
    }

    fn write_tags<'a>(
        &mut self,
        tags: impl Iterator<Item = &'a [u8]>,
        field: u32,
        out: &mut Vec<u8>,
    ) {
        let (mut count, mut len_bytes) = (0, 0);
        for tag in tags {
            let tag = self.utf8(tag);
            if count == self.tags_max || len_bytes + tag.len() > TAGS_LEN_BYTES_MAX {
                self.tags_cut += 1;
                continue;
            }
            count += 1;
            len_bytes += tag.len();
            proto::bytes(out, field, tag.as_bytes());
        }
    }

    /// Writes the host and the tags that name a resource: `{1 type, 2 name}`.
    pub(super) fn resources(
        &mut self,
        batch: &FlushBatch,
        context: &Context,
        field: u32,
        out: &mut Vec<u8>,
    ) {
        let host = self.host(batch, context);
        write_resource(out, field, "host", &host);
        let named = context.tags().filter_map(resource);
        for (index, (kind, name)) in named.enumerate() {
            if index + 1 >= RESOURCES_MAX {
                self.tags_cut += 1;
                continue;
            }
            let (kind, name) = (self.utf8(kind), self.utf8(name));
            write_resource(out, field, &kind, &name);
        }
    }
}

fn write_resource(out: &mut Vec<u8>, field: u32, kind: &str, name: &str) {
    proto::message(out, field, |out| {
        proto::bytes(out, 1, kind.as_bytes());
        proto::bytes(out, 2, name.as_bytes());
    });
}

/// Type and name, when the tag stands for a resource.
fn resource(tag: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(name) = tag.strip_prefix(DEVICE) {
        return Some((b"device", name));
    }
    let named = tag.strip_prefix(RESOURCE)?;
    match named.iter().position(|byte| *byte == b':') {
        Some(at) => Some((&named[..at], &named[at + 1..])),
        None => Some((named, b"")),
    }
}

/// Whether the intake takes a metric of this name.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.len() <= NAME_LEN_BYTES_MAX && name.iter().any(u8::is_ascii_alphabetic)
}

/// Whether the intake takes a point of this time.
pub(super) fn is_timely(batch: &FlushBatch, unix_seconds: i64) -> bool {
    unix_seconds <= batch.unix_seconds.saturating_add(AHEAD_SECONDS_MAX)
}

/// The longest beginning of so many bytes.
fn clip(text: &str, len_bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(len_bytes_max)]
}
