//! One line of a corpus. The order in which numbers are drawn is part of what a seed means: change
//! it, and every figure measured before is of another corpus.

use std::fmt::Write;

use super::{Kind, Random, Recipe, Shape, Span};

/// What the first tag, which tells contexts apart, needs.
const NUMBER_TAG_LEN: usize = "pod:0000000".len();

/// The line of context `number`. `pool` holds the tags of lines before.
pub(super) fn line(
    recipe: &Recipe,
    number: usize,
    random: &mut Random,
    pool: &mut Vec<String>,
) -> String {
    let (kind, sampled) = recipe.kinds.at(random.below(recipe.kinds.total()));
    let value = value(kind, random);
    let tags = if recipe.tags.is_some() || recipe.tag_len.is_some() {
        own_tags(recipe, number, random, pool)
    } else {
        preset_tags(recipe.shape, number, random)
    };
    let name = match recipe.name_len {
        Some(len) => own_name(len, number, tell_apart(recipe, &tags), random),
        None if tell_apart(recipe, &tags) => format!("n{number:07}"),
        None => preset_name(recipe.shape, number, random),
    };
    let mut line = match kind {
        Kind::Event => format!("_e{{{},{}}}:{name}|{value}", name.len(), value.len()),
        Kind::ServiceCheck => format!("_sc|{name}|{value}"),
        Kind::Counter if sampled => format!("{name}:{value}|c|@0.5"),
        _ => format!("{name}:{value}|{}", kind.as_str()),
    };
    if !tags.is_empty() {
        let written = write!(line, "|#{}", tags.join(","));
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    line
}

fn value(kind: Kind, random: &mut Random) -> String {
    match (kind, random.below(2)) {
        (Kind::Counter, _) => (1 + random.below(9)).to_string(),
        (Kind::Set, _) => format!("u{}", random.below(1000)),
        (Kind::Event, _) => format!("text {}", random.below(1000)),
        (Kind::ServiceCheck, _) => random.below(4).to_string(),
        (_, 0) => random.below(100_000).to_string(),
        _ => format!("{}.{}", random.below(1000), random.below(100)),
    }
}

fn preset_name(shape: Shape, number: usize, random: &mut Random) -> String {
    match shape {
        Shape::Lean => format!("app.req.{:03}", number % 500),
        Shape::Standard => format!("application.request.handler.{:03}", number % 500),
        Shape::Long => format!("n{number:06}.{}", "y".repeat(random.below(190))),
    }
}

fn preset_tags(shape: Shape, number: usize, random: &mut Random) -> Vec<String> {
    match shape {
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
    }
}

/// Tags of asked number and length; what is not asked is as in the preset. The first tells contexts
/// apart if it is long enough for that.
fn own_tags(
    recipe: &Recipe,
    number: usize,
    random: &mut Random,
    pool: &mut Vec<String>,
) -> Vec<String> {
    let (count, len) = match recipe.shape {
        Shape::Lean => ((2, 2), (10, 16)),
        Shape::Standard => ((4, 6), (5, 14)),
        Shape::Long => ((2, 50), (13, 75)),
    };
    let span = |(min, max)| Span { min, max };
    let count = draw(recipe.tags.unwrap_or(span(count)), random);
    (0..count)
        .map(|n| {
            let len = recipe.tag_len.unwrap_or(span(len));
            if let Some(percent) = recipe.new_tags_percent {
                return pooled_tag(percent, len, random, pool);
            }
            let len = draw(len, random);
            let tag = match n {
                0 if recipe.tag_len.is_none_or(|len| len.min >= NUMBER_TAG_LEN) => {
                    format!("pod:{number:07}")
                }
                _ => format!("t{n}:{}", random.below(10)),
            };
            padded(tag, len, b'x')
        })
        .collect()
}

/// A new tag, or one of those before.
fn pooled_tag(new_percent: u8, len: Span, random: &mut Random, pool: &mut Vec<String>) -> String {
    if !pool.is_empty() && random.below(100) >= usize::from(new_percent) {
        return pool[random.below(pool.len())].clone();
    }
    let tag = padded(format!("t{}:", pool.len()), draw(len, random), b'x');
    pool.push(tag.clone());
    tag
}

/// Whether the name has to tell contexts apart because no tag does.
fn tell_apart(recipe: &Recipe, tags: &[String]) -> bool {
    tags.is_empty()
        || recipe.new_tags_percent.is_some()
        || recipe.tag_len.is_some_and(|len| len.min < NUMBER_TAG_LEN)
}

fn own_name(len: Span, number: usize, tell_apart: bool, random: &mut Random) -> String {
    let name = if tell_apart {
        format!("n{number:07}")
    } else {
        format!("n{:03}", number % 500)
    };
    padded(name, draw(len, random), b'y')
}

/// `text`, made `len` bytes long; a longer one stays as it is.
fn padded(mut text: String, len: usize, with: u8) -> String {
    let missing = len.saturating_sub(text.len());
    text.extend(std::iter::repeat_n(char::from(with), missing));
    text
}

fn draw(span: Span, random: &mut Random) -> usize {
    span.min + random.below(span.max - span.min + 1)
}
