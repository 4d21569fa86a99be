//! A context: the name, host and set of tags that samples are added up under.
//!
//! One allocation holds everything, in a canonical form: two contexts are the same if and only if
//! their bytes are the same, whatever the order or repetition of tags was on the wire.
//!
//! ```text
//!  | name_len: u32 | host_len: u32 | name … | host … | tag '\n' tag '\n' … |   tags sorted, unique
//! ```
//!
//! `host_len` = `u32::MAX` stands for "the engine's own host", which then takes no space at all.
//! A newline ends each tag, so that one empty tag and no tags differ. No tag from a client can hold
//! a newline; from settings or a tagger it becomes a space.

use std::fmt;
use std::sync::Arc;

const HEADER_LEN: usize = 8;
const DEFAULT_HOST: u32 = u32::MAX;
const TAG_END: u8 = b'\n';

/// Name + host + set of tags. Cheap to clone, compared and hashed by its bytes.
///
/// Cost: 24 bytes beside its text, one allocation; a clone is one atomic add.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(Arc<[u8]>);

/// The host a context belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host<'a> {
    /// The engine's own host name.
    Own,
    /// Another one, named by the client; empty means the series goes out without host.
    Named(&'a [u8]),
}

/// Puts contexts together, keeping its scratch memory between uses.
#[derive(Debug, Default)]
pub struct ContextBuilder {
    scratch: Vec<u8>,
    order: Vec<(u32, u32)>,
    text: Vec<u8>,
}

// === impl Context ===

impl Context {
    /// Builds a context from parts, in any order, with repeats. For tests and cold paths; hot ones
    /// keep a [`ContextBuilder`].
    pub fn new<'a>(name: &[u8], host: Host<'_>, tags: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut builder = ContextBuilder::default();
        for tag in tags {
            builder.push_tag(tag);
        }
        builder.finish(name, host)
    }

    /// The metric name, as it goes out.
    pub fn name(&self) -> &[u8] {
        &self.0[HEADER_LEN..HEADER_LEN + self.name_len()]
    }

    /// The host.
    pub fn host(&self) -> Host<'_> {
        match self.word(4) {
            DEFAULT_HOST => Host::Own,
            len => {
                let start = HEADER_LEN + self.name_len();
                Host::Named(&self.0[start..start + len as usize])
            }
        }
    }

    /// The host as text, where the engine's own is called `own`.
    pub fn host_or<'a>(&'a self, own: &'a [u8]) -> &'a [u8] {
        match self.host() {
            Host::Own => own,
            Host::Named(name) => name,
        }
    }

    /// The tags, sorted by bytes, each once.
    pub fn tags(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let host_len = match self.host() {
            Host::Own => 0,
            Host::Named(name) => name.len(),
        };
        let text = &self.0[HEADER_LEN + self.name_len() + host_len..];
        // Every tag is followed by TAG_END, so the piece after the last one is not a tag.
        text.strip_suffix(&[TAG_END])
            .map(|body| body.split(|&byte| byte == TAG_END))
            .into_iter()
            .flatten()
    }

    /// All bytes: what equality and hashing see.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes on the heap, the reference counts included.
    pub fn heap_bytes(&self) -> usize {
        self.0.len() + 2 * size_of::<usize>()
    }

    fn name_len(&self) -> usize {
        self.word(0) as usize
    }

    fn word(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.0[at..at + 4]);
        u32::from_le_bytes(word)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name().escape_ascii())?;
        if let Host::Named(host) = self.host() {
            write!(f, "@{}", host.escape_ascii())?;
        }
        f.write_str("{")?;
        for (index, tag) in self.tags().enumerate() {
            write!(
                f,
                "{}{}",
                if index == 0 { "" } else { "," },
                tag.escape_ascii()
            )?;
        }
        f.write_str("}")
    }
}

// === impl ContextBuilder ===

impl ContextBuilder {
    /// Adds one tag. Repeats and order do not matter.
    pub fn push_tag(&mut self, tag: &[u8]) {
        let start = self.scratch.len();
        self.scratch.extend(
            tag.iter()
                .map(|&byte| if byte == TAG_END { b' ' } else { byte }),
        );
        // A packet is at most 64 KiB and settings are bounded, so offsets fit.
        self.order.push((start as u32, self.scratch.len() as u32));
    }

    /// The tags: in the order pushed, or sorted and unique once canonical bytes were made.
    pub fn tags(&self) -> impl Iterator<Item = &[u8]> {
        self.order
            .iter()
            .map(|&(start, end)| &self.scratch[start as usize..end as usize])
    }

    /// How many tags were pushed, repeats included.
    pub fn tag_count(&self) -> usize {
        self.order.len()
    }

    /// Drops the tags pushed so far.
    pub fn clear(&mut self) {
        self.scratch.clear();
        self.order.clear();
    }

    /// Drops pushed tags that `keep` refuses.
    pub fn retain_tags(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let scratch = &self.scratch;
        self.order
            .retain(|&(start, end)| keep(&scratch[start as usize..end as usize]));
    }

    /// The canonical bytes of what was pushed, valid until the next call. Keeps the tags, so that a
    /// second context can be made of them; [`clear`](Self::clear) drops them.
    pub fn canonical(&mut self, name: &[u8], host: Host<'_>) -> &[u8] {
        let Self {
            scratch,
            order,
            text,
        } = self;
        let tag = |&(start, end): &(u32, u32)| &scratch[start as usize..end as usize];
        order.sort_unstable_by(|a, b| tag(a).cmp(tag(b)));
        order.dedup_by(|a, b| tag(a) == tag(b));
        text.clear();
        text.extend_from_slice(&(name.len() as u32).to_le_bytes());
        match host {
            Host::Own => text.extend_from_slice(&DEFAULT_HOST.to_le_bytes()),
            Host::Named(host) => text.extend_from_slice(&(host.len() as u32).to_le_bytes()),
        }
        text.extend_from_slice(name);
        if let Host::Named(host) = host {
            text.extend_from_slice(host);
        }
        for span in order.iter() {
            text.extend_from_slice(tag(span));
            text.push(TAG_END);
        }
        text
    }

    /// The context of what was pushed. Leaves the builder empty.
    pub fn finish(&mut self, name: &[u8], host: Host<'_>) -> Context {
        let context = Context(Arc::from(self.canonical(name, host)));
        self.clear();
        context
    }

    /// The context of the last [`canonical`](Self::canonical) bytes.
    pub fn last(&self) -> Context {
        Context(Arc::from(self.text.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn context(name: &str, host: Host<'_>, tags: &[&str]) -> Context {
        Context::new(name.as_bytes(), host, tags.iter().map(|tag| tag.as_bytes()))
    }

    #[test]
    fn order_and_repetition_of_tags_do_not_matter() {
        let a = context("m", Host::Own, &["b:2", "a:1", "b:2"]);
        let b = context("m", Host::Own, &["a:1", "b:2"]);
        assert_eq!(a, b);
        assert_eq!(a.tags().collect::<Vec<_>>(), [&b"a:1"[..], b"b:2"]);
    }

    #[test]
    fn name_host_and_tags_cannot_run_into_one_another() {
        let all = [
            context("ab", Host::Own, &[]),
            context("a", Host::Named(b"b"), &[]),
            context("a", Host::Named(b""), &["b"]),
            context("a", Host::Own, &["b"]),
            context("a", Host::Own, &[""]),
            context("a", Host::Own, &[]),
        ];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(i == j, one == other, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn an_empty_tag_is_a_tag() {
        assert_eq!(
            context("a", Host::Own, &[""]).tags().collect::<Vec<_>>(),
            [b""]
        );
        assert_eq!(context("a", Host::Own, &[]).tags().count(), 0);
    }

    proptest! {
        #[test]
        fn parts_come_back(
            name in proptest::collection::vec(any::<u8>(), 0..20),
            host in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..8)),
            tags in proptest::collection::btree_set(
                proptest::collection::vec(any::<u8>().prop_filter("tag end", |b| *b != TAG_END), 0..6), 0..6),
        ) {
            let host = host.as_deref().map_or(Host::Own, Host::Named);
            let context = Context::new(&name, host, tags.iter().rev().map(Vec::as_slice));
            prop_assert_eq!(context.name(), &name[..]);
            prop_assert_eq!(context.host(), host);
            prop_assert!(context.tags().eq(tags.iter().map(Vec::as_slice)));
        }
    }
}
