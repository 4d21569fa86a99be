//! The mapper, by table; every answer is also asked of the cache.

use super::*;
use MatchKind::{Regex, Wildcard};

fn rule(kind: MatchKind, pattern: &str, name: &str, tags: &[(&str, &str)]) -> Mapping {
    let tags = tags
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect();
    Mapping {
        pattern: pattern.into(),
        kind,
        name: name.into(),
        tags,
    }
}

fn profile(name: &str, prefix: &str, mappings: Vec<Mapping>) -> MapperProfile {
    MapperProfile {
        name: name.into(),
        prefix: prefix.into(),
        mappings,
    }
}

/// Rows of name and result, the latter as `name|tag,tag`, or `-` for a name that stays. Every name
/// is asked for twice, so that the second answer comes from the cache.
#[track_caller]
fn check(profiles: &[MapperProfile], rows: &[(&str, &str)]) {
    let mapper = Mapper::compile(profiles).expect("profiles of the test");
    let mut cache = MapperCache::new(100);
    for (name, expected) in rows.iter().chain(rows) {
        let got = mapper
            .map(&mut cache, name.as_bytes())
            .map_or("-".to_owned(), |mapped| {
                let mut text = mapped.name.escape_ascii().to_string();
                for (place, tag) in mapped.tags.iter().enumerate() {
                    text.push(if place == 0 { '|' } else { ',' });
                    text.push_str(&tag.escape_ascii().to_string());
                }
                text
            });
        assert_eq!(got, *expected, "{name}");
    }
}

#[test]
fn wildcard_rules_give_a_name_and_tags() {
    let mappings = vec![
        rule(
            Wildcard,
            "job.run.*.*",
            "job.run",
            &[("job", "$1"), ("state", "${2}")],
        ),
        rule(Wildcard, "job.size.*", "job.size.$1", &[]),
    ];
    check(
        &[profile("jobs", "job.", mappings)],
        &[
            ("job.run.nightly.ok", "job.run|job:nightly,state:ok"),
            ("job.run.nightly.", "job.run|job:nightly,state:"),
            ("job.size.x", "job.size.x"),
            ("job.stop", "-"),
            ("job.run.a.b.c", "-"),
            ("other.run.x", "-"),
            ("job", "-"),
            ("", "-"),
        ],
    );
}

#[test]
fn regex_rules_give_groups_by_number_and_name() {
    let mappings = vec![
        rule(Regex, r"job\.run\.(.*)", "job.run", &[("path", "$1")]),
        rule(
            Regex,
            r"job\.(?P<kind>[a-z]\d)-(\w+)",
            "job.$kind",
            &[("rest", "$2"), ("n", "$9")],
        ),
    ];
    check(
        &[profile("jobs", "job.", mappings)],
        &[
            ("job.run.a.b.c", "job.run|path:a.b.c"),
            ("job.run.my$job/1", "job.run|path:my$job/1"),
            ("job.a5-foo", "job.a5|rest:foo,n:"),
            ("job.a5-foo!", "-"),
        ],
    );
}

#[test]
fn the_first_profile_whose_prefix_fits_decides_alone() {
    let profiles = [
        profile(
            "one",
            "foo.",
            vec![rule(Wildcard, "foo.*.duration.*", "one", &[("a", "$1")])],
        ),
        profile(
            "two",
            "foo.bar.",
            vec![rule(Wildcard, "foo.bar.*", "two", &[])],
        ),
        profile(
            "three",
            "*",
            vec![rule(Wildcard, "z.*", "three", &[("z", "$1")])],
        ),
        profile("four", "z.", vec![rule(Wildcard, "z.*.y", "four", &[])]),
    ];
    check(
        &profiles,
        &[
            ("foo.bar.duration.x", "one|a:bar"),
            ("foo.bar.x", "-"),
            ("z.x", "three|z:x"),
            ("z.x.y", "-"),
            ("q", "-"),
        ],
    );
}

#[test]
fn the_first_rule_that_matches_wins() {
    let mappings = vec![
        rule(Regex, "a\\.b|a\\.c", "first", &[]),
        rule(Wildcard, "a.*", "second", &[]),
        rule(Wildcard, "a.b", "third", &[]),
    ];
    check(
        &[profile("p", "*", mappings)],
        &[("a.b", "first"), ("a.c", "first"), ("a.d", "second")],
    );
}

#[test]
fn names_need_not_be_text() {
    let mappings = vec![rule(Wildcard, "a.*", "w", &[("v", "$1")])];
    let regex = vec![rule(
        Regex,
        "b\\.(.).(.*)",
        "r",
        &[("one", "$1"), ("two", "$2")],
    )];
    let profiles = [profile("w", "a", mappings), profile("r", "b", regex)];
    let mapper = Mapper::compile(&profiles).expect("profiles of the test");
    let mut cache = MapperCache::new(1);
    let mapped = mapper.map(&mut cache, b"a.\xff\xc3").expect("a match");
    assert_eq!(*mapped.tags[0], *b"v:\xff\xc3");
    let mapped = mapper
        .map(&mut cache, b"b.\xe2\x82.\xff!")
        .expect("a match");
    assert_eq!(
        (&*mapped.tags[0], &*mapped.tags[1]),
        (&b"one:\xe2"[..], &b"two:.\xff!"[..])
    );
}

#[test]
fn names_too_long_for_the_cache_are_mapped_all_the_same() {
    let profiles = [profile(
        "p",
        "a",
        vec![rule(Wildcard, "a.*", "b", &[("v", "$1")])],
    )];
    let mapper = Mapper::compile(&profiles).expect("a profile of the test");
    let mut cache = MapperCache::new(4);
    let name = [b"a.".as_slice(), &[b'x'; 60_000]].concat();
    for _ in 0..2 {
        let mapped = mapper.map(&mut cache, &name).expect("a match");
        assert_eq!(mapped.tags[0].len(), 60_002);
    }
    assert_eq!((cache.hits(), cache.misses(), cache.len()), (0, 2, 0));
}

#[test]
fn a_name_no_profile_wants_is_not_looked_up() {
    let profiles = [profile("p", "a.", vec![])];
    let mapper = Mapper::compile(&profiles).expect("a profile of the test");
    let mut cache = MapperCache::new(4);
    assert_eq!(mapper.map(&mut cache, b"b.x"), None);
    assert_eq!((cache.hits(), cache.misses()), (0, 0));
    assert!(Mapper::default().is_empty());
    assert!(!mapper.is_empty());
}

/// One mistake anywhere refuses everything, and the message says where it is.
#[track_caller]
fn check_refused(bad: MapperProfile, expected: &str) {
    let good = profile("good", "g.", vec![rule(Wildcard, "g.*", "g", &[])]);
    let error = Mapper::compile(&[good, bad]).expect_err("a bad profile");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn mistakes_are_refused_with_their_place() {
    let bad = |kind, pattern, name| {
        profile(
            "p",
            "p.",
            vec![
                rule(Wildcard, "p.*", "p", &[]),
                rule(kind, pattern, name, &[]),
            ],
        )
    };
    let list = "of `dogstatsd_mapper_profiles`";
    check_refused(
        profile("", "p.", vec![]),
        &format!("profile 1 {list} has no `name`"),
    );
    check_refused(
        profile("p", "", vec![]),
        &format!("profile `p` {list} has no `prefix`"),
    );
    let rule = format!("rule 1 of profile `p` {list}");
    check_refused(bad(Wildcard, "", "n"), &format!("{rule} has no `match`"));
    check_refused(bad(Regex, "x", ""), &format!("{rule} has no `name`"));
    check_refused(
        bad(Wildcard, "p.**", "n"),
        &format!("{rule} has a bad `match`, `p.**`: a wildcard pattern has no two `*` in a row"),
    );
    check_refused(
        bad(Wildcard, "^p.*", "n"),
        &format!(
            "{rule} has a bad `match`, `^p.*`: \
             a wildcard pattern is made of letters, digits, `_`, `-`, `.` and `*`"
        ),
    );
    check_refused(
        bad(Regex, "p.(", "n"),
        &format!("{rule} has a bad `match`, `p.(`: `(` without `)` at byte 5"),
    );
}

#[test]
fn lanes_may_share_a_mapper() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&Mapper::default());
}
