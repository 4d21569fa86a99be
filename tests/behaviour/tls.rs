//! Certificate and token: made, found, refused, replaced while running.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use greyhound_tests::control::{self, curl, over_socket, with_token};
use greyhound_tests::daemon::Setup;
use greyhound_tests::{command, skip, tools, wait};

fn protect(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

/// A certificate file as a real Agent writes it: an authority used as a leaf, its key in SEC1.
fn agents_file(path: &Path) -> Result<(), String> {
    tools::find("openssl").ok_or("no openssl")?;
    let (key, certificate) = (path.with_extension("key"), path.with_extension("crt"));
    let openssl = |arguments: &[&str]| {
        command::succeed(Command::new("openssl").args(arguments), wait::PATIENCE).map(drop)
    };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    openssl(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
        &text(&key),
    ])?;
    openssl(&[
        "req",
        "-new",
        "-x509",
        "-days",
        "18250",
        "-subj",
        "/O=Datadog, Inc.",
        "-addext",
        "keyUsage=digitalSignature,keyCertSign,cRLSign",
        "-addext",
        "extendedKeyUsage=serverAuth,clientAuth",
        "-addext",
        "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost",
        "-key",
        &text(&key),
        "-out",
        &text(&certificate),
    ])?;
    let read = |path: &Path| fs::read_to_string(path).expect("openssl wrote it");
    fs::write(path, read(&certificate) + &read(&key)).expect("the folder is ours");
    protect(path, 0o600);
    Ok(())
}

#[test]
fn both_files_are_made_for_us_alone_and_old_tls_is_refused() {
    if !control::has_curl() {
        return;
    }
    let daemon = Setup::new().start();
    for name in ["auth_token", "ipc_cert.pem"] {
        let mode = fs::metadata(daemon.path(name)).expect("it is made").mode() & 0o7777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let pem = fs::read_to_string(daemon.path("ipc_cert.pem")).expect("it is made");
    let blocks: Vec<_> = pem.lines().filter(|line| line.contains("BEGIN")).collect();
    assert_eq!(
        blocks,
        [
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN EC PRIVATE KEY-----"
        ]
    );
    for version in ["1.2", "1.3"] {
        let asked = with_token(&daemon, "/agent/version", &["--tls-max", version]);
        assert_eq!(asked.expect("an answer").status, 200, "TLS {version}");
    }
    assert!(with_token(&daemon, "/agent/version", &["--tls-max", "1.1"]).is_err());
    daemon.stop();
}

#[test]
fn a_certificate_of_a_real_agent_is_taken_and_can_be_required() {
    let setup = Setup::new().with("greyhound.control.mutual_tls", "require");
    let file = setup.path("ipc_cert.pem");
    if !control::has_curl() || skip::or_skip(agents_file(&file)).is_none() {
        return;
    }
    let before = fs::read(&file).expect("it is there");
    let daemon = setup.start();
    assert_eq!(
        fs::read(&file).expect("it is there"),
        before,
        "somebody's file stays"
    );
    let file = file.to_string_lossy().into_owned();
    let shown = ["--cert", &file, "--key", &file];
    let asked = with_token(&daemon, "/agent/version", &shown).expect("an answer");
    assert_eq!(asked.status, 200);
    assert!(
        with_token(&daemon, "/agent/version", &[]).is_err(),
        "without a certificate"
    );
    daemon.stop();
}

#[test]
fn a_token_that_others_can_read_keeps_the_port_shut_and_nothing_else() {
    if !control::has_curl() {
        return;
    }
    for mode in [0o640, 0o604] {
        let setup = Setup::new();
        let token = setup.path("auth_token");
        fs::write(&token, "0".repeat(64)).expect("the folder is ours");
        protect(&token, mode);
        let daemon = setup.start();
        assert_eq!(daemon.ready().control, "");
        daemon.wait_log("chmod 600");
        assert!(
            !daemon.log().contains(&"0".repeat(64)),
            "the token is in the log"
        );
        let asked = over_socket(&daemon, "/agent/hostname").expect("an answer");
        assert_eq!(asked.status, 200);
        daemon.stop();
    }
}

#[test]
fn a_new_token_is_noticed_without_a_restart() {
    if !control::has_curl() {
        return;
    }
    let daemon = Setup::new()
        .with("greyhound.control.failures_per_second", 1000)
        .start();
    let (old, new) = (control::token(&daemon), "1".repeat(64));
    let file = daemon.path("new");
    fs::write(&file, &new).expect("the folder is ours");
    protect(&file, 0o600);
    fs::rename(&file, daemon.path("auth_token")).expect("the folder is ours");
    let status = |token: &str| {
        let header = format!("Authorization: Bearer {token}");
        let asked = curl(&daemon, "/agent/version", &["-H", &header]).expect("an answer");
        asked.status
    };
    wait::until("the new token to be taken", || {
        (status(&new) == 200).then_some(())
    });
    assert_eq!(status(&old), 403);
    daemon.stop();
}
