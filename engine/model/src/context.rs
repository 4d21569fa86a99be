//! A context: the name, host and set of tags that samples are added up under.
//!
//! Two contexts are the same if and only if name, host and set of tags are, whatever the order or
//! repetition of tags was on the wire. The text is kept once, in the order in which it first came, so
//! that the bytes of a client can be compared with it as they are ([`Context::is_spelled`]) and need no
//! copy of their own:
//!
//! ```text
//!  short  | count | len | hash, lengths | name | tag,tag,tag | host | (start, len) of each tag, sorted |
//!  long   | count | len | hash, lengths | name | host | place of each tag, as it came |
//!                              └──▶ tags, sorted ──▶ texts, shared by all contexts of a builder
//! ```
//!
//! Up to 255 bytes a context is *short*: one allocation, offsets of a byte. Beyond that it is mostly
//! tags, and most of them stand in other contexts too: they are [shared](intern).

mod build;
mod intern;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use triomphe::ThinArc;

pub use build::{ContextBuilder, Spelled};

/// Counts and lengths in front of the bytes of a shared slice.
const SLICE_HEAD_LEN: usize = 2 * size_of::<usize>();
/// The engine's own host, in `host_len` of a short context; also "nothing" in `spelled_len`.
const NO_LEN: u8 = u8::MAX;
/// The same in a long one.
const NO_LONG_LEN: u32 = u32::MAX;
/// Lengths of name and host, in front of the bytes of a long context.
const LONG_HEAD_LEN: usize = 8;

/// Name + host + set of tags. Cheap to clone, and to compare when it is the same one.
///
/// Cost: a pointer; a clone is one atomic add. Beside its text a short context takes 32 bytes and 2 for
/// each tag, a long one 64 bytes and 9 for each tag.
#[derive(Clone)]
pub struct Context(ThinArc<Head, u8>);

/// The host a context belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host<'a> {
    /// The engine's own host name.
    Own,
    /// Another one, named by the client; empty means the series goes out without host.
    Named(&'a [u8]),
}

/// Text of a tag that several contexts share.
type Tag = ThinArc<(), u8>;

struct Head {
    /// Of name, host and set of tags; seeded, so that clients cannot choose it.
    hash: u32,
    /// Short: of the name.
    name_len: u8,
    /// Short: of the host.
    host_len: u8,
    /// Short: of the tags that are the client's, as they came. Long: only whether it is [`NO_LEN`].
    spelled_len: u8,
    /// Short: how many.
    tag_count: u8,
    /// Long: sorted and unique.
    long: Option<ThinArc<(), Tag>>,
}

const _: () = assert!(size_of::<Context>() == 8 && size_of::<Head>() == 16);

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
    #[inline]
    pub fn name(&self) -> &[u8] {
        let head = self.head();
        match head.long {
            None => &self.bytes()[..usize::from(head.name_len)],
            Some(_) => &self.bytes()[LONG_HEAD_LEN..][..self.word(0) as usize],
        }
    }

    /// The host.
    pub fn host(&self) -> Host<'_> {
        let head = self.head();
        let bytes = self.bytes();
        if head.long.is_some() {
            return match self.word(4) {
                NO_LONG_LEN => Host::Own,
                len => Host::Named(&bytes[LONG_HEAD_LEN + self.word(0) as usize..][..len as usize]),
            };
        }
        match head.host_len {
            NO_LEN => Host::Own,
            len => {
                let end = bytes.len() - 2 * usize::from(head.tag_count);
                Host::Named(&bytes[end - usize::from(len)..end])
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
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (0..self.tag_count()).map(|index| self.tag(index))
    }

    /// How many tags.
    pub fn tag_count(&self) -> usize {
        match &self.head().long {
            None => usize::from(self.head().tag_count),
            Some(tags) => tags.slice.len(),
        }
    }

    /// Whether these are, byte for byte, the name and the tag field it was [made of](Spelled).
    ///
    /// Cost: a short context is two comparisons of bytes that lie side by side, a long one compares tag
    /// by tag.
    #[inline(always)]
    pub fn is_spelled(&self, name: &[u8], tags: &[u8]) -> bool {
        let head = self.head();
        if head.spelled_len == NO_LEN {
            return false;
        }
        if head.long.is_some() {
            return self.is_long_spelled(name, tags);
        }
        let name_len = usize::from(head.name_len);
        let end = name_len + usize::from(head.spelled_len);
        let bytes = &self.bytes()[..end];
        let (own_name, own_tags) = bytes.split_at(name_len);
        own_name == name && own_tags == tags
    }

    /// What [`is_spelled`](Self::is_spelled) reads of a short context; for whoever wants it in a cache.
    #[inline]
    pub fn memory(&self) -> &[u8] {
        self.bytes()
    }

    /// A hash of name, host and set of tags: equal contexts have equal ones, in this process.
    #[inline]
    pub fn hash32(&self) -> u32 {
        self.head().hash
    }

    /// Bytes on the heap that are its own: reference counts included, texts of shared tags not.
    pub fn heap_bytes(&self) -> usize {
        let long = match &self.head().long {
            None => 0,
            Some(tags) => SLICE_HEAD_LEN + size_of_val(&tags.slice),
        };
        SLICE_HEAD_LEN + size_of::<Head>() + self.bytes().len() + long
    }

    /// Apart, so that the short way stays short enough to be put in place.
    #[inline(never)]
    fn is_long_spelled(&self, name: &[u8], tags: &[u8]) -> bool {
        let Some(texts) = &self.head().long else {
            return false;
        };
        let texts = &texts.slice;
        if self.name() != name {
            return false;
        }
        let host_len = match self.host() {
            Host::Own => 0,
            Host::Named(host) => host.len(),
        };
        let order = &self.bytes()[LONG_HEAD_LEN + name.len() + host_len..];
        // The texts lie apart. Their lengths are asked for first, all at once, because these loads do not
        // wait for one another as the comparisons do, and bring the beginnings of the texts along.
        let text_of = |&index: &u8| &texts[usize::from(index)].slice;
        let len: usize = order.iter().map(|index| text_of(index).len()).sum();
        if tags.len() != len + order.len().saturating_sub(1) {
            return false;
        }
        let mut rest = tags;
        for (count, index) in order.iter().enumerate() {
            if count > 0 {
                let Some(behind) = rest.strip_prefix(b",") else {
                    return false;
                };
                rest = behind;
            }
            let Some(behind) = rest.strip_prefix(text_of(index)) else {
                return false;
            };
            rest = behind;
        }
        rest.is_empty()
    }

    fn tag(&self, index: usize) -> &[u8] {
        match &self.head().long {
            None => {
                let bytes = self.bytes();
                let table = &bytes[bytes.len() - 2 * usize::from(self.head().tag_count)..];
                let (start, len) = (table[2 * index], table[2 * index + 1]);
                &bytes[usize::from(start)..][..usize::from(len)]
            }
            Some(tags) => &tags.slice[index].slice,
        }
    }

    #[inline]
    fn head(&self) -> &Head {
        &self.0.header.header
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.0.slice
    }

    fn word(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.bytes()[at..at + 4]);
        u32::from_le_bytes(word)
    }
}

impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.head(), other.head())
            || (self.hash32() == other.hash32() && self.cmp(other) == Ordering::Equal)
    }
}

impl Eq for Context {}

/// By name, then host, then tags.
impl Ord for Context {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name()
            .cmp(other.name())
            .then_with(|| self.host().cmp(&other.host()))
            .then_with(|| self.tags().cmp(other.tags()))
    }
}

impl PartialOrd for Context {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Context {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.hash32());
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
                proptest::collection::vec(any::<u8>().prop_filter("line end", |b| *b != b'\n'), 0..40), 0..14),
        ) {
            let host = host.as_deref().map_or(Host::Own, Host::Named);
            let context = Context::new(&name, host, tags.iter().rev().map(Vec::as_slice));
            prop_assert_eq!(context.name(), &name[..]);
            prop_assert_eq!(context.host(), host);
            prop_assert!(context.tags().eq(tags.iter().map(Vec::as_slice)));
        }
    }
    proptest! {
        // Long and short ones, every order of tags, with and without tags the client did not send.
        #[test]
        fn what_it_was_made_of_is_its_spelling_and_nothing_else(
            tags in proptest::collection::vec("[a-c]{0,30}", 0..20),
            extra in proptest::collection::vec("[c-d]{0,3}", 0..3),
            other in "[a-c,]{0,40}",
        ) {
            let raw = tags.join(",");
            let mut builder = ContextBuilder::default();
            for tag in raw.split(',').filter(|_| !raw.is_empty()) {
                builder.push_tag(tag.as_bytes());
            }
            for tag in &extra {
                builder.push_tag(tag.as_bytes());
            }
            builder.seal(b"name", Host::Named(b"h"));
            let spelled = Spelled { name: b"name", tags: raw.as_bytes() };
            let made = builder.make(Some(spelled));
            prop_assert!(builder.is(&made));
            // A long spelling of a short context is not kept.
            let has_repeats = tags.iter().enumerate().any(|(at, tag)| tags[..at].contains(tag));
            prop_assert!(made.is_spelled(b"name", raw.as_bytes()) || has_repeats);
            prop_assert!(!made.is_spelled(b"nam", raw.as_bytes()));
            prop_assert!(!made.is_spelled(b"name", other.as_bytes()) || other == raw);
            let plain = builder.make(None);
            prop_assert!(!plain.is_spelled(b"name", raw.as_bytes()));
            prop_assert_eq!(&plain, &made);
            prop_assert_eq!(plain.hash32(), made.hash32());
            let all = extra.iter().map(String::as_str).chain(raw.split(',').filter(|_| !raw.is_empty()));
            let again = Context::new(b"name", Host::Named(b"h"), all.map(str::as_bytes));
            prop_assert_eq!(&again, &made);
            prop_assert!(again.tags().eq(made.tags()));
        }
    }

    #[test]
    fn another_name_is_no_spelling() {
        let mut builder = ContextBuilder::default();
        builder.push_tag(b"a");
        builder.seal(b"mapped", Host::Own);
        let made = builder.make(Some(Spelled {
            name: b"sent",
            tags: b"a",
        }));
        assert!(!made.is_spelled(b"sent", b"a") && !made.is_spelled(b"mapped", b"a"));
    }
}
