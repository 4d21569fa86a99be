//! The Node client `hot-shots`: times before tags, cgroup inodes as origin, pipes in check messages.

use greyhound_tests::daemon::Setup;
use greyhound_tests::node::HotShots;

use crate::clients_python::ORIGIN;
use crate::tour::{self, Tour};

const TOUR: Tour = Tour {
    items: 30,
    sampled: 10.0,
    // The client sends `down | and out` as it is. A message ends at the next pipe, as in the Agent: what
    // follows is a field nobody knows.
    check_message: "down ",
};

fn run(client: &HotShots, setup: Setup, over_uds: bool) {
    let daemon = setup.start();
    let target = if over_uds {
        format!("unix://{}", daemon.uds().display())
    } else {
        daemon.udp().to_string()
    };
    client.run(&["tour", &target], ORIGIN);
    daemon.wait_processed(TOUR.items);
    let stopped = daemon.stop();
    tour::check(&stopped.records, TOUR);
    assert_eq!(stopped.ledger.received, TOUR.items);
    assert_eq!(stopped.ledger.aggregated, TOUR.items);
}

#[test]
fn node_over_udp() {
    let Some(client) = HotShots::installed() else {
        return;
    };
    run(&client, Setup::new(), false);
}

#[test]
fn node_over_a_datagram_socket() {
    let Some(client) = HotShots::installed() else {
        return;
    };
    if client.speaks_uds().is_some() {
        run(&client, Setup::new().uds(), true);
    }
}

#[test]
fn node_with_origin_detection_on() {
    let Some(client) = HotShots::installed() else {
        return;
    };
    let setup = Setup::new().with("dogstatsd_origin_detection_client", true);
    run(&client, setup, false);
}
