//! Files nobody should write.

use proptest::prelude::*;

use super::*;

/// A 1 MiB cap, and no text that hangs or panics.
#[test]
fn hostile_files_end_soon_with_an_error_that_has_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let start = std::time::Instant::now();
        let mut sources = sources(&[], &[]);
        sources.file = Some(path);
        let error = load(&sources).expect_err(name).to_string();
        assert!(start.elapsed().as_secs() < 5, "{name}");
        assert!(
            error.lines().all(|line| line.len() < 500),
            "{name}: {error}"
        );
        error.replace(folder.path().to_str().unwrap(), "")
    };
    assert_eq!(
        refused("huge", &vec![b'#'; file::FILE_LEN_BYTES_MAX + 1]),
        "/huge: longer than 1048576 bytes"
    );
    assert_eq!(
        refused("binary", b"a: 1\nb: \xff\xfe"),
        "/binary:2:4: not UTF-8 text"
    );
    assert!(refused("nul", b"a: \0\0\n").starts_with("/nul:1:4: "));
    assert!(refused("tabs", b"greyhound:\n\tlanes: 1\n").starts_with("/tabs:2:2: "));
    assert!(refused("deep", "[".repeat(1 << 20).as_bytes()).starts_with("/deep:1:"));
    let long = format!("dogstatsd_port: {}", "x".repeat(1_000_000));
    assert!(refused("long", long.as_bytes()).starts_with("/long:1:17: `dogstatsd_port` is \"xxx"));
    let many: String = (0..40_000)
        .map(|index| format!("dogstatsd_prt{index}: 1\n"))
        .collect();
    let loaded = from_yaml(&many).unwrap();
    assert_eq!(
        (loaded.report.unknown.len(), loaded.report.unknown_further),
        (100, 39_900)
    );
    let path = folder.path().join("whole");
    std::fs::write(&path, vec![b'#'; file::FILE_LEN_BYTES_MAX]).unwrap();
    let mut sources = sources(&[], &[]);
    sources.file = Some(path);
    load(&sources).unwrap();
}

proptest! {
    #[test]
    fn no_text_upsets_the_loader(text in "(?s).{0,200}") {
        drop(from_yaml(&text));
    }

    #[test]
    fn soup_of_yaml_and_our_keys_upsets_nobody(
        words in proptest::collection::vec(proptest::sample::select(&[
            "greyhound", "dogstatsd_port", "dogstatsd_mapper_profiles", "api_key", "telemetry", "lanes",
            ": ", ":", "\n", "\n  ", "- ", "{", "}", "[", "]", ", ", "&a ", "*a", "<<", "\"", "'", "#", "!!str ", "~", "1", "8125",
        ][..]), 0..40),
    ) {
        drop(from_yaml(&words.concat()));
    }

    #[test]
    fn quoted_text_arrives_unchanged(text in "[^\\p{Cc}\u{feff}\u{fffe}\u{ffff}]{1,40}") {
        let yaml = format!("hostname: {}\n", serde_json::to_string(&text).unwrap());
        prop_assert_eq!(from_yaml(&yaml).unwrap().settings.hostname, Some(text));
    }
}
