//! Mapping: any pattern compiles or is refused, and matches what its regular expression matches.
//!
//! Input: a line with `w` or `r` and the pattern, a line with the template of the name, a line with
//! the template of a tag, then names, one a line.

use greyhound_pipeline::admit::cache::MapperCache;
use greyhound_pipeline::admit::mapper::{Mapped, Mapper, MapperProfile, Mapping, MatchKind};
use greyhound_pipeline::admit::pattern::Pattern;
use regex::bytes::{Regex, RegexBuilder};

/// Longer input adds time, not paths: an expression may cost its size for each byte of a name.
const PATTERN_LEN_MAX: usize = 256;
const NAME_LEN_MAX: usize = 2048;

/// Panics if compiling or matching does, or if a match differs from the model's.
pub fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).ok();
    let (Some(first), Some(name), Some(tag)) = (text(), text(), text()) else {
        return;
    };
    let (kind, pattern) = match first.strip_prefix('r') {
        Some(pattern) => (MatchKind::Regex, pattern),
        None => (
            MatchKind::Wildcard,
            first.strip_prefix('w').unwrap_or(first),
        ),
    };
    if pattern.len() > PATTERN_LEN_MAX {
        return;
    }
    let mapping = Mapping {
        pattern: pattern.to_owned(),
        kind,
        name: format!("n{name}"),
        tags: vec![
            ("k".to_owned(), tag.to_owned()),
            ("all".to_owned(), "$0".to_owned()),
        ],
    };
    let profile = MapperProfile {
        name: "p".to_owned(),
        prefix: "*".to_owned(),
        mappings: vec![mapping],
    };
    let Ok(mapper) = Mapper::compile(&[profile]) else {
        return;
    };
    let compiled = match kind {
        MatchKind::Regex => Pattern::regex(pattern),
        MatchKind::Wildcard => Pattern::wildcard(pattern),
    };
    let compiled = compiled.expect("the mapper compiled it");
    let model = model(kind, pattern);
    let mut cache = MapperCache::new(2);
    for name in lines.filter(|name| name.len() <= NAME_LEN_MAX).take(8) {
        check_name(&mapper, &mut cache, &compiled, model.as_ref(), name);
    }
}

fn check_name(
    mapper: &Mapper,
    cache: &mut MapperCache,
    pattern: &Pattern,
    model: Option<&Regex>,
    name: &[u8],
) {
    let mut spans = Vec::new();
    let matched = pattern.matches(name, &mut spans);
    if matched {
        assert_eq!(spans.len(), pattern.groups().len());
        for (start, end) in spans.iter().flatten() {
            assert!(start <= end && *end <= name.len());
        }
    }
    let first: Option<Mapped> = mapper.map(cache, name).cloned();
    assert_eq!(first.is_some(), matched);
    assert_eq!(
        mapper.map(cache, name),
        first.as_ref(),
        "the cache tells the same"
    );
    if let Some(model) = model.filter(|_| name.is_ascii()) {
        let expected: Option<Vec<_>> = model.captures(name).map(|captures| {
            captures
                .iter()
                .map(|group| group.map(|g| (g.start(), g.end())))
                .collect()
        });
        assert_eq!(
            matched.then_some(spans),
            expected,
            "{model} on {}",
            name.escape_ascii()
        );
    }
}

/// The pattern as a regular expression, where Go and the `regex` crate agree on what it means.
fn model(kind: MatchKind, pattern: &str) -> Option<Regex> {
    if kind == MatchKind::Wildcard {
        let pattern = pattern.replace('.', "\\.").replace('*', "([^.]*)");
        return Regex::new(&format!("^{pattern}$")).ok();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_ -:,.*+?()|^$<>=!".contains(c);
    let plain = pattern.chars().all(plain) && !pattern.contains("(?");
    if !plain {
        return None;
    }
    RegexBuilder::new(&format!("^{pattern}$"))
        .size_limit(8 << 20)
        .build()
        .ok()
}
