//! The name filter, by table and against reading the list entry by entry.

use super::*;
use proptest::prelude::*;

const SUFFIXES: [&str; 3] = [".max", ".median", ".95percentile"];

fn filter(entries: &[&str], match_prefix: bool) -> NameFilter {
    NameFilter::new(entries, match_prefix, &SUFFIXES)
}

/// `names` come as `in` (refused at intake), `out` (refused at flush), `both` or `none`.
#[track_caller]
fn check(filter: &NameFilter, rows: &[(&str, &str)]) {
    for (name, expected) in rows {
        let got = match (
            filter.intake_refuses(name.as_bytes()),
            filter.flush_refuses(name.as_bytes()),
        ) {
            (true, true) => "both",
            (true, false) => "in",
            (false, true) => "out",
            (false, false) => "none",
        };
        assert_eq!(got, *expected, "{name}");
    }
}

#[test]
fn an_exact_entry_refuses_just_its_name() {
    let filter = filter(&["noise.a"], false);
    check(
        &filter,
        &[
            ("noise.a", "in"),
            ("noise.ab", "none"),
            ("noise", "none"),
            ("ok", "none"),
        ],
    );
    assert!(!filter.is_empty());
    assert!(!filter.has_flush_entries());
}

#[test]
fn in_prefix_mode_every_entry_is_a_prefix_at_intake_and_flush() {
    let filter = filter(&["noise.", "foo.*", "bar"], true);
    check(
        &filter,
        &[
            ("noise.a", "both"),
            ("noise.ab", "both"),
            ("noise", "none"),
            ("foo.x", "both"),
            ("foo", "none"),
            ("barn", "both"),
            ("ok", "none"),
        ],
    );
    assert!(filter.has_flush_entries());
}

#[test]
fn a_starred_entry_is_a_prefix_by_itself() {
    let filter = filter(&["bar.*", "foo.avg", "foo.max", "foo"], false);
    check(
        &filter,
        &[
            ("bar.histo.max", "both"),
            ("bar.", "both"),
            ("bar", "none"),
            ("foo", "in"),
            ("foo.avg", "in"),
            ("foo.max", "both"),
        ],
    );
}

#[test]
fn only_entries_with_a_configured_suffix_reach_the_flush() {
    let filter = filter(
        &["h.t.median", "h.t.95percentile", "h.t.50percentile", "tmax"],
        false,
    );
    check(
        &filter,
        &[
            ("h.t.median", "both"),
            ("h.t.95percentile", "both"),
            ("h.t.50percentile", "in"),
            ("tmax", "in"),
            ("h.t", "none"),
            ("h.t.avg", "none"),
        ],
    );
}

#[test]
fn names_and_entries_meet_in_the_form_the_intake_stores() {
    let filter = filter(
        &["my metric-name", "service_*", "raw-prefix.*", "tail_"],
        false,
    );
    check(
        &filter,
        &[
            ("my metric-name", "in"),
            ("my_metric_name", "in"),
            ("9my_metric.name", "none"),
            ("service_requests", "both"),
            ("service-requests", "both"),
            ("service.requests", "none"),
            ("services", "none"),
            ("raw_prefix.x", "both"),
            ("raw prefix.x", "both"),
            ("tail", "in"),
            ("tail-", "in"),
        ],
    );
}

#[test]
fn entries_and_names_the_intake_would_not_store_never_match() {
    let long = "a".repeat(351);
    let list = filter(&["", "123", "...", "9*", &long, "ok"], false);
    assert_eq!((list.len(), list.unstorable()), (1, 5));
    check(
        &list,
        &[("", "none"), ("123", "none"), (&long, "none"), ("ok", "in")],
    );
    check(
        &filter(&["a"], true),
        &[(&long, "none"), (&long[1..], "both")],
    );
    assert!(filter(&[""], true).is_empty());
}

#[test]
fn a_lone_star_refuses_every_name_that_can_be_stored() {
    for match_prefix in [false, true] {
        check(
            &filter(&["*"], match_prefix),
            &[("x", "both"), ("1", "none"), ("a b", "both")],
        );
    }
}

#[test]
fn an_empty_list_refuses_nothing() {
    let filter = filter(&[], true);
    assert!(filter.is_empty());
    assert!(!filter.has_flush_entries());
    check(&filter, &[("x", "none"), ("", "none")]);
}

#[test]
fn ten_thousand_entries_are_found_and_nothing_else() {
    let entries: Vec<String> = (0..10_000)
        .map(|n| {
            if n % 4 == 0 {
                format!("pre{n}.*")
            } else {
                format!("exact.name{n}")
            }
        })
        .collect();
    let filter = NameFilter::new(&entries, false, &SUFFIXES);
    for n in 0..10_000 {
        assert_eq!(
            filter.intake_refuses(format!("pre{n}.x").as_bytes()),
            n % 4 == 0
        );
        assert_eq!(
            filter.intake_refuses(format!("exact.name{n}").as_bytes()),
            n % 4 != 0
        );
    }
}

/// The list read one entry after the other.
fn refused_by_model(entries: &[String], match_prefix: bool, flush: bool, name: &str) -> bool {
    let form = |text: &str| {
        let mut out = Vec::new();
        normalize::normalize_name(text.as_bytes(), &mut out).then_some(out)
    };
    let Some(name) = form(name) else { return false };
    entries.iter().any(|entry| {
        if entry == "*" {
            return true;
        }
        if entry.ends_with('*') || match_prefix {
            // One letter behind it shows what the form makes of the end of a prefix.
            let probe = format!("{}z", entry.strip_suffix('*').unwrap_or(entry));
            let letters = probe.bytes().filter(u8::is_ascii_alphabetic).count();
            let stored = form(&probe).filter(|_| letters > 1);
            return stored.is_some_and(|p| name.starts_with(&p[..p.len() - 1]));
        }
        let suffixed = |stored: &[u8]| SUFFIXES.iter().any(|s| stored.ends_with(s.as_bytes()));
        form(entry).is_some_and(|stored| stored == name && (!flush || suffixed(&stored)))
    })
}

proptest! {
    #[test]
    fn the_answers_are_those_of_reading_the_list_in_order(
        entries in prop::collection::vec("[ab_.-]{0,4}(\\.max)?\\*?", 0..6),
        match_prefix in any::<bool>(),
        name in "[ab_.-]{0,6}(\\.max)?",
    ) {
        let filter = NameFilter::new(&entries, match_prefix, &SUFFIXES);
        prop_assert_eq!(
            filter.intake_refuses(name.as_bytes()),
            refused_by_model(&entries, match_prefix, false, &name)
        );
        prop_assert_eq!(
            filter.flush_refuses(name.as_bytes()),
            refused_by_model(&entries, match_prefix, true, &name)
        );
    }
}
