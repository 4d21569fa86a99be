//! A start that cannot succeed says what, where and who, and has touched nothing.

use std::fs;
use std::net::{TcpListener, UdpSocket};

use greyhound_tests::command::Finished;
use greyhound_tests::daemon::Setup;

/// The command line or a setting is wrong.
const USAGE: i32 = 64;
/// Something could not be had.
const FAILED: i32 = 1;

fn with_file(text: &str) -> Finished {
    let setup = Setup::new();
    fs::write(setup.path("greyhound.yaml"), text).unwrap();
    setup.run_to_end()
}

fn says(ended: &Finished, code: i32, words: &[&str]) {
    assert_eq!(ended.code(), code, "{}", ended.stderr);
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "{word:?} is missing in:\n{}",
            ended.stderr
        );
    }
}

#[test]
fn a_bad_value_in_the_file_is_named_with_file_line_and_key() {
    let ended = with_file("hostname: here\n\ndogstatsd_port: banana\n");
    says(
        &ended,
        USAGE,
        &["greyhound.yaml", ":3", "dogstatsd_port", "banana"],
    );
}

#[test]
fn a_file_that_is_no_yaml_is_named_with_its_line() {
    let ended = with_file("hostname: here\ndogstatsd_tags: [a, b\nuse_dogstatsd: true\n");
    says(&ended, USAGE, &["greyhound.yaml"]);
}

#[test]
fn an_unknown_key_of_our_own_is_reported_with_the_nearest_known_one() {
    let daemon = Setup::new().with("greyhound.bucket_secondz", 5).start();
    let line = daemon.wait_log("greyhound.bucket_secondz");
    for words in ["greyhound.yaml:", "`greyhound.bucket_seconds`"] {
        assert!(line.contains(words), "{words:?} is missing in: {line}");
    }
    daemon.stop();
}

#[test]
fn an_unknown_key_of_others_is_reported_and_does_no_harm() {
    let daemon = Setup::new()
        .with("dogstatsd_prot", 1)
        .with("logs_enabled", true)
        .start();
    let line = daemon.wait_log("dogstatsd_prot");
    assert!(line.contains("`dogstatsd_port`"), "{line}");
    daemon.stop();
}

#[test]
fn a_bad_environment_variable_is_named() {
    let ended = Setup::new()
        .env("DD_DOGSTATSD_BUFFER_SIZE", "many")
        .run_to_end();
    says(&ended, USAGE, &["DD_DOGSTATSD_BUFFER_SIZE", "many"]);
}

#[test]
fn a_bad_flag_is_named() {
    let ended = Setup::new()
        .argument("--set")
        .argument("greyhound.lanes=several")
        .run_to_end();
    says(&ended, USAGE, &["greyhound.lanes", "several"]);
    let ended = Setup::new().argument("--sett").run_to_end();
    says(&ended, USAGE, &["--sett"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ended = Setup::new()
        .argument("--config")
        .argument("nowhere.yaml")
        .run_to_end();
    assert_ne!(ended.code(), 0);
    let setup = Setup::new();
    let missing = setup.path("missing.yaml").to_string_lossy().into_owned();
    let ended = greyhound_tests::daemon::greyhound(&["run", "--config", &missing], "");
    assert_ne!(ended.code(), 0);
    assert!(ended.stderr.contains("missing.yaml"), "{}", ended.stderr);
}

#[test]
fn a_setting_is_checked_before_any_port_is_bound() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // Both are wrong; only the first is found, because nothing is bound before it.
    let ended = Setup::new()
        .with("dogstatsd_port", port)
        .with("greyhound.bucket_seconds", 0)
        .run_to_end();
    says(&ended, USAGE, &["greyhound.bucket_seconds"]);
}

#[test]
fn a_udp_port_that_is_taken_is_named_with_its_holder() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = Setup::new()
        .with("dogstatsd_port", address.port())
        .run_to_end();
    let holder = std::process::id().to_string();
    says(
        &ended,
        FAILED,
        &[&address.to_string(), "dogstatsd_port", &holder],
    );
}

#[test]
fn an_http_port_that_is_taken_is_named_with_its_holder() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Setup::new()
        .with("greyhound.prometheus.listen", address.as_str())
        .run_to_end();
    let holder = std::process::id().to_string();
    says(
        &ended,
        FAILED,
        &[&address, "greyhound.prometheus.listen", &holder],
    );
}

#[test]
fn two_daemons_do_not_share_a_port() {
    let first = Setup::new().start();
    let port = first.udp().port();
    let ended = Setup::new().with("dogstatsd_port", port).run_to_end();
    says(
        &ended,
        FAILED,
        &[&port.to_string(), &first.pid().to_string()],
    );
    first.stop();
}
