//! House rules, as tests: what reviewers would otherwise have to look for each time.
//!
//! Files and their first lines, where `unsafe` may stand, which crate may use which, in which order the
//! rooms of the pipeline may see each other. Long files and functions are printed, not refused.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use greyhound_tests::source;

/// Crate, and the crates of ours it may use. Arrows point down: what is not listed is refused.
const ARROWS: &[(&str, &[&str])] = &[
    ("engine/sys", &[]),
    ("engine/queue", &[]),
    ("engine/model", &[]),
    ("engine/telemetry", &[]),
    ("engine/wire", &["model"]),
    ("engine/conntrack", &["sys", "telemetry"]),
    ("engine/sinks", &["model", "telemetry", "proto"]),
    (
        "engine/pipeline",
        &["sys", "queue", "model", "telemetry", "wire"],
    ),
    ("proto", &[]),
    ("control/config", &[]),
    ("control/server", &["config", "proto", "telemetry"]),
    (
        "control/node",
        &[
            "sys",
            "model",
            "telemetry",
            "wire",
            "conntrack",
            "pipeline",
            "sinks",
            "config",
            "server",
            "proto",
        ],
    ),
];

/// The only places where `unsafe` may be written.
const UNSAFE: &[&str] = &[
    "engine/sys/",
    "engine/queue/",
    // A counting allocator is an unsafe trait.
    "tests/alloc.rs",
];

/// The rooms of the pipeline in reading order: each may use those before it.
const ROOMS: &[&str] = &[
    "admit",
    "client",
    "config",
    "error",
    "enrich",
    "context",
    "aggregate",
    "rules",
    "ledger",
    "process",
    "flush",
    "telemetry",
    "packet",
    "forward",
    "receive",
    "lane",
    "plan",
    "engine",
];

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

fn sources() -> Vec<(String, String)> {
    read(&source::files(&source::root(), "rs"))
}

/// Path within the tree, and text.
fn read(files: &[PathBuf]) -> Vec<(String, String)> {
    let root = source::root();
    let short = |path: &Path| {
        let inside = path.strip_prefix(&root).expect("found under the root");
        inside.to_string_lossy().into_owned()
    };
    files
        .iter()
        .map(|path| {
            let text = std::fs::read(path).expect("a listed file can be read");
            (short(path), String::from_utf8_lossy(&text).into_owned())
        })
        .collect()
}

fn refuse(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// Code without its comments and without the text of plain string literals.
fn code(line: &str) -> String {
    let mut code = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            c if !quoted => code.push(c),
            _ => {}
        }
    }
    code
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    refuse("a file starts with `//!`", &silent);
}

#[test]
fn modules_have_names() {
    let unnamed: Vec<String> = sources()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.ends_with("/mod.rs"))
        .collect();
    refuse("`x.rs` beside `x/`, never `mod.rs`", &unnamed);
}

#[test]
fn unsafe_stands_in_two_crates() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        if UNSAFE.iter().any(|allowed| path.starts_with(allowed)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = code(line);
            let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if words.any(|word| word == "unsafe") {
                broken.push(format!("{path}:{}", number + 1));
            }
        }
        let crate_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
        if crate_root && !text.contains("#![forbid(unsafe_code)]") {
            broken.push(format!("{path}: does not forbid it"));
        }
    }
    refuse("no `unsafe` outside engine/sys and engine/queue", &broken);
}

#[test]
fn tests_do_not_rest() {
    let mut broken = Vec::new();
    // Written apart so that this file does not refuse itself.
    let words = [["#[ign", "ore"].concat(), ["#[should_", "panic"].concat()];
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                broken.push(format!("{path}:{}", number + 1));
            }
        }
    }
    refuse("no ignored tests, none that should panic", &broken);
}

#[test]
fn nothing_is_left_to_do() {
    let mut broken = Vec::new();
    let words = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X"].concat(),
    ];
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let mut parts = line.split(|c: char| !c.is_ascii_alphanumeric());
            if parts.any(|part| words.iter().any(|word| part == word)) {
                broken.push(format!("{path}:{}", number + 1));
            }
        }
    }
    refuse("an idea for later is an issue, not a comment", &broken);
}

#[test]
fn arrows_point_down() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut broken = Vec::new();
    for (path, text) in read(&source::files(&source::root(), "toml")) {
        let Some(folder) = path.strip_suffix("/Cargo.toml") else {
            continue;
        };
        // Tests, benches and fuzz targets see everything.
        if ["tests", "benches", "fuzz"].contains(&folder) {
            continue;
        }
        let Some(allowed) = arrows.get(folder) else {
            broken.push(format!("{folder} is missing from the table of arrows"));
            continue;
        };
        for used in dependencies(&text) {
            if !allowed.contains(&used.as_str()) {
                broken.push(format!("{folder} uses {used}"));
            }
        }
    }
    refuse("arrows between crates point down", &broken);
}

/// Our crates in `[dependencies]`, without their common prefix. What only tests use is free.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim_end();
        } else if section.ends_with("dependencies]") && !section.contains("dev-dependencies") {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if let Some(short) = name.strip_prefix("greyhound-") {
                found.insert(short.to_owned());
            }
        }
    }
    found
}

#[test]
fn rooms_of_the_pipeline_see_only_those_before_them() {
    let rank = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let Some(inside) = path.strip_prefix("engine/pipeline/src/") else {
            continue;
        };
        let room = inside.split(['/', '.']).next().unwrap_or_default();
        if room == "lib" || inside.contains("tests") {
            continue;
        }
        let Some(own) = rank(room) else {
            broken.push(format!("{path}: {room} has no place in the reading order"));
            continue;
        };
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = self::code(line);
            for after in line.split("crate::").skip(1) {
                let used = after
                    .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .next()
                    .unwrap_or_default();
                if rank(used).is_some_and(|used| used > own) {
                    broken.push(format!("{path}:{}: {room} uses {used}", number + 1));
                }
            }
        }
    }
    refuse(
        "inside the pipeline a room uses only rooms before it",
        &broken,
    );
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let mut broken = Vec::new();
    // Written apart so that this file does not refuse itself.
    let places = [
        ["/ho", "me/"].concat(),
        ["/ro", "ot/"].concat(),
        ["/wo", "rk/"].concat(),
    ];
    let mut files = Vec::new();
    for extension in ["rs", "toml", "md", "py", "js", "json", "yaml", "yml", "sh"] {
        files.extend(source::files(&source::root(), extension));
    }
    for (path, text) in read(&files) {
        for (number, line) in text.lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                broken.push(format!("{path}:{}", number + 1));
            }
        }
    }
    refuse("no path of one machine", &broken);
}

#[test]
fn long_files_and_functions_are_shown() {
    for (path, text) in sources() {
        let count = text.lines().count();
        if count > FILE_LINES {
            println!("{path}: {count} lines; which second subject moved in?");
        }
        for (name, count) in functions(&text) {
            if count > FUNCTION_LINES {
                println!("{path}: fn {name} has {count} lines");
            }
        }
    }
}

/// Functions and their lengths, told by indentation as rustfmt leaves it.
fn functions(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<(String, String, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(at) = code(line).find("fn ") {
            let before = code(line)[..at].trim().to_owned();
            let named: String = code(line)[at + 3..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let starts = before.split_whitespace().all(|word| {
                word.starts_with("pub") || ["const", "extern", "async"].contains(&word)
            });
            if starts && !named.is_empty() && !line.trim_end().ends_with(';') {
                open.push((named, format!("{indent}}}"), number));
            }
        }
        if open.last().is_some_and(|(_, end, _)| line == end)
            && let Some((name, _, start)) = open.pop()
        {
            found.push((name, number + 1 - start));
        }
    }
    found
}

#[test]
fn the_length_of_a_function_is_its_lines() {
    let text = "impl A {\n    pub fn a() {\n        if b {\n        }\n    }\n}\n\npub(crate) fn c(\n    d: u8,\n) {\n}\n";
    assert_eq!(functions(text), [("a".into(), 4), ("c".into(), 4)]);
}

#[test]
fn comments_and_texts_are_not_code() {
    assert_eq!(code("a(\"unsafe // \\\" x\") // unsafe"), "a() ");
}

#[test]
fn every_setting_says_what_it_does() {
    let mut broken = Vec::new();
    let mut keys = BTreeSet::new();
    for row in greyhound_config::table::table().rows() {
        if row.help.len() < 10 || row.help.ends_with('.') {
            broken.push(format!("{}: {:?}", row.key, row.help));
        }
        if !keys.insert(row.key) {
            broken.push(format!("{} stands there twice", row.key));
        }
    }
    refuse("a setting has a help text without a final dot", &broken);
    assert!(keys.contains("dogstatsd_port"), "the table is gone");
}

#[test]
fn every_count_says_what_it_counts() {
    use greyhound_pipeline::ledger::{LaneTally, Tally};
    for (name, help) in Tally::FIELDS.iter().chain(LaneTally::FIELDS) {
        assert!(help.len() > 10, "{name}: {help:?}");
    }
}

/// Names in backquotes that begin with `greyhound.` and are not the start of others (`greyhound.limits.…`).
fn names_of_ours(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("`greyhound.").map(|(at, _)| at + 1);
    starts.filter_map(|at| {
        let (name, _) = text[at..].split_once('`')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
        (name.chars().all(is_name) && !name.ends_with('.')).then_some(name)
    })
}

#[test]
fn settings_and_counters_are_called_by_their_names() {
    let table = greyhound_config::table::table();
    let root = source::root();
    let counters = std::fs::read_to_string(root.join("docs/telemetry.md"))
        .expect("the page of counters is there");
    let counters: BTreeSet<&str> = counters
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert!(counters.len() > 30, "{counters:?}");
    let known = |name: &str| {
        let file = name.ends_with(".yaml") || name.ends_with(".service");
        file || table.row(name).is_some() || counters.contains(name)
    };
    let mut files = source::files(&root, "md");
    files.extend(source::files(&root, "rs"));
    let mut broken = Vec::new();
    for (path, text) in read(&files) {
        // What is wrong on purpose stands in tests.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        if path.contains("tests") {
            continue;
        }
        let unknown = names_of_ours(text).filter(|name| !known(name));
        broken.extend(unknown.map(|name| format!("{path}: `{name}`")));
    }
    refuse("a setting or counter of that name does not exist", &broken);
}

#[test]
fn the_pages_name_places_that_exist() {
    const TOPS: &[&str] = &[
        "engine", "control", "proto", "tests", "benches", "fuzz", "docs", ".ci",
    ];
    let root = source::root();
    let mut broken = Vec::new();
    for (path, text) in read(&source::files(&root, "md")) {
        for quoted in text.split('`').skip(1).step_by(2) {
            let place = quoted.trim_end_matches('/');
            let is_path = place.contains('/') && !place.contains(['*', '{', '<', ' ', '…', '\n']);
            let top = place.split('/').next().unwrap_or_default();
            if is_path && TOPS.contains(&top) && !root.join(place).exists() {
                broken.push(format!("{path}: `{quoted}`"));
            }
        }
    }
    refuse("a page names a place that does not exist", &broken);
}
