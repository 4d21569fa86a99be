//! Every rule with a case it takes and a neighbour it leaves.

use super::*;
use proptest::prelude::*;

const KEY: &str = "aabbccddeeff00112233445566778899";
const APP: &str = "aabbccddeeff00112233445566778899aabbccdd";

fn hex64() -> String {
    "0123456789abcdef".repeat(3) + "0123456789a78899"
}

fn text(line: &str) -> String {
    Scrubber::default().text(line)
}

#[test]
fn the_rules_of_the_agent_give_its_results() {
    let bearer = hex64();
    let rows: Vec<(String, String)> = [
        (
            format!("api_key: {KEY}"),
            "api_key: \"****************************8899\"".to_owned(),
        ),
        (
            format!("?api_key={KEY}&x=1"),
            "?api_key=****************************8899&x=1".to_owned(),
        ),
        (
            "apikey=abcde12".to_owned(),
            "apikey=****************************de12".to_owned(),
        ),
        (
            "app_key=abcde12".to_owned(),
            "app_key=************************************de12".to_owned(),
        ),
        (
            "application_key=abcde12 x".to_owned(),
            "application_key=************************************de12 x".to_owned(),
        ),
        (
            format!("k ddapp_{}", "A1b2".repeat(8) + "Zz"),
            format!("k {}b2Zz", "*".repeat(36)),
        ),
        (
            format!("Authorization: Bearer {bearer}"),
            "Authorization: \"********\"".to_owned(),
        ),
        (
            format!("curl -H \"x: Bearer {bearer}\""),
            format!("curl -H \"x: Bearer {}78899\"", "*".repeat(59)),
        ),
        (
            "got Bearer short-token".to_owned(),
            "got Bearer ********".to_owned(),
        ),
        (
            "x-api-key: abc def".to_owned(),
            "x-api-key: \"********\"".to_owned(),
        ),
        (
            "X-Vault-Token: abc".to_owned(),
            "X-Vault-Token: \"********\"".to_owned(),
        ),
        (
            "dd-api-key: 12".to_owned(),
            "dd-api-key: \"********\"".to_owned(),
        ),
        (
            "my_private_key: abc".to_owned(),
            "my_private_key: \"********\"".to_owned(),
        ),
        (
            format!("ids [{KEY}]"),
            "ids [\"****************************8899\"]".to_owned(),
        ),
        (
            format!("trace_id={KEY}"),
            "trace_id=****************************8899".to_owned(),
        ),
        (
            format!("sha1 {APP}"),
            "sha1 ************************************ccdd".to_owned(),
        ),
        (
            format!("x: {APP}"),
            "x: \"************************************ccdd\"".to_owned(),
        ),
        (
            "DDRCM_ABCDEF99".to_owned(),
            format!("{}DEF99", "*".repeat(35)),
        ),
        (
            "http://user:hunter2@host/x".to_owned(),
            "http://user:********@host/x".to_owned(),
        ),
        (
            "redis://:pw@h:6379".to_owned(),
            "redis:********@h:6379".to_owned(),
        ),
        (
            "my_password=hunter2".to_owned(),
            "my_password=********".to_owned(),
        ),
        ("pwd = hunter2 x".to_owned(), "pwd = ******** x".to_owned()),
        (
            "password: hunter2".to_owned(),
            "password: \"********\"".to_owned(),
        ),
        (
            "auth_token: abc".to_owned(),
            "auth_token: \"********\"".to_owned(),
        ),
        (
            "consumer_key: abc".to_owned(),
            "consumer_key: \"********\"".to_owned(),
        ),
        (
            "vault_secret_id: abc".to_owned(),
            "vault_secret_id: \"********\"".to_owned(),
        ),
        (
            "aws_access_key: abc".to_owned(),
            "aws_access_key: \"********\"".to_owned(),
        ),
        (
            "community_string: abc".to_owned(),
            "community_string: \"********\"".to_owned(),
        ),
        (
            "authKey: abc".to_owned(),
            "authKey: \"********\"".to_owned(),
        ),
        (
            "api_key: not-hex".to_owned(),
            "api_key: \"********\"".to_owned(),
        ),
        ("bypass: yes".to_owned(), "bypass: \"********\"".to_owned()),
        (
            "community_strings:\n  - one\n  - two\nnext: 1".to_owned(),
            "community_strings: \"********\"\nnext: 1".to_owned(),
        ),
        (
            "community_strings: [one, two]".to_owned(),
            "community_strings: \"********\"".to_owned(),
        ),
        (
            "a\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\nb".to_owned(),
            "a\n********\nb".to_owned(),
        ),
        (
            "a\n# api_key: secret comment\n\nb".to_owned(),
            "a\n\nb".to_owned(),
        ),
    ]
    .into();
    for (input, expected) in rows {
        assert_eq!(text(&input), expected, "{input}");
        assert_eq!(text(&expected), expected, "twice");
    }
}

#[test]
fn neighbours_of_secrets_stay() {
    for line in [
        "metric.password.count:1|c",
        "auth_token_file_path: /etc/x",
        "token_count: 12",
        "a: b",
        "aabbccddeeff001122334455667788",
        "https://host:8080/path",
        "password: ENC[handle]",
        "listening on 127.0.0.1:8125",
        "",
        "DDRCM_abc",
        "\n\n",
        "forwarder_apikey_validation_interval: 60",
    ] {
        assert_eq!(text(line), line);
    }
}

#[test]
fn values_that_go_on_below_their_key_go_whole() {
    for (input, expected) in [
        (
            "password: |\n  one\n\n  two\n\nb: 1",
            "password: \"********\"\n\nb: 1",
        ),
        (
            "a:\n  auth_token:\n    - x\n    - y\n  c: 1",
            "a:\n  auth_token: \"********\"\n  c: 1",
        ),
        ("token: one\n  two\nb: 1", "token: \"********\"\nb: 1"),
    ] {
        let shown = text(input);
        assert_eq!(shown, expected);
    }
}

#[test]
fn json_in_a_line_loses_the_value_alone() {
    for (input, expected) in [
        (
            r#"{"password":"hunter two","b":1}"#,
            r#"{"password":"********","b":1}"#,
        ),
        (
            r#"sent "{\"auth_token\":\"abc\",\"b\":1}" ok"#,
            r#"sent "{\"auth_token\":\"********\",\"b\":1}" ok"#,
        ),
        (
            r#"{"api_key": "my-key-x", "b": 1}"#,
            r#"{"api_key": "********", "b": 1}"#,
        ),
        (r#"{"password": 12345}"#, r#"{"password": "********"}"#),
        (r#"{"password":"open end"#, r#"{"password":"********"#),
    ] {
        assert_eq!(text(input), expected);
        assert_eq!(text(expected), expected, "twice");
    }
}

#[test]
fn environment_and_queries_are_read_too() {
    assert_eq!(text("DD_API_KEY=my-own-key"), "DD_API_KEY=********");
    assert_eq!(text("VAULT_TOKEN='a b'"), "VAULT_TOKEN='********'");
    assert_eq!(text("token=\"a b\" c"), "token=\"********\" c");
    assert_eq!(text("?password=x&user=y z"), "?password=******** z");
}

#[test]
fn known_secrets_vanish_wherever_they_stand() {
    let scrubber = Scrubber::new(
        ["canary-Secret".to_owned(), KEY.to_owned()],
        ["my_extra".to_owned()],
    );
    assert_eq!(scrubber.text("x canary-Secret y"), "x ******** y");
    assert_eq!(scrubber.text("Y2FuYXJ5LVNlY3JldA=="), "********==");
    assert_eq!(
        scrubber.text(&format!("x{KEY}y")),
        "x********y",
        "also where no rule finds it"
    );
    assert_eq!(scrubber.text("MY_EXTRA: 5"), "MY_EXTRA: \"********\"");
    let file = scrubber.file("a.json", br#"{"k":"canary-Secret","my_extra":"q"}"#);
    let file = String::from_utf8(file).expect("text");
    assert!(!file.contains("canary") && !file.contains('q'), "{file}");
    assert_eq!(
        scrubber.file("profiles/cpu", b"\x00canary-Secret\xff"),
        b"\x00********\xff"
    );
}

#[test]
fn a_settings_file_keeps_what_the_table_calls_harmless() {
    let scrubber = Scrubber::default();
    let shown = scrubber.settings_file(
        "api_key: aabbccddeeff00112233445566778899 # mine\ndogstatsd_port: 8125\n\
         custom: {whatever: canary}\nadditional_endpoints:\n  https://x: [somekey12345]\n",
    );
    assert!(shown.contains("dogstatsd_port: 8125"), "{shown}");
    assert!(
        shown.contains("\"****************************8899\""),
        "{shown}"
    );
    assert!(
        !shown.contains("canary") && !shown.contains("somekey"),
        "{shown}"
    );
    assert!(!scrubber.settings_file("a: [\npassword: x").contains('x'));
    let other = scrubber.file("health.yaml", b"Healthy: [lanes]\nauth_token: x\n");
    assert_eq!(other, b"Healthy:\n  - lanes\nauth_token: \"********\"\n");
    let own = scrubber.file("etc/x.yaml", b"Healthy: [lanes]\n");
    assert_eq!(own, b"Healthy:\n  - \"********\"\n");
}

#[test]
fn hostile_lines_cost_little() {
    let long = "a:".repeat(LINE_BYTES_MAX);
    assert!(text(&long).len() < 100);
    let urls = "a:b@".repeat(16_000);
    assert!(text(&urls).len() <= LINE_BYTES_MAX + 20);
    let keys = "password=".repeat(7_000);
    text(&keys);
}

proptest! {
    #[test]
    fn scrubbing_twice_changes_nothing_more(
        input in proptest::collection::vec(
            prop_oneof![
                Just("password".to_owned()), Just("api_key".to_owned()), Just(": ".to_owned()),
                Just("=".to_owned()), Just("\"".to_owned()), Just("\n".to_owned()),
                Just("  ".to_owned()), Just("- ".to_owned()), Just(KEY.to_owned()),
                Just("Bearer ".to_owned()), Just("#".to_owned()), Just("http://u:p@h ".to_owned()),
                Just("-----BEGIN X-----".to_owned()), Just("-----END X-----".to_owned()),
                Just("token".to_owned()), Just("\\".to_owned()), Just("{".to_owned()),
                Just("ENC[x]".to_owned()), Just("planted-canary".to_owned()), "[ -~]{0,6}",
            ],
            0..24,
        )
    ) {
        let scrubber = Scrubber::new(["planted-canary".to_owned()], []);
        let once = scrubber.text(&input.concat());
        prop_assert!(!once.contains("planted-canary"), "{once}");
        prop_assert_eq!(scrubber.text(&once), once);
    }
}
