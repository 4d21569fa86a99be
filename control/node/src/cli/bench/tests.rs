//! What is printed, and that nothing is sent before the signal.

use std::io::{self, Read};
use std::os::unix::net::UnixDatagram;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn bench(arguments: &[&str], signal: &mut dyn BufRead) -> Result<String, Failure> {
    let line = ["greyhound", "bench"].iter().chain(arguments);
    let cli = Cli::try_parse_from(line).expect("a command line");
    let Command::Bench(args) = cli.command else {
        panic!("another command");
    };
    let mut out = Vec::new();
    run(&args, &mut out, signal)?;
    Ok(String::from_utf8(out).expect("utf-8"))
}

/// Checks that nothing has arrived by the time somebody reads the signal.
struct Signal<'a>(&'a UnixDatagram);

impl Read for Signal<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let early = self.0.recv(&mut [0; 8192]);
        assert_eq!(early.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        buffer[0] = b'\n';
        Ok(1)
    }
}

#[test]
fn a_program_is_told_what_was_sent_after_its_signal() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("s");
    let server = UnixDatagram::bind(&path).expect("bind");
    server.set_nonblocking(true).expect("set");
    let to = format!("unixgram://{}", path.display());
    let line = [
        "--to",
        &to,
        "--messages",
        "3",
        "--hold",
        "--json",
        "--core",
        "0",
    ];
    let text = bench(&line, &mut io::BufReader::new(Signal(&server))).expect("sent");
    let (ready, report) = text.split_once('\n').expect("two lines");
    assert_eq!(ready, "ready");
    let report: serde_json::Value = serde_json::from_str(report).expect("JSON");
    assert_eq!(report["accepted"]["messages"], 3);
    assert_eq!(report["refused"]["messages"], 0);
    assert_eq!(report["transport"], "unixgram");
    let mut packet = [0; 8192];
    let mut bytes = 0;
    for _ in 0..3 {
        bytes += server.recv(&mut packet).expect("a packet");
    }
    assert_eq!(report["accepted"]["bytes"], bytes);
}

#[test]
fn people_read_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("s");
    let _server = UnixDatagram::bind(&path).expect("bind");
    let to = format!("unixgram://{}", path.display());
    let line = ["--to", &to, "--messages", "2000", "--rate", "1e9"];
    let text = bench(&line, &mut io::empty()).expect("sent");
    for words in [
        "offered    2000 messages",
        "refused ",
        "increments ",
        "behind",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_command_line_that_cannot_be_is_refused() {
    for line in [
        ["--contexts", "0"],
        ["--contexts", "10000000"],
        ["--rate", "0"],
        ["--kinds", "x=1"],
        ["--tags", "5..2"],
        ["--sources", "0"],
    ] {
        let line = ["greyhound", "bench"].iter().chain(&line);
        assert!(Cli::try_parse_from(line).is_err());
    }
    let failure = bench(&["--core", "1023"], &mut io::empty()).unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
}
