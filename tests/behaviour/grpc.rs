//! The gRPC side of the control port, by independent Python clients: with stubs generated from our own
//! `.proto` files, and with bytes written by hand.

use std::process::Command;

use greyhound_tests::command;
use greyhound_tests::daemon::{Daemon, Setup, clean};
use greyhound_tests::python::{self, GrpcClient};
use greyhound_tests::tools;

/// Runs a check of `clients/grpc_client.py` against a daemon.
pub(crate) fn check(setup: Setup, name: &str, arguments: &[&str]) {
    let Some(client) = python::grpc() else {
        return;
    };
    let daemon = setup.start();
    run(&client, &daemon, name, arguments);
    daemon.stop();
}

fn run(client: &GrpcClient, daemon: &Daemon, name: &str, arguments: &[&str]) {
    let mut command = clean(Command::new(&client.python));
    command
        .arg(&client.script)
        .arg(&client.stubs)
        .arg(&daemon.ready().control)
        .args([daemon.path("auth_token"), daemon.path("ipc_cert.pem")])
        .arg(name)
        .args(arguments);
    let done = command::finish(&mut command, tools::INSTALL).expect("the client ends");
    assert_eq!(
        done.code(),
        0,
        "{}{}\n{}",
        done.stdout,
        done.stderr,
        daemon.log()
    );
}

#[test]
fn a_data_plane_finds_what_it_asks_for_at_start() {
    check(Setup::new(), "start", &[]);
}

#[test]
fn bytes_written_by_hand_mean_the_same() {
    check(Setup::new(), "raw", &[]);
}
