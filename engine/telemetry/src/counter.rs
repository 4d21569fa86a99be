//! Counting without sharing: the hot path adds to plain integers, readers see published totals.
//!
//! The [`counters!`](crate::counters) macro makes a pair of types from one list of fields:
//!
//! 1. a *tally* of plain `u64` fields, owned by one thread and added to freely;
//! 2. *cells* the owner stores its running totals into, once per batch, and anyone may read.
//!
//! Totals are published whole: a reader gets all fields as they stood at one moment, so sums that
//! must agree (`received = aggregated + rejected + dropped`) agree in every read. What was counted
//! since the last store is not visible yet; nothing is ever lost.
//!
//! The cells are a sequence lock over atomics. The writer makes the sequence odd, stores, makes it
//! even; a reader that saw an odd or a changed number reads again. No `unsafe`: a torn read is a
//! read of valid atomics that is thrown away.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

use crossbeam_utils::CachePadded;

/// Tries of one consistent read before a torn one is accepted. A store is some tens of stores, so
/// even a writer that never rests leaves gaps long before this many.
const READ_TRIES: usize = 1024;

/// A total that cold paths add to from any thread.
///
/// Cost: one relaxed atomic add, 5-6 ns uncontended. Hot paths use [`counters!`](crate::counters).
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A level that cold paths set or move from any thread.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// `N` totals of one writer, on cache lines of their own. Made by [`counters!`](crate::counters).
pub struct Cells<const N: usize>(CachePadded<Inner<N>>);

struct Inner<const N: usize> {
    /// Odd while a store is under way.
    sequence: AtomicU64,
    values: [AtomicU64; N],
}

/// Makes a tally (plain fields, one owner) and its cells (published totals, any reader).
///
/// ```
/// greyhound_telemetry::counters! {
///     /// What one listener saw.
///     pub struct Tally / TallyCells {
///         /// Datagrams read.
///         datagrams_read,
///         /// Bytes in them.
///         bytes_read,
///     }
/// }
///
/// let cells = TallyCells::default();
/// let mut tally = Tally::default();
/// tally.datagrams_read += 1; // per message: a plain add
/// cells.store(&tally); //       per batch: publish the running totals
/// assert_eq!(cells.load().datagrams_read, 1);
/// assert_eq!(Tally::FIELDS[0], ("datagrams_read", "Datagrams read."));
/// ```
#[macro_export]
macro_rules! counters {
    (
        $(#[$meta:meta])*
        $vis:vis struct $tally:ident / $cells:ident {
            $( $(#[doc = $help:literal])+ $field:ident ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis struct $tally {
            $( $(#[doc = $help])+ $vis $field: u64, )+
        }

        #[doc = concat!("Published totals of one [`", stringify!($tally), "`]: one writer, any number of readers.")]
        #[derive(Debug, Default)]
        $vis struct $cells($crate::Cells<{ $tally::FIELDS.len() }>);

        #[allow(dead_code, reason = "a list of counters need not use every helper")]
        impl $tally {
            /// Name and help text of each field, in the order they are declared.
            $vis const FIELDS: &'static [(&'static str, &'static str)] = &[
                $( (stringify!($field), concat!($($help),+).trim_ascii()), )+
            ];

            /// The fields in the order of `FIELDS`.
            $vis fn values(&self) -> [u64; Self::FIELDS.len()] {
                [$( self.$field ),+]
            }

            /// The reverse of `values`.
            $vis fn from_values(values: [u64; Self::FIELDS.len()]) -> Self {
                let [$( $field ),+] = values;
                Self { $( $field ),+ }
            }

            /// Adds each field of `other`; stops at `u64::MAX`.
            $vis fn add(&mut self, other: &Self) {
                $( self.$field = self.$field.saturating_add(other.$field); )+
            }
        }

        #[allow(dead_code, reason = "a list of counters need not use every helper")]
        impl $cells {
            /// Publishes running totals. Only one thread may store into one value.
            $vis fn store(&self, tally: &$tally) {
                self.0.store(&tally.values());
            }

            /// The totals of the last store, all of one moment.
            $vis fn load(&self) -> $tally {
                $tally::from_values(self.0.load())
            }
        }
    };
}

// === impl Counter ===

impl Counter {
    /// Starts at 0.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The total so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Gauge ===

impl Gauge {
    /// Starts at 0.
    pub const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// Sets the level.
    pub fn set(&self, level: i64) {
        self.0.store(level, Ordering::Relaxed);
    }

    /// Moves the level up, or down by a negative number.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    /// The level.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Cells ===

impl<const N: usize> Cells<N> {
    /// Publishes all values at once. Only one thread may store; a second one would not be unsafe,
    /// but readers could then see a mixture of both.
    ///
    /// Cost: `N` + 3 plain stores; never waits.
    pub fn store(&self, values: &[u64; N]) {
        let inner = &*self.0;
        let before = inner.sequence.load(Ordering::Relaxed);
        inner
            .sequence
            .store(before.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the acquire fence in `try_load`: a reader that sees any value below also sees
        // the odd number above.
        fence(Ordering::Release);
        for (cell, value) in inner.values.iter().zip(values) {
            cell.store(*value, Ordering::Relaxed);
        }
        inner
            .sequence
            .store(before.wrapping_add(2), Ordering::Release);
    }

    /// The values of the last store. Should the writer never rest, the last try is returned even
    /// if it mixes two stores: each value by itself is still one that was published.
    pub fn load(&self) -> [u64; N] {
        for _ in 0..READ_TRIES {
            if let Some(values) = self.try_load() {
                return values;
            }
            std::hint::spin_loop();
        }
        self.read()
    }

    /// One try; `None` when a store was under way.
    pub fn try_load(&self) -> Option<[u64; N]> {
        let before = self.0.sequence.load(Ordering::Acquire);
        let values = self.read();
        fence(Ordering::Acquire);
        let after = self.0.sequence.load(Ordering::Relaxed);
        (before == after && before.is_multiple_of(2)).then_some(values)
    }

    fn read(&self) -> [u64; N] {
        std::array::from_fn(|index| self.0.values[index].load(Ordering::Relaxed))
    }
}

impl<const N: usize> Default for Cells<N> {
    fn default() -> Self {
        Self(CachePadded::new(Inner {
            sequence: AtomicU64::new(0),
            values: std::array::from_fn(|_| AtomicU64::new(0)),
        }))
    }
}

impl<const N: usize> fmt::Debug for Cells<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cells").field(&self.load()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    counters! {
        /// For these tests.
        struct Tally / TallyCells {
            /// Datagrams
            /// read.
            datagrams,
            /// Bytes in them.
            bytes,
        }
    }

    #[test]
    fn help_texts_come_from_the_doc_comments() {
        assert_eq!(
            Tally::FIELDS,
            [
                ("datagrams", "Datagrams read."),
                ("bytes", "Bytes in them.")
            ]
        );
    }

    #[test]
    fn what_is_stored_is_loaded() {
        let cells = TallyCells::default();
        let mut tally = Tally {
            datagrams: 3,
            bytes: 90,
        };
        cells.store(&tally);
        assert_eq!(cells.load(), tally);
        tally.add(&Tally {
            datagrams: 1,
            bytes: u64::MAX,
        });
        cells.store(&tally);
        assert_eq!(cells.load().values(), [4, u64::MAX]);
    }

    #[test]
    fn a_read_never_mixes_two_stores() {
        let cells = Cells::<8>::default();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut n = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    cells.store(&[n; 8]);
                }
            });
            let mut whole = 0;
            let mut last = 0;
            while whole < 20_000 {
                if let Some(values) = cells.try_load() {
                    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
                    assert!(values[0] >= last, "totals went back");
                    last = values[0];
                    whole += 1;
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_store_under_way_is_not_read() {
        let cells = Cells::<1>::default();
        cells.0.sequence.store(1, Ordering::Relaxed);
        assert_eq!(cells.try_load(), None);
        assert_eq!(cells.load(), [0], "the torn read is the last resort");
    }

    #[test]
    fn counters_grow_and_gauges_move() {
        let counter = Counter::new();
        counter.add(2);
        counter.add(3);
        assert_eq!(counter.get(), 5);
        let gauge = Gauge::new();
        gauge.set(7);
        gauge.add(-9);
        assert_eq!(gauge.get(), -2);
    }

    #[test]
    fn cells_of_two_writers_share_no_cache_line() {
        assert!(align_of::<Cells<1>>() >= 64);
    }
}
