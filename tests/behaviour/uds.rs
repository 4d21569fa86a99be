//! Unix datagram sockets: what may stand in the way of a bind, whose mode counts, what is removed at the end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use greyhound_tests::daemon::Setup;

use crate::send;

const FAILED: i32 = 1;

#[test]
fn a_datagram_socket_feeds_the_aggregate() {
    let daemon = Setup::new().uds().start();
    send::uds(daemon.uds(), "a:1|c\na:2|c");
    send::uds(daemon.uds(), "g:3|g\n");
    daemon.wait_processed(3);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("a"), 3.0);
    assert_eq!(stopped.records.last("g"), 3.0);
}

#[test]
fn several_sockets_feed_one_aggregate() {
    let setup = Setup::new().uds();
    let more = setup.path("more.socket").to_string_lossy().into_owned();
    let daemon = setup.with("greyhound.uds.sockets", vec![more]).start();
    let sockets = daemon.ready().uds_datagram.clone();
    assert_eq!(sockets.len(), 2, "{sockets:?}");
    for socket in &sockets {
        send::uds(socket, "shared:2|c");
    }
    daemon.wait_processed(2);
    assert_eq!(daemon.stop().records.total("shared"), 4.0);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let setup = Setup::new().uds();
    let path = setup.path("dsd.socket");
    fs::write(&path, "precious").unwrap();
    let ended = setup.run_to_end();
    assert_eq!(ended.code(), FAILED, "{}", ended.stderr);
    assert!(ended.stderr.contains("dsd.socket"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_folder_in_the_way_is_left_alone() {
    let setup = Setup::new().uds();
    let path = setup.path("dsd.socket");
    fs::create_dir(&path).unwrap();
    let ended = setup.run_to_end();
    assert_eq!(ended.code(), FAILED, "{}", ended.stderr);
    assert!(path.is_dir());
}

#[test]
fn a_stale_socket_is_replaced() {
    let setup = Setup::new().uds();
    let path = setup.path("dsd.socket");
    // Dropped, it leaves its path behind with nobody reading.
    drop(UnixDatagram::bind(&path).unwrap());
    assert!(path.exists());
    let daemon = setup.start();
    send::uds(&path, "fresh:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("fresh"), 1.0);
}

#[test]
fn a_link_is_replaced_and_what_it_points_to_is_left_alone() {
    let setup = Setup::new().uds();
    let target = setup.path("elsewhere");
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, setup.path("dsd.socket")).unwrap();
    // Refused or replaced: either is safe, following it is not.
    let ended = setup.run_briefly();
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious", "{ended}");
}

#[test]
fn a_socket_somebody_reads_is_reported_and_not_taken() {
    let setup = Setup::new().uds();
    let path = setup.path("dsd.socket");
    let other = UnixDatagram::bind(&path).unwrap();
    other
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let ended = setup.run_to_end();
    assert_eq!(ended.code(), FAILED, "{}", ended.stderr);
    assert!(ended.stderr.contains("dsd.socket"), "{}", ended.stderr);
    // Whoever was there first still gets its messages.
    send::uds(&path, "still:1|c");
    let mut buffer = [0; 64];
    // The probe for a living reader may have left an empty datagram; messages come after it.
    let len = loop {
        match other.recv(&mut buffer).unwrap() {
            0 => {}
            len => break len,
        }
    };
    assert_eq!(&buffer[..len], b"still:1|c");
}

#[test]
fn a_path_longer_than_the_kernel_takes_is_refused_with_a_reason() {
    let setup = Setup::new();
    let long = setup.path(&"x".repeat(120)).to_string_lossy().into_owned();
    let ended = setup.with("dogstatsd_socket", long).run_to_end();
    assert!([1, 64].contains(&ended.code()), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("dogstatsd_socket"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("107") || ended.stderr.contains("108"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_mode_is_the_one_asked_for() {
    for (mode, bits) in [(None, 0o722), (Some("0700"), 0o700), (Some("0777"), 0o777)] {
        let mut setup = Setup::new().uds();
        if let Some(mode) = mode {
            setup = setup.with("greyhound.uds.mode", mode);
        }
        let daemon = setup.start();
        let found = fs::metadata(daemon.uds()).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, bits, "asked for {mode:?}, found {found:o}");
        daemon.stop();
    }
}

#[test]
fn the_socket_is_gone_after_a_stop_and_a_successors_is_not() {
    let daemon = Setup::new().uds().start();
    let path = daemon.uds().to_owned();
    let folder = path.parent().unwrap();
    let others: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(others.is_empty(), "left beside the socket: {others:?}");
    let stopped = daemon.stop();
    assert!(!path.exists());
    drop(stopped);

    let daemon = Setup::new().uds().start();
    let path = daemon.uds().to_owned();
    fs::remove_file(&path).unwrap();
    let successor = UnixDatagram::bind(&path).unwrap();
    let stopped = daemon.stop();
    assert!(path.exists(), "a socket of somebody else was removed");
    drop((successor, stopped));
}
