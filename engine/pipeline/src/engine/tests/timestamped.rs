//! Samples that bring their own time, on their way past the grid.

use greyhound_model::flush::FlushCause;

use super::*;

#[test]
fn samples_of_several_lanes_leave_together() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.lanes.lanes = 4;
        config.flush.bucket_width = BucketWidth::try_new(3600).unwrap();
    });
    let address = bench.address(0);
    for _ in 0..100 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"hits:1|c|T1700000000", address).unwrap();
    }
    let mut seen = Vec::new();
    while seen.iter().sum::<usize>() < 100 {
        let batch = bench.batches.recv_timeout(DEADLINE).unwrap();
        assert_eq!(batch.cause, FlushCause::Timestamped);
        seen.push(batch.series.len());
    }
    assert!(seen.len() <= 2, "{seen:?}");
    bench.stop();
}
