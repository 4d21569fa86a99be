//! Putting contexts together, and finding out whether one is there already without making it.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

use triomphe::ThinArc;

use super::intern::{self, Interner};
use super::{Context, Head, Host, NO_LEN, NO_LONG_LEN, Tag};

/// Text up to which a context is short: every offset in it is one byte.
const SHORT_LEN_MAX: usize = u8::MAX as usize;
/// Tags up to which the order of a long context is remembered.
const ORDERED_TAGS_MAX: usize = u8::MAX as usize + 1;

/// Secret of the process: clients must not be able to choose contexts with one hash.
static SEED: LazyLock<foldhash::quality::RandomState> =
    LazyLock::new(foldhash::quality::RandomState::default);

/// Puts contexts together, keeping its scratch memory between uses, and the texts of tags that long
/// contexts share.
///
/// 1. push tags 2. [`seal`](Self::seal) 3. [`is`](Self::is) it there already? 4. else [`make`](Self::make)
///    it.
#[derive(Debug, Default)]
pub struct ContextBuilder {
    scratch: Vec<u8>,
    /// Where tags stand in `scratch`; sorted and unique once sealed.
    order: Vec<(u32, u32)>,
    name: Vec<u8>,
    host: Vec<u8>,
    is_own_host: bool,
    hash: u32,
    text: Vec<u8>,
    shared: Interner,
}

/// What a client literally sent, for a context to remember.
#[derive(Clone, Copy, Debug)]
pub struct Spelled<'a> {
    /// Name as sent. If the context has another one (a mapper or a namespace was at work), nothing is
    /// remembered.
    pub name: &'a [u8],
    /// Tag field as sent, with commas.
    pub tags: &'a [u8],
}

// === impl ContextBuilder ===

impl ContextBuilder {
    /// Steps in which a sweep of shared texts goes round.
    pub const SWEEP_STEPS: u32 = intern::SWEEP_STEPS as u32;

    /// Adds one tag. Repeats and order do not matter.
    pub fn push_tag(&mut self, tag: &[u8]) {
        let start = self.scratch.len();
        // No tag from a client holds a newline; from settings or a tagger it would break lines.
        self.scratch.extend(
            tag.iter()
                .map(|&byte| if byte == b'\n' { b' ' } else { byte }),
        );
        // A packet is at most 64 KiB and settings are bounded, so offsets fit.
        self.order.push((start as u32, self.scratch.len() as u32));
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

    /// Takes name and host to what was pushed. Keeps the tags, so that a second context can be made of
    /// them; [`clear`](Self::clear) drops them.
    pub fn seal(&mut self, name: &[u8], host: Host<'_>) {
        let Self { scratch, order, .. } = self;
        let tag = |&(start, end): &(u32, u32)| &scratch[start as usize..end as usize];
        order.sort_unstable_by(|a, b| tag(a).cmp(tag(b)));
        order.dedup_by(|a, b| tag(a) == tag(b));
        let mut hasher = SEED.build_hasher();
        name.hash(&mut hasher);
        host.hash(&mut hasher);
        for span in order.iter() {
            tag(span).hash(&mut hasher);
        }
        self.hash = (hasher.finish() >> 32) as u32;
        self.name.clear();
        self.name.extend_from_slice(name);
        self.host.clear();
        self.is_own_host = host == Host::Own;
        if let Host::Named(host) = host {
            self.host.extend_from_slice(host);
        }
    }

    /// Hash of what was sealed, as [`Context::hash32`] gives it.
    pub fn hash32(&self) -> u32 {
        self.hash
    }

    /// Whether what was sealed is this context.
    pub fn is(&self, context: &Context) -> bool {
        context.hash32() == self.hash
            && context.name() == self.name
            && context.host() == self.host()
            && context.tags().eq(self.tags())
    }

    /// The tags that were sealed, sorted and unique.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.order.iter().map(|&(start, end)| self.tag(start, end))
    }

    /// The context of what was sealed, which remembers how it was `spelled` where that can be done
    /// without a copy of the text.
    pub fn make(&mut self, spelled: Option<Spelled<'_>>) -> Context {
        let spelled = spelled.filter(|spelled| spelled.name == self.name);
        let raw = spelled.map(|spelled| spelled.tags);
        // A short context can have a long spelling, full of repeats; that one is then kept apart.
        self.make_short(raw)
            .or_else(|| {
                let is_repeating = raw.is_some_and(|raw| raw.len() > 2 * SHORT_LEN_MAX);
                is_repeating.then(|| self.make_short(None)).flatten()
            })
            .unwrap_or_else(|| self.make_long(raw))
    }

    /// The context of what was pushed. Leaves the builder empty.
    pub fn finish(&mut self, name: &[u8], host: Host<'_>) -> Context {
        self.seal(name, host);
        let context = self.make(None);
        self.clear();
        context
    }

    /// Bytes of the texts that long contexts share.
    pub fn shared_bytes(&self) -> usize {
        self.shared.bytes()
    }

    /// Lets go of a context that was made and is not wanted, and of the texts that only it holds: what
    /// is refused must leave nothing behind.
    pub fn discard(&mut self, context: Context) {
        if ThinArc::strong_count(&context.0) == 1
            && let Some(tags) = &context.head().long
        {
            for tag in &tags.slice {
                self.shared.release(tag);
            }
        }
    }

    /// One step of letting go of shared texts that no context holds any more;
    /// [`SWEEP_STEPS`](Self::SWEEP_STEPS) go round. Cost: a look at a quarter of them.
    pub fn sweep_step(&mut self) {
        if !self.shared.is_empty() {
            self.shared.sweep_step();
        }
    }

    /// Name, tags as they came, then those the client did not send, host, table.
    fn make_short(&mut self, raw: Option<&[u8]>) -> Option<Context> {
        let tag_count = u8::try_from(self.order.len()).ok()?;
        let spelled_len = match raw {
            Some(raw) => u8::try_from(raw.len()).ok().filter(|&len| len != NO_LEN)?,
            None => NO_LEN,
        };
        let host_len = match self.is_own_host {
            true => NO_LEN,
            false => u8::try_from(self.host.len())
                .ok()
                .filter(|&len| len != NO_LEN)?,
        };
        let name_len = u8::try_from(self.name.len()).ok()?;
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.extend_from_slice(&self.name);
        text.extend_from_slice(raw.unwrap_or_default());
        let sent = self.name.len()..text.len();
        let mut table = [(0u8, 0u8); SHORT_LEN_MAX];
        let mut fits = text.len() <= SHORT_LEN_MAX;
        for (&(start, end), place) in self.order.iter().zip(&mut table) {
            if !fits {
                break;
            }
            let tag = self.tag(start, end);
            let start = position(&text[sent.clone()], tag).map_or(text.len(), |at| sent.start + at);
            if start == text.len() {
                text.extend_from_slice(tag);
            }
            fits = text.len() <= SHORT_LEN_MAX;
            // Both fit if the text does.
            *place = (start as u8, tag.len() as u8);
        }
        text.extend_from_slice(&self.host);
        fits &= text.len() <= SHORT_LEN_MAX;
        for &(start, len) in &table[..usize::from(tag_count)] {
            text.extend_from_slice(&[start, len]);
        }
        let head = Head {
            hash: self.hash,
            name_len,
            host_len,
            spelled_len,
            tag_count,
            long: None,
        };
        let context = fits.then(|| Context(ThinArc::from_header_and_slice(head, &text)));
        self.text = text;
        context
    }

    /// Lengths, name, host, order; tags apart.
    fn make_long(&mut self, raw: Option<&[u8]>) -> Context {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.extend_from_slice(&(self.name.len() as u32).to_le_bytes());
        let host_len = match self.is_own_host {
            true => NO_LONG_LEN,
            false => self.host.len() as u32,
        };
        text.extend_from_slice(&host_len.to_le_bytes());
        text.extend_from_slice(&self.name);
        text.extend_from_slice(&self.host);
        let is_ordered = raw.is_some_and(|raw| self.push_order(raw, &mut text));
        let Self {
            scratch,
            order,
            shared,
            ..
        } = self;
        let tags: Vec<Tag> = order
            .iter()
            .map(|&(start, end)| shared.intern(&scratch[start as usize..end as usize]))
            .collect();
        let head = Head {
            hash: self.hash,
            name_len: 0,
            host_len: 0,
            spelled_len: if is_ordered { 0 } else { NO_LEN },
            tag_count: 0,
            long: Some(ThinArc::from_header_and_iter((), tags.into_iter())),
        };
        let context = Context(ThinArc::from_header_and_slice(head, &text));
        self.text = text;
        context
    }

    /// Adds the place of each tag as it came; nothing, when one of them is not among the context's.
    fn push_order(&self, raw: &[u8], text: &mut Vec<u8>) -> bool {
        let start = text.len();
        let sent = raw.split(|&byte| byte == b',').filter(|_| !raw.is_empty());
        for tag in sent {
            let place = self
                .order
                .binary_search_by(|&(start, end)| self.tag(start, end).cmp(tag));
            match place {
                Ok(place) if place < ORDERED_TAGS_MAX => text.push(place as u8),
                _ => {
                    text.truncate(start);
                    return false;
                }
            }
        }
        true
    }

    fn tag(&self, start: u32, end: u32) -> &[u8] {
        &self.scratch[start as usize..end as usize]
    }

    fn host(&self) -> Host<'_> {
        match self.is_own_host {
            true => Host::Own,
            false => Host::Named(&self.host),
        }
    }
}

/// Where `tag` stands among the `sent` ones, which commas part.
fn position(sent: &[u8], tag: &[u8]) -> Option<usize> {
    let mut at = 0;
    for piece in sent
        .split(|&byte| byte == b',')
        .filter(|_| !sent.is_empty())
    {
        if piece == tag {
            return Some(at);
        }
        at += piece.len() + 1;
    }
    None
}
