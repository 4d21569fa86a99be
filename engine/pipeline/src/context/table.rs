//! The two tables of a lane: what clients send, and what it means.
//!
//! ```text
//!  raw bytes ─hash─▶ index ─▶ Spelling { key, context, cell } ─▶ cell in the open bucket
//!                                 │ only once per bucket
//!                                 ▼
//!                              Slot { Context, last seen }
//! ```
//!
//! A spelling remembers the cell of its context in the open bucket, and the cell names its context,
//! so the memory is checked by one comparison and never has to be cleared when buckets change.

use std::collections::VecDeque;

use greyhound_model::context::{Context, ContextBuilder};
use greyhound_model::metric::MetricKind;
use greyhound_sys::prefetch;
use greyhound_wire::OriginFields;

use super::hash::Seed;
use super::index::Index;

/// A spelling that the name filter refuses.
pub const FILTERED: u32 = u32::MAX;
/// No entry.
pub const NONE: u32 = u32::MAX;

/// More spellings than this of one context push out the one made first.
const SPELLINGS_PER_CONTEXT_MAX: u8 = 8;
/// Refused spellings remembered.
const FILTERED_MAX: usize = 16_384;

/// A line of the cache. Two of a text are asked for ahead; the processor itself fetches what follows.
const LINE_LEN: usize = 64;

/// What a client literally sent, as far as it decides the context.
#[derive(Clone, Copy, Debug)]
pub struct RawKey<'a> {
    /// Kinds are apart, because some rules look at them.
    pub kind: MetricKind,
    /// Number of the sender's origin.
    pub origin: u32,
    /// Name as sent.
    pub name: &'a [u8],
    /// Tag field as sent.
    pub tags: &'a [u8],
    /// `c:`, `e:` and `card:` as sent.
    pub fields: &'a OriginFields<'a>,
}

/// One spelling.
#[derive(Debug)]
pub struct Spelling {
    key: Key,
    fragment: u32,
    origin: u32,
    /// Number of the context, or [`FILTERED`].
    pub context: u32,
    /// Where the context's cell may be in the open bucket.
    pub cell: u32,
    next: u32,
    kind: MetricKind,
}

/// What a spelling is compared with.
#[derive(Debug)]
enum Key {
    /// The context, which remembers how it was first spelled: the rule, and no copy of the text.
    Context(Context),
    /// A text of its own: a second spelling, one that means something else than it says (mapper,
    /// namespace, filter), or one with origin fields.
    Text(Box<KeyText>),
}

#[derive(Debug, Default)]
struct KeyText {
    /// Name, tags, then origin fields with pipes between, when there are any.
    bytes: Box<[u8]>,
    name_len: u32,
    has_fields: bool,
}

const _: () = assert!(size_of::<Spelling>() == 40 && size_of::<Slot>() == 40);

/// One context of this lane.
#[derive(Debug)]
pub struct Slot {
    /// Name, host and tags; `None` while the number is free.
    pub context: Option<Context>,
    /// Second after which nothing was seen yet; at most one bucket too late.
    pub last_seen: u32,
    /// Where its cell may be in the open bucket.
    pub cell: u32,
    /// Where its sketch may be in the open bucket.
    pub sketch: u32,
    /// The context its copy as a distribution goes to.
    pub copy: u32,
    /// Number of its origin.
    pub origin: u32,
    spelling_head: u32,
    spelling_count: u8,
    /// It was a counter lately, and lives longer.
    pub is_counter: bool,
}

/// Both tables.
#[derive(Debug)]
pub struct ContextTable {
    seed: Seed,
    spelling_index: Index,
    spellings: Vec<Spelling>,
    free_spellings: Vec<u32>,
    filtered: VecDeque<u32>,
    context_index: Index,
    slots: Vec<Slot>,
    free_slots: Vec<u32>,
    /// Contexts made since the last hand-over.
    created: Vec<(u32, Context)>,
    /// Bytes of all spellings, as charged to the memory limit.
    spelling_bytes: u64,
}

// === impl ContextTable ===

impl ContextTable {
    /// Empty tables.
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            spelling_index: Index::default(),
            spellings: Vec::new(),
            free_spellings: Vec::new(),
            filtered: VecDeque::new(),
            context_index: Index::default(),
            slots: Vec::new(),
            free_slots: Vec::new(),
            created: Vec::new(),
            spelling_bytes: 0,
        }
    }

    /// Spellings known.
    pub fn spelling_count(&self) -> usize {
        self.spelling_index.len()
    }

    /// Contexts known.
    pub fn context_count(&self) -> usize {
        self.context_index.len()
    }

    /// Hash of a raw key. One pass over its bytes.
    #[inline]
    pub fn hash(&self, key: &RawKey<'_>) -> u64 {
        let seed = self.seed;
        let mut hash = seed.start(u64::from(key.origin) << 8 | key.kind as u64);
        hash = seed.write(hash, key.name);
        hash = seed.write(hash, key.tags);
        if key.has_fields() {
            for field in key.parts() {
                hash = seed.write(hash, field);
            }
        }
        hash
    }

    /// The spelling of a raw key. The whole key is compared: a hash alone can merge two contexts.
    #[inline]
    pub fn find(&self, hash: u64, key: &RawKey<'_>) -> Option<u32> {
        let spellings = &self.spellings;
        self.spelling_index
            .find(hash, |entry| spellings[entry as usize].is(key))
    }

    /// Whether an entry is the spelling of this key, as [`find`](Self::find) compares it. Free entries are none.
    #[inline]
    pub fn is_spelling(&self, entry: u32, key: &RawKey<'_>) -> bool {
        let spelling = self.spellings.get(entry as usize);
        spelling.is_some_and(|spelling| spelling.is(key))
    }

    /// First step of looking ahead: asks for the place of a spelling in the index.
    #[inline]
    pub fn prefetch_place(&self, hash: u64) {
        self.spelling_index.prefetch(hash);
    }

    /// Second step: asks for the spelling that is most likely meant, and names it.
    #[inline]
    pub fn prefetch_spelling(&self, hash: u64) -> Option<u32> {
        let entry = self.spelling_index.candidate(hash)?;
        let spelling = &self.spellings[entry as usize];
        // It may lie across two lines; key and cell are at its ends.
        prefetch::read(&spelling.key);
        prefetch::read(&spelling.cell);
        Some(entry)
    }

    /// Third step: asks for the text to compare with, and says where the cell may be.
    #[inline]
    pub fn prefetch_key(&self, entry: u32) -> u32 {
        let spelling = &self.spellings[entry as usize];
        match &spelling.key {
            Key::Context(context) => {
                let text = context.memory();
                if let Some(first) = text.first() {
                    prefetch::read(first);
                }
                if let Some(second) = text.get(LINE_LEN) {
                    prefetch::read(second);
                }
            }
            // Rare, and its text is one step further away.
            Key::Text(text) => prefetch::read(&**text),
        }
        spelling.cell
    }

    /// A spelling by its number.
    #[inline]
    pub fn spelling(&mut self, spelling: u32) -> &mut Spelling {
        &mut self.spellings[spelling as usize]
    }

    /// A context's slot by its number.
    #[inline]
    pub fn slot(&mut self, context: u32) -> &mut Slot {
        &mut self.slots[context as usize]
    }

    /// A context by its number.
    pub fn context(&self, context: u32) -> Option<&Context> {
        self.slots
            .get(context as usize)
            .and_then(|slot| slot.context.as_ref())
    }

    /// The number of the context that the builder has sealed.
    pub fn find_context(&self, sealed: &ContextBuilder) -> Option<u32> {
        let hash = u64::from(sealed.hash32()) << 32;
        self.context_index.find(hash, |entry| {
            self.context(entry)
                .is_some_and(|context| sealed.is(context))
        })
    }

    /// Bytes a context costs, without its spellings and the texts it shares.
    pub fn context_bytes(context: &Context) -> u64 {
        // Two index slots at three quarters full at worst, half on average.
        (context.heap_bytes() + size_of::<Slot>() + 28) as u64
    }

    /// Most bytes that a spelling with this key can cost.
    pub fn spelling_bytes_max(key: &RawKey<'_>) -> u64 {
        (size_of::<Spelling>() + size_of::<KeyText>() + key.len_bytes()) as u64
    }

    /// Bytes of all spellings.
    pub fn all_spelling_bytes(&self) -> u64 {
        self.spelling_bytes
    }

    /// Adds a context that is not there yet.
    pub fn add_context(&mut self, context: Context, origin: u32, last_seen: u32) -> u32 {
        let hash = u64::from(context.hash32()) << 32;
        let slot = Slot {
            context: Some(context.clone()),
            last_seen,
            cell: NONE,
            sketch: NONE,
            copy: NONE,
            origin,
            spelling_head: NONE,
            spelling_count: 0,
            is_counter: false,
        };
        let number = match self.free_slots.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.context_index.insert(hash, number);
        self.created.push((number, context));
        number
    }

    /// Remembers that this spelling means this context, which may push out another one of it. What
    /// that changes is seen in [`all_spelling_bytes`](Self::all_spelling_bytes).
    pub fn add_spelling(&mut self, hash: u64, key: &RawKey<'_>, context: u32) -> u32 {
        let entry = self.new_spelling(hash, key, context);
        let slot = &mut self.slots[context as usize];
        self.spellings[entry as usize].next = slot.spelling_head;
        slot.spelling_head = entry;
        slot.spelling_count += 1;
        if slot.spelling_count > SPELLINGS_PER_CONTEXT_MAX {
            self.drop_oldest_spelling(context);
        }
        entry
    }

    /// Remembers that the name filter refuses this spelling.
    pub fn add_filtered(&mut self, hash: u64, key: &RawKey<'_>) -> u32 {
        if self.filtered.len() >= FILTERED_MAX
            && let Some(oldest) = self.filtered.pop_front()
        {
            self.free_spelling(oldest);
        }
        let entry = self.new_spelling(hash, key, FILTERED);
        self.filtered.push_back(entry);
        entry
    }

    /// Forgets one spelling of a context, to make room for another. Says whether there was one.
    pub fn drop_spelling(&mut self, context: u32) -> bool {
        let slot = &mut self.slots[context as usize];
        let newest = slot.spelling_head;
        if newest == NONE {
            return false;
        }
        slot.spelling_head = self.spellings[newest as usize].next;
        slot.spelling_count -= 1;
        self.free_spelling(newest);
        true
    }

    /// Forgets all spellings: what they mean has changed. Contexts stay.
    pub fn forget_spellings(&mut self) {
        self.spelling_bytes = 0;
        self.spelling_index = Index::default();
        self.spellings = Vec::new();
        self.free_spellings = Vec::new();
        self.filtered = VecDeque::new();
        for slot in &mut self.slots {
            slot.spelling_head = NONE;
            slot.spelling_count = 0;
            slot.copy = NONE;
        }
    }

    /// Contexts made since the last call.
    pub fn take_created(&mut self) -> Vec<(u32, Context)> {
        std::mem::take(&mut self.created)
    }

    /// Forgets every context for which `is_over` says so, and lists their numbers and origins.
    /// Numbers are given out again at once. Cost: one pass over the slots.
    pub fn expire(&mut self, mut is_over: impl FnMut(u32, &Slot) -> bool) -> Vec<(u32, u32, u64)> {
        let mut gone = Vec::new();
        for number in 0..self.slots.len() as u32 {
            let slot = &self.slots[number as usize];
            let Some(context) = &slot.context else {
                continue;
            };
            if !is_over(number, slot) {
                continue;
            }
            let hash = u64::from(context.hash32()) << 32;
            let bytes = Self::context_bytes(context);
            gone.push((number, slot.origin, bytes));
            let mut spelling = slot.spelling_head;
            while spelling != NONE {
                let next = self.spellings[spelling as usize].next;
                self.free_spelling(spelling);
                spelling = next;
            }
            self.context_index.remove(hash, number);
            self.slots[number as usize].context = None;
            self.free_slots.push(number);
        }
        if !gone.is_empty() {
            // A copy that is gone must be looked up again.
            for slot in &mut self.slots {
                slot.copy = NONE;
            }
        }
        gone
    }

    fn new_spelling(&mut self, hash: u64, key: &RawKey<'_>, context: u32) -> u32 {
        let key_of_context = self
            .context(context)
            .filter(|context| !key.has_fields() && context.is_spelled(key.name, key.tags));
        let spelling = Spelling {
            key: match key_of_context {
                Some(context) => Key::Context(context.clone()),
                None => Key::Text(Box::new(key.to_text())),
            },
            fragment: (hash >> 32) as u32,
            origin: key.origin,
            context,
            cell: NONE,
            next: NONE,
            kind: key.kind,
        };
        self.spelling_bytes += spelling.bytes();
        let entry = match self.free_spellings.pop() {
            Some(entry) => {
                self.spellings[entry as usize] = spelling;
                entry
            }
            None => {
                self.spellings.push(spelling);
                (self.spellings.len() - 1) as u32
            }
        };
        self.spelling_index.insert(hash, entry);
        entry
    }

    fn free_spelling(&mut self, entry: u32) {
        let spelling = &mut self.spellings[entry as usize];
        self.spelling_bytes -= spelling.bytes();
        spelling.key = Key::default();
        let hash = u64::from(spelling.fragment) << 32;
        self.spelling_index.remove(hash, entry);
        self.free_spellings.push(entry);
    }

    /// The list of a context's spellings is newest first, and short.
    fn drop_oldest_spelling(&mut self, context: u32) {
        let mut before = self.slots[context as usize].spelling_head;
        loop {
            let last = self.spellings[before as usize].next;
            if last == NONE {
                return;
            }
            if self.spellings[last as usize].next == NONE {
                self.spellings[before as usize].next = NONE;
                self.free_spelling(last);
                self.slots[context as usize].spelling_count -= 1;
                return;
            }
            before = last;
        }
    }
}

// === impl Spelling ===

impl Spelling {
    #[inline(always)]
    fn is(&self, key: &RawKey<'_>) -> bool {
        if self.origin != key.origin || self.kind != key.kind {
            return false;
        }
        match &self.key {
            Key::Context(context) => !key.has_fields() && context.is_spelled(key.name, key.tags),
            Key::Text(text) => text.is(key),
        }
    }

    /// Bytes it costs beside its context.
    fn bytes(&self) -> u64 {
        let text = match &self.key {
            Key::Context(_) => 0,
            Key::Text(text) => size_of::<KeyText>() + text.bytes.len(),
        };
        (size_of::<Self>() + text) as u64
    }
}

// === impl Key ===

impl Default for Key {
    /// Of an entry that is free.
    fn default() -> Self {
        Self::Text(Box::default())
    }
}

// === impl KeyText ===

impl KeyText {
    #[inline]
    fn is(&self, key: &RawKey<'_>) -> bool {
        if self.name_len as usize != key.name.len() || self.has_fields != key.has_fields() {
            return false;
        }
        let Some((name, rest)) = self.bytes.split_at_checked(key.name.len()) else {
            return false;
        };
        if self.has_fields {
            return name == key.name && rest_is(rest, key);
        }
        name == key.name && rest == key.tags
    }
}

/// Whether `rest` is tags and fields of `key` with pipes between.
fn rest_is(rest: &[u8], key: &RawKey<'_>) -> bool {
    let mut parts = rest.splitn(4, |&byte| byte == b'|');
    parts.next() == Some(key.tags)
        && key
            .parts()
            .into_iter()
            .all(|field| parts.next() == Some(field))
}

// === impl RawKey ===

impl RawKey<'_> {
    #[inline]
    fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    fn parts(&self) -> [&[u8]; 3] {
        [
            self.fields.local_data,
            self.fields.external_data,
            self.fields.cardinality,
        ]
    }

    /// Bytes the key takes.
    pub fn len_bytes(&self) -> usize {
        let fields: usize = self.parts().iter().map(|field| field.len() + 1).sum();
        self.name.len() + self.tags.len() + if self.has_fields() { fields } else { 0 }
    }

    /// No field can hold a pipe, so pipes keep them apart.
    fn to_text(self) -> KeyText {
        let mut bytes = Vec::with_capacity(self.len_bytes());
        bytes.extend_from_slice(self.name);
        bytes.extend_from_slice(self.tags);
        if self.has_fields() {
            for field in self.parts() {
                bytes.push(b'|');
                bytes.extend_from_slice(field);
            }
        }
        KeyText {
            bytes: bytes.into_boxed_slice(),
            name_len: self.name.len() as u32,
            has_fields: self.has_fields(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_model::context::Host;

    const NO_FIELDS: OriginFields<'static> = OriginFields {
        local_data: b"",
        external_data: b"",
        cardinality: b"",
    };

    fn key<'a>(name: &'a str, tags: &'a str) -> RawKey<'a> {
        RawKey {
            kind: MetricKind::Counter,
            origin: 0,
            name: name.as_bytes(),
            tags: tags.as_bytes(),
            fields: &NO_FIELDS,
        }
    }

    fn table() -> ContextTable {
        ContextTable::new(Seed::fixed(3, 5))
    }

    fn add(table: &mut ContextTable, key: &RawKey<'_>, context: u32) -> u32 {
        let hash = table.hash(key);
        table.add_spelling(hash, key, context)
    }

    fn find(table: &ContextTable, key: &RawKey<'_>) -> Option<u32> {
        table.find(table.hash(key), key)
    }

    #[test]
    fn everything_that_decides_a_context_tells_spellings_apart() {
        let mut table = table();
        let context = table.add_context(Context::new(b"m", Host::Own, []), 0, 0);
        let base = key("ab", "c:d");
        add(&mut table, &base, context);
        assert!(find(&table, &base).is_some());
        let others = [
            key("a", "bc:d"),
            key("abc", ":d"),
            RawKey {
                kind: MetricKind::Gauge,
                ..base
            },
            RawKey { origin: 1, ..base },
            RawKey {
                fields: &OriginFields {
                    local_data: b"x",
                    ..NO_FIELDS
                },
                ..base
            },
            RawKey {
                fields: &OriginFields {
                    external_data: b"x",
                    ..NO_FIELDS
                },
                ..base
            },
        ];
        for other in &others {
            assert_eq!(find(&table, other), None, "{other:?}");
            add(&mut table, other, context);
            assert!(find(&table, other).is_some(), "{other:?}");
        }
    }

    #[test]
    fn a_client_that_shuffles_its_tags_cannot_fill_the_table() {
        let mut table = table();
        let context = table.add_context(Context::new(b"m", Host::Own, []), 0, 0);
        for n in 0..1000 {
            let tags = format!("t{n}");
            let entry = add(&mut table, &key("m", &tags), context);
            assert_eq!(find(&table, &key("m", &tags)), Some(entry));
        }
        assert_eq!(
            table.spelling_count(),
            usize::from(SPELLINGS_PER_CONTEXT_MAX)
        );
    }

    #[test]
    fn refused_spellings_are_bounded() {
        let mut table = table();
        for n in 0..FILTERED_MAX + 100 {
            let name = format!("n{n}");
            let key = key(&name, "");
            table.add_filtered(table.hash(&key), &key);
        }
        assert_eq!(table.spelling_count(), FILTERED_MAX);
        assert_eq!(find(&table, &key("n0", "")), None);
    }

    #[test]
    fn an_expired_context_takes_its_spellings_along_and_its_number_is_reused() {
        let mut table = table();
        let context = Context::new(b"m", Host::Own, []);
        let number = table.add_context(context.clone(), 7, 100);
        add(&mut table, &key("m", ""), number);
        assert_eq!(table.take_created(), [(number, context.clone())]);
        let gone = table.expire(|_, slot| slot.last_seen < 101);
        assert_eq!((gone.len(), gone[0].0, gone[0].1), (1, number, 7));
        assert_eq!(find(&table, &key("m", "")), None);
        let mut builder = ContextBuilder::default();
        builder.seal(b"m", Host::Own);
        assert_eq!(table.find_context(&builder), None);
        assert_eq!(table.add_context(context, 7, 200), number);
        assert_eq!(table.find_context(&builder), Some(number));
    }
}
