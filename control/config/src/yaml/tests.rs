//! The subset of YAML in use, and inputs meant to hurt.

use std::time::{Duration, Instant};

use super::*;

/// The tree in JSON, for comparison.
fn json(node: &Node) -> serde_json::Value {
    match &node.body {
        Body::Null => serde_json::Value::Null,
        Body::Scalar(text) => text.clone().into(),
        Body::List(items) => items.iter().map(json).collect::<Vec<_>>().into(),
        Body::Map(entries) => serde_json::Value::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), json(&entry.value)))
                .collect(),
        ),
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let node = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(json(&node).to_string(), expected, "{text:?}");
}

#[track_caller]
fn check_refused(text: &str, at: (u32, u32), message_part: &str) {
    let error = parse(text).expect_err(text);
    assert_eq!((error.at.line, error.at.column), at, "{text:?}: {error}");
    assert!(error.message.contains(message_part), "{text:?}: {error}");
}

#[test]
fn scalars_keep_their_spelling() {
    check(
        "[010, 0x1F, 1_000, on, 12:30:45, .inf, 1.10]",
        r#"["010","0x1F","1_000","on","12:30:45",".inf","1.10"]"#,
    );
    check(
        "a: !!str null\nb: !!int 5\nc: ''\nd:\n",
        r#"{"a":"null","b":"5","c":"","d":null}"#,
    );
    check(
        "a: |\n  x\n  y\nb: >-\n  x\n  y\n",
        r#"{"a":"x\ny\n","b":"x y"}"#,
    );
    check(r#"a: "tab\t\u00e9""#, r#"{"a":"tab\té"}"#);
}

#[test]
fn empty_documents_are_nothing() {
    for text in ["", "\n\n", "# a comment", "---\n...\n", "\u{feff}"] {
        check(text, "null");
    }
}

#[test]
fn aliases_and_merges() {
    check("a: &x [1, 2]\nb: *x\n", r#"{"a":["1","2"],"b":["1","2"]}"#);
    check(
        "a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}\n",
        r#"{"a":{"k":"1","l":"2"},"b":{"l":"3","k":"1"}}"#,
    );
    check("'<<': 1", r#"{"<<":"1"}"#);
    check_refused("a: &x [*x]", (1, 8), "contains it");
    check_refused("a: *x", (1, 4), "");
    check_refused("<<: 5", (1, 5), "mappings only");
}

#[test]
fn refusals_say_where() {
    check_refused("a: 1\na: 2\n", (2, 1), "`a` stands twice");
    check_refused("a: 1\n---\nb: 2\n", (2, 1), "second document");
    check_refused("[a]: 1", (1, 1), "plain text");
    check_refused("a:\n\tb: 1\n", (2, 2), "tabs");
    check_refused("a: 'x", (1, 4), "");
    check_refused("a: [1, 2\n", (1, 4), "unclosed");
    check_refused("a: b: c", (1, 5), "");
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    parse(&nested(DEPTH_MAX)).unwrap();
    parse(&nested(DEPTH_MAX + 1)).unwrap_err();
    parse(&nested(100_000)).unwrap_err();
    let indented: String = (0..200)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    parse(&indented).unwrap_err();
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = format!("*a{}", level - 1);
        bomb.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![before; 9].join(", ")
        ));
    }
    assert!(
        parse(&bomb)
            .unwrap_err()
            .message
            .contains("aliases that multiply")
    );
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(500_000),
        vec!["*a"; 100_000].join(",")
    );
    assert!(
        parse(&long)
            .unwrap_err()
            .message
            .contains("aliases that multiply")
    );
}

/// Shapes that made parsers of this kind slow, each filling the largest file.
#[test]
fn a_megabyte_of_anything_ends_soon() {
    const LEN: usize = 1 << 20;
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    let filled = |unit: &str| unit.repeat(LEN / unit.len());
    let mut inputs: Vec<String> = [
        "a",
        " ",
        "\t",
        "\n",
        "- ",
        "-\t",
        "? ",
        ": ",
        "a: ",
        "a: b\n",
        "[",
        "{",
        "[[],",
        "{a: ",
        "a,",
        "'",
        "\"",
        "\"\\",
        "|\n",
        ">\n ",
        "&a ",
        "*a ",
        "!a ",
        "!!str ",
        "%YAML 1.2\n",
        "---\n",
        "# c\n",
        "#",
        "\u{1}",
        "\0",
        "\u{feff}",
        "é",
        "- a\n",
        "? a\n: b\n",
        "a:a:",
        "<<: ",
        "[a, ",
        "{a, ",
        "- - - a\n",
        "a\n b\n",
        "x: &a 1\n",
        "- &a *a\n",
        "\u{85}",
        "\u{2028}",
        "\r",
        "\r\n\t",
        "@",
        "`",
        "'' ",
        "{? ",
        "[? a, ",
        "[&a a, ",
    ]
    .into_iter()
    .map(filled)
    .collect();
    inputs.push(format!("[{}]", filled("a,")));
    inputs.push(format!("{{{}}}", filled("a: b, ")));
    inputs.push((0..80_000).map(|key| format!("k{key}: {key}\n")).collect());
    inputs.push(format!("a: '{}'", filled("x ")));
    inputs.push(format!("{}: 1", "k".repeat(LEN - 3)));
    let soup = b"\t \n-:?[]{},#&*!|>'\"%@`ab01<~\\";
    inputs.push(
        (0..LEN)
            .map(|_| char::from(soup[random() as usize % soup.len()]))
            .collect(),
    );
    inputs.push(
        (0..LEN / 2)
            .map(|_| char::from((random() >> 32) as u8))
            .collect(),
    );

    for input in inputs {
        let start = Instant::now();
        let outcome = parse(&input);
        let took = start.elapsed();
        let head: String = input.chars().take(12).collect();
        assert!(
            took < Duration::from_secs(5),
            "{head:?} took {took:?}, {:?}",
            outcome.err()
        );
    }
}
