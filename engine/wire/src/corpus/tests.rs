//! The figures of every bench rest on these bytes.

use std::collections::HashSet;

use super::*;
use crate::{Message, Options, parse};

fn parsed(line: &str) -> Message<'_> {
    parse(line.as_bytes(), Options::default()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

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
            parsed(line);
        }
    }
}

#[test]
fn a_seed_says_everything() {
    let packets = || Corpus::new(Shape::Standard, 100, 7).packets(1432, 500, 8);
    assert_eq!(packets(), packets());
    assert!(packets().iter().all(|packet| packet.len() <= 1432));
    assert_ne!(
        packets(),
        Corpus::new(Shape::Standard, 100, 7).packets(1432, 500, 9)
    );
}

#[test]
fn the_bytes_of_a_seed_stay_what_they_were() {
    let fnv = |packets: Vec<Vec<u8>>| {
        packets
            .concat()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
    };
    for (shape, hash) in [
        (Shape::Lean, 0x7b46_3d97_6236_3ae8),
        (Shape::Standard, 0x8fcb_8150_c388_46ed),
        (Shape::Long, 0x08f2_fd46_fbee_b2f8),
    ] {
        let corpus = Corpus::new(shape, 2000, 42);
        assert_eq!(fnv(corpus.packets(1432, 5000, 2)), hash, "{shape:?}");
    }
}

#[test]
fn a_mix_is_kept_and_a_tenth_of_counters_is_sampled() {
    let mut recipe = Recipe::new(Shape::Standard, 10_000, 3);
    recipe.kinds = "c=50,e=25,sc=25".parse().unwrap();
    let corpus = Corpus::of(&recipe);
    let mut counts = [0; 4];
    for line in &corpus.lines {
        match parsed(line) {
            Message::Metric(metric) => counts[usize::from(metric.sample_rate < 1.0)] += 1,
            Message::Event(_) => counts[2] += 1,
            Message::ServiceCheck(_) => counts[3] += 1,
        }
    }
    for (count, wanted) in counts.into_iter().zip([4500, 500, 2500, 2500]) {
        assert!(
            (wanted * 8 / 10..wanted * 12 / 10).contains(&count),
            "{counts:?}"
        );
    }
}

#[test]
fn asked_lengths_are_kept_and_contexts_stay_apart() {
    let cases = [
        ("2..5", "20..30", "10"),
        ("0", "4", "12"),
        ("0..1", "11", "8..9"),
        ("3", "5", "60..200"),
        ("2", "3", "1"),
    ];
    for (tags, tag_len, name_len) in cases {
        let mut recipe = Recipe::new(Shape::Standard, 3000, 5);
        recipe.kinds = "g=1".parse().unwrap();
        recipe.tags = Some(tags.parse().unwrap());
        recipe.tag_len = Some(tag_len.parse().unwrap());
        recipe.name_len = Some(name_len.parse().unwrap());
        let corpus = Corpus::of(&recipe);
        let mut contexts = HashSet::new();
        for line in &corpus.lines {
            let Message::Metric(metric) = parsed(line) else {
                panic!("{line} is no metric");
            };
            let span = recipe.tags.expect("set above");
            let count = metric.tags.iter().count();
            assert!((span.min..=span.max).contains(&count), "{line}");
            assert!(contexts.insert((metric.name, metric.tags.raw())), "{line}");
        }
    }
}

#[test]
fn few_lines_come_often_when_popularity_is_skewed() {
    let draws: Vec<usize> = Draws::new(5..1005, Popularity::Skewed, 1)
        .take(100_000)
        .collect();
    assert!(draws.iter().all(|draw| (5..1005).contains(draw)));
    let first = draws.iter().filter(|&&draw| draw == 5).count();
    let last_half = draws.iter().filter(|&&draw| draw >= 505).count();
    // Ten powers of two; the last is cut short.
    assert!((9_000..11_000).contains(&first), "{first}");
    assert!((8_000..11_000).contains(&last_half), "{last_half}");
    assert_eq!(Draws::new(3..3, Popularity::Skewed, 1).next(), None);
    assert!(
        Draws::new(7..8, Popularity::Skewed, 1)
            .take(9)
            .all(|draw| draw == 7)
    );
}

#[test]
fn what_is_no_mix_or_span_is_refused() {
    for text in ["", "c", "c=", "c=0", "x=1", "c=1,", "c=-1", "c=65536"] {
        assert!(text.parse::<Kinds>().is_err(), "{text}");
    }
    let kinds: Kinds = "s=2,c=1".parse().unwrap();
    assert_eq!(kinds.to_string(), "c=1,s=2");
    assert_eq!(
        Kinds::PRESET.to_string().parse::<Kinds>().unwrap(),
        Kinds::PRESET
    );
    for text in ["", "a", "3..", "..3", "4..3", "65536"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}

#[test]
fn of_a_hundred_tags_the_asked_ones_are_new() {
    let mut recipe = Recipe::new(Shape::Long, 2000, 7);
    recipe.tags = Some("2..50".parse().unwrap());
    recipe.tag_len = Some("3..150".parse().unwrap());
    recipe.name_len = Some("1..200".parse().unwrap());
    recipe.new_tags_percent = Some(11);
    let corpus = Corpus::of(&recipe);
    let tags: Vec<&str> = corpus
        .lines
        .iter()
        .flat_map(|line| line.split_once("|#").unwrap().1.split(','))
        .collect();
    let distinct: std::collections::HashSet<_> = tags.iter().collect();
    let percent = distinct.len() * 100 / tags.len();
    assert!((10..=12).contains(&percent), "{percent}");
    let lines: std::collections::HashSet<_> = corpus.lines.iter().collect();
    assert_eq!(lines.len(), 2000);
}
