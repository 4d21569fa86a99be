//! Seeded corpora for measuring: the same recipe gives the same bytes on every machine.
//!
//! ```text
//!  Recipe ──▶ Corpus: one line per context ──▶ Draws: which line comes next, evenly or skewed
//!                                         └──▶ packets of a given length
//! ```
//!
//! | shape | lines |
//! |---|---|
//! | *lean* | about 47 bytes, 2 tags |
//! | *standard* | about 93 bytes, 4 to 6 tags |
//! | *long* | 1 to 2 KB, names up to 200 bytes, 2 to 50 tags |
//!
//! All: 60 % counters (a tenth of them sampled at 0.5), 20 % gauges, 5 % each of timings, histograms,
//! distributions and sets, unless the recipe says otherwise. Not for the data path: lines are
//! allocated one by one. Nothing can be lost here.

mod line;
mod recipe;

use std::ops::Range;

pub use recipe::{Kind, Kinds, KindsError, Popularity, Recipe, Shape, Span, SpanError};

/// Lines, one per context, without newline.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// One line per context.
    pub lines: Vec<String>,
}

/// A small generator of numbers (splitmix64), so that a seed says everything.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// Numbers of lines in the order they are to be sent, without end.
#[derive(Clone, Debug)]
pub struct Draws {
    window: Range<usize>,
    popularity: Popularity,
    random: Random,
}

// === impl Random ===

impl Random {
    /// A generator that starts here.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }
}

// === impl Corpus ===

impl Corpus {
    /// `contexts` different lines of a shape.
    pub fn new(shape: Shape, contexts: usize, seed: u64) -> Self {
        Self::of(&Recipe::new(shape, contexts, seed))
    }

    /// The lines a recipe describes.
    pub fn of(recipe: &Recipe) -> Self {
        let mut random = Random::new(recipe.seed);
        let mut pool = Vec::new();
        let lines = (0..recipe.contexts)
            .map(|number| line::line(recipe, number, &mut random, &mut pool))
            .collect();
        Self { lines }
    }

    /// Packets of at most `len_max` bytes with lines drawn evenly, at least `messages` of them.
    pub fn packets(&self, len_max: usize, messages: usize, seed: u64) -> Vec<Vec<u8>> {
        let draws = Draws::new(0..self.lines.len(), Popularity::Uniform, seed);
        let mut packets = Vec::new();
        let mut packet = Vec::with_capacity(len_max);
        for index in draws.take(messages) {
            let line = self.lines[index].as_bytes();
            if !packet.is_empty() && packet.len() + 1 + line.len() > len_max {
                packets.push(std::mem::take(&mut packet));
            }
            if !packet.is_empty() {
                packet.push(b'\n');
            }
            packet.extend_from_slice(line);
        }
        packets.push(packet);
        packets
    }
}

// === impl Draws ===

impl Draws {
    /// Draws from the lines in `window`; nothing comes of an empty one.
    pub fn new(window: Range<usize>, popularity: Popularity, seed: u64) -> Self {
        Self {
            window,
            popularity,
            random: Random::new(seed),
        }
    }
}

impl Iterator for Draws {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let len = self.window.len();
        if len == 0 {
            return None;
        }
        let offset = match self.popularity {
            Popularity::Uniform => self.random.below(len),
            // A power of two, then anything up to its double: whole numbers only, so that no
            // machine's logarithm has a say.
            Popularity::Skewed => {
                let levels = usize::BITS - len.leading_zeros();
                let first = 1usize << self.random.below(levels as usize);
                let rank = first + self.random.below(first.min(len + 1 - first));
                rank - 1
            }
        };
        Some(self.window.start + offset)
    }
}

#[cfg(test)]
mod tests;
