//! Seeded corpora. The same parameters give the same bytes on every machine.
//!
//! *lean*: 48-byte lines with 2 tags. *standard*: 94-byte lines with 4 to 6 tags. Both 60 % counters
//! (a tenth of them sampled at 0.5), 20 % gauges, 5 % each of timings, histograms, distributions and
//! sets. *long*: names up to 200 and 2 to 50 tags of up to 150 bytes, several values now and then:
//! about 2 KB a line.

use std::fmt::Write;

/// Which lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Short lines.
    Lean,
    /// Lines as most clients send them.
    Standard,
    /// Lines of 2 KB.
    Long,
}

/// Lines, one per context, without newline.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// One line per context.
    pub lines: Vec<String>,
}

/// A small generator of numbers (splitmix64), so that a seed says everything.
#[derive(Clone, Debug)]
pub struct Random(u64);

// === impl Shape ===

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 3] = [Self::Lean, Self::Standard, Self::Long];

    /// The word in bench names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lean => "lean",
            Self::Standard => "standard",
            Self::Long => "long",
        }
    }
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
    /// `contexts` different lines.
    pub fn new(shape: Shape, contexts: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let lines = (0..contexts)
            .map(|number| line(shape, number, &mut random))
            .collect();
        Self { lines }
    }

    /// Packets of at most `len_max` bytes with lines drawn evenly, at least `messages` of them.
    pub fn packets(&self, len_max: usize, messages: usize, seed: u64) -> Vec<Vec<u8>> {
        let mut random = Random::new(seed);
        let mut packets = Vec::new();
        let mut packet = Vec::with_capacity(len_max);
        for _ in 0..messages {
            let line = self.lines[random.below(self.lines.len())].as_bytes();
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

fn line(shape: Shape, number: usize, random: &mut Random) -> String {
    let (kind, rate) = match random.below(100) {
        0..6 => ("c", "|@0.5"),
        6..60 => ("c", ""),
        60..80 => ("g", ""),
        80..85 => ("ms", ""),
        85..90 => ("h", ""),
        90..95 => ("d", ""),
        _ => ("s", ""),
    };
    let value = match (kind, random.below(2)) {
        ("c", _) => (1 + random.below(9)).to_string(),
        ("s", _) => format!("u{}", random.below(1000)),
        (_, 0) => random.below(100_000).to_string(),
        _ => format!("{}.{}", random.below(1000), random.below(100)),
    };
    let mut line = String::new();
    let tags: Vec<String> = match shape {
        Shape::Lean => vec![
            format!("env:prod{}", number % 3),
            format!("instance:{number:07}"),
        ],
        Shape::Standard => {
            let mut tags = vec![
                "env:prod".to_owned(),
                format!("service:svc-{:02}", number % 40),
                format!("pod:{number:07}"),
                format!("zone:z{}", number % 3),
            ];
            tags.extend((0..random.below(3)).map(|n| format!("k{n}:v{}", random.below(10))));
            tags
        }
        Shape::Long => (0..2 + random.below(49))
            .map(|n| {
                let len = 3 + random.below(60);
                format!("t{n}:{number:07}{}", "x".repeat(len))
            })
            .collect(),
    };
    let name = match shape {
        Shape::Lean => format!("app.req.{:03}", number % 500),
        Shape::Standard => format!("application.request.handler.{:03}", number % 500),
        Shape::Long => format!("n{:06}.{}", number, "y".repeat(random.below(190))),
    };
    let written = write!(line, "{name}:{value}|{kind}{rate}|#{}", tags.join(","));
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_stated_lengths_and_all_parse() {
        for (shape, low, high) in [
            (Shape::Lean, 38, 52),
            (Shape::Standard, 84, 104),
            (Shape::Long, 900, 2400),
        ] {
            let corpus = Corpus::new(shape, 2000, 1);
            let bytes: usize = corpus.lines.iter().map(String::len).sum();
            let mean = bytes / corpus.lines.len();
            assert!((low..high).contains(&mean), "{shape:?}: {mean}");
            for line in &corpus.lines {
                let parsed =
                    greyhound_wire::parse(line.as_bytes(), greyhound_wire::Options::default());
                assert!(parsed.is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn a_seed_says_everything() {
        let packets = || Corpus::new(Shape::Standard, 100, 7).packets(1432, 500, 8);
        assert_eq!(packets(), packets());
        assert!(packets().iter().all(|packet| packet.len() <= 1432));
    }
}
