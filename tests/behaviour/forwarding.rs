//! Raw packets are copied to another host, byte by byte, whatever we think of them ourselves.

use std::net::UdpSocket;
use std::time::Duration;

use greyhound_tests::daemon::Setup;

use crate::send;

#[test]
fn every_packet_is_copied_as_it_came() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let daemon = Setup::new()
        .uds()
        .with("statsd_forward_host", "127.0.0.1")
        .with("statsd_forward_port", other.local_addr().unwrap().port())
        .start();
    let packets: [&[u8]; 3] = [b"a:1|c\nb:2|g\n", b"nonsense \xff\x00", b"a:2|c"];
    for packet in packets {
        send::udp(daemon.udp(), packet);
    }
    send::uds(daemon.uds(), "u:1|c");
    let mut copies: Vec<Vec<u8>> = (0..4)
        .map(|_| {
            let mut buffer = [0; 1024];
            let len = other.recv(&mut buffer).unwrap();
            buffer[..len].to_vec()
        })
        .collect();
    copies.sort();
    let mut sent: Vec<Vec<u8>> = packets.iter().map(|packet| packet.to_vec()).collect();
    sent.push(b"u:1|c".to_vec());
    sent.sort();
    assert_eq!(copies, sent);
    daemon.wait_processed(5);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("a"), 3.0);
}
